//! How fast a broker may be served: a request for a permit enters, leave to attempt once comes back when the quota
//! allows it.
//!
//! Guaranteed: over any window of `w` seconds no more than `burst + rate * w` permits are given; permits are given in
//! the order in which they were asked for; at most one task per broker is woken by a timer. A quota that is replaced by
//! another passes on no more than what it had saved up, and sends whoever waits for it to the other.

use std::{
    num::NonZeroU32,
    ops::Add,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use governor::{
    NotUntil,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, RateLimiter},
};
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};

/// The slowest rate, in permits a second: one a day. A broker slower than that is switched off, not throttled.
pub const RATE_MIN: f64 = 1.0 / 86_400.0;

/// The fastest rate, in permits a second: the limiter counts in whole nanoseconds, and up to here rounding the time
/// between two permits up to one costs at most 0.1 % of the rate.
pub const RATE_MAX: f64 = 1e6;

/// The longest time an empty burst may take to fill. The limiter's sums are 64-bit nanoseconds; this bound keeps them
/// 500 times below overflow.
pub const REFILL_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Why a quota cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum QuotaError {
    /// The rate is out of bounds, or not a number.
    #[error("rate {rate} per second is out of bounds: give one from {RATE_MIN:.7} (one a day) to {RATE_MAX}")]
    Rate {
        /// The rate asked for, in permits a second.
        rate: f64,
    },
    /// The burst takes too long to fill.
    #[error(
        "burst {burst} takes over {} days to fill at {rate} per second: give a burst of at most {max}, or a higher rate",
        REFILL_MAX.as_secs() / 86_400
    )]
    Burst {
        /// The burst asked for.
        burst: NonZeroU32,
        /// The rate asked for, in permits a second.
        rate: f64,
        /// The largest burst that rate allows.
        max: u64,
    },
}

/// The quota is another one now: ask the broker for it, and that one for the permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quota has been replaced by another")]
pub struct Replaced;

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>;

/// A broker's quota: GCRA, the generic cell rate algorithm of ITU-T I.371, by way of `governor`.
///
/// Timers tick in milliseconds, so a burst below `rate / 1000` makes the quota slower than its rate: the permits that
/// fall due within one tick are lost unless the burst can hold them.
#[derive(Debug)]
pub struct Quota {
    limiter: Limiter,
    rate: f64,
    burst: NonZeroU32,
    /// Everyone in the slow path: while it is not zero, newcomers queue.
    waiting: AtomicUsize,
    /// The turn to wait for the limiter; tokio's mutex hands it on in order of arrival. A thousand tasks that wait on
    /// one limiter, each by its own timer, take 60 % of a core to no purpose.
    turn: Mutex<()>,
    waits: AtomicU64,
    replaced: AtomicBool,
    /// Wakes the one that has the turn when the quota is replaced; the others are woken by it, one after the other.
    wake: Notify,
}

impl Quota {
    /// A full quota of `rate` permits a second, of which up to `burst` may be saved up and spent at once.
    ///
    /// # Errors
    /// When `rate` is not a number from [`RATE_MIN`] to [`RATE_MAX`], or `burst` takes over [`REFILL_MAX`] to fill.
    pub fn new(rate: f64, burst: NonZeroU32) -> Result<Self, QuotaError> {
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            return Err(QuotaError::Rate { rate });
        }
        // Rounded up, so that the true rate is never above the one asked for. At most 86.4e12, well inside u64.
        let interval = Duration::from_nanos((1e9 / rate).ceil() as u64);
        let max = REFILL_MAX.as_nanos() / interval.as_nanos();
        if u128::from(burst.get()) > max {
            return Err(QuotaError::Burst { burst, rate, max: u64::try_from(max).unwrap_or(u64::MAX) });
        }
        let Some(quota) = governor::Quota::with_period(interval) else {
            return Err(QuotaError::Rate { rate });
        };
        Ok(Self {
            limiter: RateLimiter::direct_with_clock(quota.allow_burst(burst), TokioClock),
            rate,
            burst,
            waiting: AtomicUsize::new(0),
            turn: Mutex::new(()),
            waits: AtomicU64::new(0),
            replaced: AtomicBool::new(false),
            wake: Notify::new(),
        })
    }

    /// Waits for a permit. Dropping the future gives up the place in the queue and spends nothing.
    ///
    /// # Errors
    /// [`Replaced`], at once: nothing waits for a quota that is no longer in force.
    pub async fn permit(&self) -> Result<(), Replaced> {
        // Checked only when nobody waits, or a newcomer could take the permit that the first in line is about to get.
        if self.waiting.load(Ordering::Acquire) == 0 && self.limiter.check().is_ok() {
            return self.in_force();
        }
        self.permit_in_turn().await
    }

    /// Begins with what `old` has saved up, as far as `burst` allows, and with its count of waits; `old` has nothing
    /// left then. For a quota that nobody has asked yet.
    pub fn take_over(&self, old: &Self) {
        let saved = old.spend(old.burst.get()).min(self.burst.get());
        self.spend(self.burst.get() - saved);
        self.waits.fetch_add(old.waits(), Ordering::Relaxed);
    }

    /// Ends it: from now on whoever asks, or waits, is told that another is in force.
    pub fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
        // Kept for the next one if nobody has the turn just now.
        self.wake.notify_one();
    }

    /// Permits a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// How many permits may be saved up.
    #[must_use]
    pub fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// How many permits were not to be had at once, so far.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// How many tasks wait for a permit now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    async fn permit_in_turn(&self) -> Result<(), Replaced> {
        let _place = Place::take(&self.waiting);
        self.waits.fetch_add(1, Ordering::Relaxed);
        let _turn = self.turn.lock().await;
        loop {
            self.in_force()?;
            let Err(until) = self.limiter.check() else { return self.in_force() };
            tokio::select! {
                () = tokio::time::sleep_until(earliest(&until)) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    fn in_force(&self) -> Result<(), Replaced> {
        if self.replaced.load(Ordering::Acquire) { Err(Replaced) } else { Ok(()) }
    }

    /// Spends up to `most` permits at once; gives how many there were.
    fn spend(&self, most: u32) -> u32 {
        let mut spent = 0;
        // The largest powers of two first: whatever number is there is the sum of those that succeed.
        for power in (0..u32::BITS).rev() {
            let Some(some) = NonZeroU32::new(1 << power).filter(|some| some.get() <= most - spent) else {
                continue;
            };
            if matches!(self.limiter.check_n(some), Ok(Ok(()))) {
                spent += some.get();
            }
        }
        spent
    }
}

fn earliest(until: &NotUntil<Moment>) -> Instant {
    until.earliest_possible().0
}

/// A place in the queue, given up when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::AcqRel);
        Self(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// tokio's clock for `governor`, whose own clocks do not follow paused time.
#[derive(Clone, Copy, Debug)]
struct TokioClock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Clock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        let nanos = self.0.saturating_duration_since(earlier.0).as_nanos();
        Nanos::new(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.checked_add(other.into()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests;
