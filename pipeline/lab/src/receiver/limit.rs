//! A receiver's own rate limit. In any span of time no more requests pass than the burst and what the rate allows for that
//! span.

use std::time::Duration;

use tokio::time::Instant;

/// How many requests a receiver passes before it answers 429: a token bucket, full at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Requests a second in the long run; above 0 and at most [`LIMIT_RATE_MAX`].
    pub per_second: f64,
    /// Requests at once after a quiet time; at least 1.
    pub burst: u32,
}

/// The highest rate a receiver can be limited to, in requests a second: more than one process can serve.
pub const LIMIT_RATE_MAX: f64 = 1e6;

impl RateLimit {
    /// A limit whose burst is one second's worth, rounded up.
    #[must_use]
    pub fn per_second(per_second: f64) -> Self {
        // rates that are none become 1 here and are refused by `Behaviour::check`
        Self { per_second, burst: per_second.ceil().max(1.0) as u32 }
    }

    /// Whether there can be such a limit.
    pub(crate) fn is_fine(self) -> bool {
        self.per_second > 0.0 && self.per_second <= LIMIT_RATE_MAX && self.burst > 0
    }
}

/// The tokens a receiver has left; full until the first request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket(Option<Level>);

#[derive(Clone, Copy, Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Takes a token for one request, if there is one. A limit that changed holds from here on; tokens over its burst
    /// are gone.
    pub(crate) fn pass(&mut self, limit: RateLimit, now: Instant) -> bool {
        let burst = f64::from(limit.burst);
        let tokens = self.0.map_or(burst, |level| {
            let since: Duration = now.saturating_duration_since(level.at);
            (level.tokens + since.as_secs_f64() * limit.per_second).min(burst)
        });
        let passes = tokens >= 1.0;
        let left = if passes { tokens - 1.0 } else { tokens };
        self.0 = Some(Level { tokens: left, at: now });
        passes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_burst_passes_at_once_and_then_one_for_each_share_of_a_second() {
        let (limit, start) = (RateLimit { per_second: 4.0, burst: 3 }, Instant::now());
        let mut bucket = Bucket::default();
        let mut at = |millis| bucket.pass(limit, start + Duration::from_millis(millis));
        assert_eq!([0, 0, 0, 0].map(&mut at), [true, true, true, false]);
        assert_eq!([249, 251, 251, 501].map(&mut at), [false, true, false, true]);
        assert_eq!([60_000; 4].map(&mut at), [true, true, true, false], "no more than the burst is saved up");
    }

    #[test]
    fn a_limit_without_a_burst_of_its_own_has_one_seconds_worth() {
        assert_eq!([0.5, 4.0, 4.2].map(|rate| RateLimit::per_second(rate).burst), [1, 4, 5]);
        for (per_second, burst) in [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (2e6, 1), (1.0, 0)] {
            assert!(!RateLimit { per_second, burst }.is_fine(), "{per_second} {burst}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_allow(
            gaps in prop::collection::vec(0..400u64, 1..200), rate in 1..50u32, burst in 1..10u32,
        ) {
            let limit = RateLimit { per_second: f64::from(rate), burst };
            let (mut bucket, start, mut millis, mut passed) = (Bucket::default(), Instant::now(), 0, 0);
            for gap in gaps {
                millis += gap;
                passed += u32::from(bucket.pass(limit, start + Duration::from_millis(millis)));
                let allowed = f64::from(burst) + millis as f64 / 1e3 * limit.per_second;
                prop_assert!(f64::from(passed) <= allowed + 1e-6, "{passed} of {allowed}");
            }
        }
    }
}
