//! Wall-clock time as an injected value: milliseconds since the Unix epoch enter every record from here only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since 1970-01-01T00:00:00Z. Times before it do not occur: they saturate at zero.
pub type UnixMillis = u64;

/// The source of wall-clock time.
///
/// `System` asks the operating system. `Simulated` starts at a given moment and advances with tokio's clock, so a
/// test with paused time sees the wall clock move exactly as far as it advanced.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's own wall clock, which may step when it is corrected.
    System,
    /// A wall clock that started at `.0` when tokio's clock read `.1`.
    Simulated(UnixMillis, Instant),
}

impl Clock {
    /// A clock that reads `start` now and then follows tokio's (possibly paused) time.
    #[must_use]
    pub fn simulated(start: UnixMillis) -> Self {
        Self::Simulated(start, Instant::now())
    }

    /// The present moment in milliseconds since the Unix epoch.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the operating system is asked for the time"
    )]
    pub fn now(&self) -> UnixMillis {
        match self {
            Self::System => millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            Self::Simulated(start, since) => start.saturating_add(millis(since.elapsed())),
        }
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
}
