//! Pauses between retries: each is longer than the one before, up to a cap, and random within its upper half, so that
//! many partitions do not retry at the same moment. Never zero, so that nothing spins.

use std::time::Duration;

use rand::{RngExt, rngs::SmallRng};

/// The pauses of one partition.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    longest: Duration,
    rng: SmallRng,
}

impl Backoff {
    /// Pauses that begin at `min` and double up to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, longest: min, rng: rand::make_rng() }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let longest = self.longest.min(self.max);
        self.longest = longest.saturating_mul(2).min(self.max);
        self.rng.random_range(longest / 2..=longest).max(Duration::from_millis(1))
    }

    /// Starts again at the shortest pause, after a success.
    pub fn reset(&mut self) {
        self.longest = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_are_random_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
        for longest in [100, 200, 400, 500, 500] {
            let (pause, longest) = (backoff.pause(), Duration::from_millis(longest));
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?} for {longest:?}");
        }
        let pauses: std::collections::BTreeSet<_> = (0..100).map(|_| backoff.pause()).collect();
        assert!(pauses.len() > 50, "{}", pauses.len());
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
    }
}
