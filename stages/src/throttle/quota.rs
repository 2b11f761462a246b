//! A broker's quota: gives permits at a rate, with a burst.
//!
//! Guarantees: in any window of `w` seconds at most `burst + rate * w` permits are given, in the order in which they
//! were asked for. At most one task per broker is woken by a timer. A quota that is replaced passes on no more than
//! its unspent permits, and sends its waiters to the new one. One that allows nothing gives no permit, however long one waits.

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

use super::{portion::Allowed, wire_time::WireTime};

/// The slowest rate, in permits a second: one a day. For less, disable the broker.
pub const RATE_MIN: f64 = 1.0 / 86_400.0;

/// The fastest rate, in permits a second: the limiter counts in whole nanoseconds, and up to here rounding the time
/// between two permits up to one costs at most 0.1 % of the rate.
pub const RATE_MAX: f64 = 1e6;

/// The longest time an empty burst may take to fill. The limiter's sums are 64-bit nanoseconds; this bound keeps them
/// 500 times below overflow.
pub const REFILL_MAX: Duration = Duration::from_secs(366 * 86_400);

/// The longest time between two permits, for the portion of one process of a slow rate.
const INTERVAL_MAX: Duration = REFILL_MAX;

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

/// The quota was replaced: ask the broker's current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quota has been replaced by another")]
pub struct Replaced;

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<LimiterInstant>>;

