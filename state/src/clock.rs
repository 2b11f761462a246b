//! Time as an injected value, in milliseconds since the Unix epoch, in two kinds: the wall clock's, for what is shown,
//! signed or compared with other machines' times; and monotonic time, for what expires or waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    clock_reading::{self, ClockReading},
    monotonic::{Kept, MonotonicTime},
};

/// Milliseconds since 1970-01-01T00:00:00Z. Times before it do not occur: they saturate at zero.
pub type UnixMillis = u64;

/// The source of time.
///
/// `System` asks the operating system. `Simulated` starts at a given time and advances with tokio's clock, so a test
/// with paused time sees the wall clock move exactly as far as it advanced. `Stepping` can also be set, as a
/// machine's clock can. `Kept` is one of these with a monotonic time stored in a state directory: see
/// [`Store::clock`](crate::Store::clock).
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's own wall clock, which may step when it is corrected.
    System,
    /// A wall clock that started at `.0` when tokio's clock read `.1`.
    Simulated(UnixMillis, Instant),
    /// A simulated clock that can be set.
    Stepping(Steps),
    /// A clock whose monotonic time continues across restarts.
    Kept(Arc<KeptClock>),
}

impl Clock {
    /// A clock that reads `start` now and then follows tokio's (possibly paused) time.
    #[must_use]
    pub fn simulated(start: UnixMillis) -> Self {
        Self::Simulated(start, Instant::now())
    }

    /// The same, and it can be set.
    #[must_use]
    pub fn stepping(start: UnixMillis) -> (Self, Steps) {
        let steps = Steps { start, since: Instant::now(), by: Arc::default() };
        (Self::Stepping(steps.clone()), steps)
    }

    /// This clock for a process without a state directory: monotonic time begins now.
    #[must_use]
    pub fn monotonic_from_now(self) -> Self {
        self.resumed(None)
    }

    /// This clock, resumed from its stored state.
    pub(crate) fn resumed(self, kept: Option<Kept>) -> Self {
        if matches!(self, Self::Kept(_)) {
            return self;
        }
        let lived = MonotonicTime::resume(kept, self.read());
        let (ahead, due) = (AtomicU64::new(lived.ahead()), AtomicU64::new(0));
        Self::Kept(Arc::new(KeptClock { base: self, ahead, lived: Mutex::new(lived), due }))
    }

    /// The present moment by the wall clock.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the operating system is asked for the time"
    )]
    pub fn now(&self) -> UnixMillis {
        match self {
            Self::System => millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            Self::Simulated(start, since) => start.saturating_add(millis(since.elapsed())),
            Self::Stepping(steps) => steps.wall(),
            Self::Kept(clock) => clock.base.now(),
        }
    }

    /// The monotonic time now: setting the wall clock does not move it. Comparable within one state directory, not
    /// with wall clock times. Without a stored state it is the wall clock's time.
    #[must_use]
    pub fn monotonic(&self) -> UnixMillis {
        match self {
            Self::Kept(clock) => clock.base.up().wrapping_add(clock.ahead.load(Ordering::Relaxed)),
            Self::System | Self::Simulated(..) | Self::Stepping(_) => self.now(),
        }
    }

    /// This monotonic time by the wall clock, for another directory, whose monotonic time differs.
    pub(crate) fn to_wall(&self, lived: UnixMillis) -> UnixMillis {
        lived.saturating_add_signed(self.wall_ahead())
    }

    /// The wall clock's time as monotonic time.
    pub(crate) fn to_monotonic(&self, wall: UnixMillis) -> UnixMillis {
        wall.saturating_add_signed(self.wall_ahead().saturating_neg())
    }

    /// How far the wall clock is ahead of monotonic time, in milliseconds.
    fn wall_ahead(&self) -> i64 {
        self.now().checked_signed_diff(self.monotonic()).unwrap_or(0)
    }

    fn up(&self) -> u64 {
        match self {
            Self::System => clock_reading::up(),
            Self::Simulated(..) => self.now(),
            Self::Stepping(steps) => steps.up(),
            Self::Kept(clock) => clock.base.up(),
        }
    }

    fn read(&self) -> ClockReading {
        match self {
            Self::System => clock_reading::of_machine(self.now()),
            Self::Simulated(..) | Self::Stepping(_) => {
                ClockReading { wall: self.now(), up: self.up(), boot: Some([0; 16]) }
            }
            Self::Kept(clock) => clock.base.read(),
        }
    }

    /// Compares the wall clock with the uptime and logs a step. Call about once a second.
    pub(crate) fn look(&self) {
        let Self::Kept(clock) = self else { return };
        let mut lived = clock.lived.lock();
        let step = lived.look(clock.base.read());
        clock.ahead.store(lived.ahead(), Ordering::Relaxed);
        drop(lived);
        if let Some(step) = step {
            let (seconds, to) = (step.millis / 1_000, if step.forward { "forward" } else { "back" });
            tracing::warn!(
                seconds,
                "the wall clock was set {to}: nothing expires early or waits longer for that"
            );
        }
    }

    /// What to store of it, if that is due.
    pub(crate) fn to_keep(&self) -> Option<Kept> {
        let Self::Kept(clock) = self else { return None };
        let now = clock.base.read();
        let due = clock.due.load(Ordering::Relaxed);
        (now.up >= due).then(|| {
            clock.due.store(now.up.saturating_add(KEEP_EVERY), Ordering::Relaxed);
            clock.lived.lock().keep(now)
        })
    }
}

