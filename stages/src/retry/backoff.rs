//! How long to wait before the next attempt, and when to stop trying: exponential backoff with full jitter.

use std::time::Duration;

use rand::{Rng, RngExt};

/// When a failed delivery is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest wait after the first failed attempt; it doubles with each further one.
    pub base: Duration,
    /// The longest wait after any number of failures.
    pub cap: Duration,
    /// How many failed attempts make a dead letter. Attempts while the broker was known to be in trouble, or that
    /// were answered with a request for a pause, do not count. Zero counts as one.
    pub attempts_max: u32,
    /// How long after it was read an event may still be attempted. Bounds what `attempts_max` does not count.
    pub age_max: Duration,
    /// The longest pause a receiver can ask for with `Retry-After` and its like.
    pub retry_after_max: Duration,
    /// The longest wait in memory, where the delivery holds a place in flight; for a longer one it goes to disk.
    pub in_place_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(5 * 60),
            attempts_max: 12,
            age_max: Duration::from_secs(72 * 3_600),
            retry_after_max: Duration::from_secs(3_600),
            in_place_max: Duration::from_secs(2),
        }
    }
}

impl RetryPolicy {
    /// The longest wait after `failed_attempts` failures: `min(cap, base * 2^(failed_attempts - 1))`.
    #[must_use]
    pub fn longest(&self, failed_attempts: u32) -> Duration {
        let doublings = failed_attempts.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// The wait after `failed_attempts` failures: uniform over `0..=longest`, "full jitter" in Brooker, "Exponential
    /// Backoff And Jitter", AWS Architecture Blog, 2015, which needs the fewest calls of the variants compared there.
    pub fn delay(&self, failed_attempts: u32, rng: &mut impl Rng) -> Duration {
        uniform(Duration::ZERO, self.longest(failed_attempts), rng)
    }

    /// The wait for a retry that the budget refuses: uniform over `cap / 2..=cap`, "equal jitter" in the same
    /// article. With full jitter the wait could be near zero, and the refusal without effect.
    pub fn deferral(&self, rng: &mut impl Rng) -> Duration {
        uniform(self.cap / 2, self.cap, rng)
    }
}

fn uniform(from: Duration, to: Duration, rng: &mut impl Rng) -> Duration {
    // u64 nanoseconds hold 584 years; a longer wait is cut to that.
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.random_range(nanos(from)..=nanos(to)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn the_longest_wait_doubles_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let longest: Vec<_> = (0..=11).map(|failed| policy.longest(failed).as_millis()).collect();
        let doubling =
            [500, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000];
        assert_eq!(longest, doubling);
        for failed in [31, 32, 33, 34, u32::MAX] {
            assert_eq!(policy.longest(failed), policy.cap);
        }
    }

    #[test]
    fn the_jitter_uses_the_whole_range() {
        let (policy, mut rng) = (RetryPolicy::default(), SmallRng::seed_from_u64(1));
        let delays: Vec<_> = (0..1_000).map(|_| policy.delay(4, &mut rng)).collect();
        let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
        assert!(
            *least < Duration::from_millis(100) && *most > Duration::from_millis(3_900),
            "{least:?} {most:?}"
        );
        let mean = delays.iter().sum::<Duration>() / 1_000;
        assert!((1_800..2_200).contains(&mean.as_millis()), "{mean:?}");
    }

    proptest! {
        #[test]
        fn every_wait_is_in_its_bounds(
            base in any::<u32>(),
            cap in any::<u32>(),
            failed in any::<u32>(),
            seed in any::<u64>(),
        ) {
            let (base, cap) = (Duration::from_micros(base.into()), Duration::from_micros(cap.into()));
            let policy = RetryPolicy { base, cap, ..RetryPolicy::default() };
            let mut rng = SmallRng::seed_from_u64(seed);
            let delay = policy.delay(failed, &mut rng);
            let doubled = base.as_secs_f64() * 2_f64.powi(failed.saturating_sub(1).min(1_000) as i32);
            prop_assert!(delay.as_secs_f64() <= doubled.min(cap.as_secs_f64()) + 1e-6);
            let deferral = policy.deferral(&mut rng);
            prop_assert!(cap / 2 <= deferral && deferral <= cap);
        }
    }
}