/// A broker's quota: GCRA, the generic cell rate algorithm of ITU-T I.371, by way of `governor`.
///
/// Timers tick in milliseconds, so a burst below `rate / 1000` makes the quota slower than its rate: the permits that
/// fall due within one tick are lost unless the burst can hold them.
#[derive(Debug)]
pub struct Quota {
    limiter: Limiter,
    rate: f64,
    burst: NonZeroU32,
    /// How long requests may be on the wire; none if that is not bounded here.
    wire_time: Option<WireTime>,
    /// Whether it gives no permits at all.
    closed: bool,
    /// How many tasks wait; while it is not zero, new ones queue, too.
    waiting: AtomicUsize,
    /// Held by the one task that waits for the limiter; tokio's mutex is fair. A thousand tasks that wait on one
    /// limiter, each with its own timer, waste 60 % of a core.
    turn: Mutex<()>,
    waits: AtomicU64,
    replaced: AtomicBool,
    /// Wakes the task that holds the turn when the quota is replaced; each task then wakes the next.
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
        Ok(Self::made(quota.allow_burst(burst), rate, burst))
    }

    /// What a portion of a broker's limits allows; nothing if there is none. Full; see [`take_over`](Self::take_over).
    /// Slower than [`RATE_MIN`] if the portion is, down to one permit in [`REFILL_MAX`].
    #[must_use]
    pub fn of_portion(allowed: Option<Allowed>) -> Self {
        let Some(Allowed { rate, burst, wire_time, .. }) = allowed else {
            return Self { closed: true, ..Self::one_a_second() };
        };
        let interval = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(INTERVAL_MAX);
        // A nanosecond more for rounding, so that the true rate is never above the one asked for.
        let interval = (interval + Duration::from_nanos(1)).min(INTERVAL_MAX);
        let max = u32::try_from(REFILL_MAX.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX);
        let burst = burst.min(NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN));
        let quota = governor::Quota::with_period(interval);
        let made = quota.map(|quota| Self::made(quota.allow_burst(burst), rate, burst));
        let made = made.unwrap_or_else(|| Self { closed: true, ..Self::one_a_second() });
        Self { wire_time: wire_time.map(WireTime::new), ..made }
    }

    /// Whether it is what [`of_portion`](Self::of_portion) would make of this.
    #[must_use]
    pub fn is_of_portion(&self, allowed: Option<&Allowed>) -> bool {
        let wire_time = self.wire_time.as_ref().map(WireTime::per_second);
        match allowed {
            None => self.closed,
            Some(allowed) => {
                !self.closed
                    && (allowed.rate, allowed.burst, allowed.wire_time) == (self.rate, self.burst, wire_time)
            }
        }
    }

    fn one_a_second() -> Self {
        Self::made(governor::Quota::per_second(NonZeroU32::MIN), 0.0, NonZeroU32::MIN)
    }

    fn made(quota: governor::Quota, rate: f64, burst: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::direct_with_clock(quota, TokioClock),
            rate,
            burst,
            wire_time: None,
            closed: false,
            waiting: AtomicUsize::new(0),
            turn: Mutex::new(()),
            waits: AtomicU64::new(0),
            replaced: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Waits for a permit. Dropping the future leaves the queue and spends nothing.
    ///
    /// # Errors
    /// [`Replaced`], at once, if the quota is no longer in force.
    pub async fn permit(&self) -> Result<(), Replaced> {
        // Checked only when nobody waits, or a new task could take the permit of the first in the queue.
        if self.waiting.load(Ordering::Acquire) == 0 && self.next_at().is_ok_and(|at| at.is_none()) {
            return self.in_force();
        }
        self.permit_in_turn().await
    }

    /// Takes over the unspent permits of `old`, as far as `burst` allows, and its count of waits. For a quota that is
    /// not in use yet.
    pub fn take_over(&self, old: &Self) {
        let saved = if old.closed { 0 } else { old.spend(old.burst.get()).min(self.burst.get()) };
        self.spend(self.burst.get() - saved);
        if let (Some(wire_time), Some(before)) = (&self.wire_time, &old.wire_time) {
            wire_time.owe(before.owed());
        }
        self.waits.fetch_add(old.waits(), Ordering::Relaxed);
    }

    /// A request that was permitted has ended, and was on the wire for so long.
    pub fn was_on_wire(&self, took: Duration) {
        if let Some(wire_time) = &self.wire_time {
            wire_time.spend(took);
        }
    }

    /// Marks it as replaced, for whoever asks or waits.
    pub fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
        // Stored for the next task if nobody holds the turn now.
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

    /// How many permits had to be waited for.
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
        let _place = QueuePlace::take(&self.waiting);
        self.waits.fetch_add(1, Ordering::Relaxed);
        let _turn = self.turn.lock().await;
        loop {
            self.in_force()?;
            let Ok(next_at) = self.next_at() else {
                self.wake.notified().await;
                continue;
            };
            let Some(at) = next_at else { return self.in_force() };
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Takes a permit; or says when there may be one.
    ///
    /// # Errors
    /// There will be none.
    fn next_at(&self) -> Result<Option<Instant>, Never> {
        if self.closed {
            return Err(Never);
        }
        let free_at = self.wire_time.as_ref().map(WireTime::free_at);
        if let Some(at) = free_at.filter(|at| *at > Instant::now()) {
            return Ok(Some(at));
        }
        Ok(self.limiter.check().err().map(|until| earliest(&until)))
    }

    fn in_force(&self) -> Result<(), Replaced> {
        if self.replaced.load(Ordering::Acquire) { Err(Replaced) } else { Ok(()) }
    }

    /// Spends up to `most` permits at once; returns how many were available.
    fn spend(&self, most: u32) -> u32 {
        let mut spent = 0;
        // Tries powers of two, the largest first: the available number is the sum of those that succeed.
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

/// No permit is ever given.
struct Never;

fn earliest(until: &NotUntil<LimiterInstant>) -> Instant {
    until.earliest_possible().0
}

/// A place in the queue, released when dropped.
struct QueuePlace<'a>(&'a AtomicUsize);

impl<'a> QueuePlace<'a> {
    fn take(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::AcqRel);
        Self(waiting)
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// tokio's clock for `governor`, whose own clocks do not follow paused time.
#[derive(Clone, Copy, Debug)]
struct TokioClock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LimiterInstant(Instant);

impl Clock for TokioClock {
    type Instant = LimiterInstant;

    fn now(&self) -> LimiterInstant {
        LimiterInstant(Instant::now())
    }
}

impl Reference for LimiterInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        let nanos = self.0.saturating_duration_since(earlier.0).as_nanos();
        Nanos::new(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl Add<Nanos> for LimiterInstant {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.checked_add(other.into()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests;