/// How often it is stored, in milliseconds. After a loss of power the rest is found from the uptime or claimed by the
/// wall clock.
const KEEP_EVERY: u64 = 60_000;

/// A clock with a stored monotonic time.
#[derive(Debug)]
pub struct KeptClock {
    base: Clock,
    /// How far monotonic time is ahead of the uptime.
    ahead: AtomicU64,
    lived: Mutex<MonotonicTime>,
    /// The uptime at which it is stored next.
    due: AtomicU64,
}

/// Sets a simulated clock.
#[derive(Clone, Debug)]
pub struct Steps {
    start: UnixMillis,
    since: Instant,
    by: Arc<AtomicI64>,
}

impl Steps {
    /// Sets the wall clock forward or back by so many milliseconds. Uptime is not changed.
    pub fn step(&self, millis: i64) {
        self.by.fetch_add(millis, Ordering::Relaxed);
    }

    fn up(&self) -> u64 {
        // Large enough that the machine seems to have been up before.
        (self.start / 2).saturating_add(millis(self.since.elapsed()))
    }

    fn wall(&self) -> UnixMillis {
        let unset = self.start.saturating_add(millis(self.since.elapsed()));
        unset.saturating_add_signed(self.by.load(Ordering::Relaxed))
    }
}

fn millis(duration: Duration) -> UnixMillis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn simulated_time_follows_paused_time() {
        let clock = Clock::simulated(1_000);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), 6_000);
    }

    #[test]
    fn system_time_is_after_the_day_this_was_written() {
        assert!(Clock::System.now() > 1_700_000_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_moves_the_wall_clock_and_not_what_was_lived() {
        let (clock, steps) = Clock::stepping(1_000_000);
        let clock = clock.monotonic_from_now();
        for by in [7_200_000, -9_000_000, 1_800_000] {
            steps.step(by);
            tokio::time::advance(Duration::from_secs(5)).await;
            clock.look();
        }
        assert_eq!((clock.now(), clock.monotonic()), (1_015_000, 1_015_000));
        steps.step(3_600_000);
        assert_eq!((clock.now(), clock.monotonic()), (4_615_000, 1_015_000));
        assert_eq!((clock.to_wall(1_000_000), clock.to_monotonic(4_600_000)), (4_600_000, 1_000_000));
    }

    #[test]
    fn the_machine_has_lived_as_long_as_it_was_up() {
        let clock = Clock::System.monotonic_from_now();
        let (first, second) = (clock.monotonic(), clock.monotonic());
        assert!(first <= second && first.abs_diff(clock.now()) < 3_600_000);
    }
}
