//! A broker's retry budget: first attempts pay in, retries draw on it, and when it is empty a retry has to wait.
//!
//! Guarantee: in any window of `w` seconds with `n` first attempts there are at most `capacity + ratio * n +
//! min_per_second * w` retries, so a broker that fails everything gets about a fifth more requests than usual, not a
//! multiple.

use parking_lot::Mutex;
use tokio::time::Instant;

/// How large a retry budget is.
///
/// The formula and its default values are those of Finagle's `RetryBudget` (`percentCanRetry` 0.2, `minRetriesPerSec`
/// 10, `ttl` 10 s; <https://twitter.github.io/finagle/guide/Clients.html#retries>). Kept as a bucket of tokens with a
/// fixed capacity as in gRPC's retry throttling (gRFC A6), instead of deposits that expire one by one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudgetPolicy {
    /// Retries earned by one first attempt, 0 to 1 in any sensible setting; less than zero counts as zero.
    pub ratio: f64,
    /// Retries a second that need no first attempt, so that a quiet broker can be retried; less than zero counts as
    /// zero.
    pub min_per_second: f64,
    /// For how long a quiet broker saves `min_per_second`, in seconds: the capacity is the product of both, and at
    /// least one retry.
    pub window_seconds: f64,
}

impl Default for RetryBudgetPolicy {
    fn default() -> Self {
        Self { ratio: 0.2, min_per_second: 10.0, window_seconds: 10.0 }
    }
}

/// A broker's retry budget. Starts full.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f64,
    min_per_second: f64,
    capacity: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    /// The time up to which `min_per_second` has been paid in.
    filled_at: Instant,
}

impl RetryBudget {
    /// A full budget.
    #[must_use]
    pub fn new(policy: RetryBudgetPolicy) -> Self {
        // `max` also turns NaN into its other operand, so no policy can make the sums meaningless.
        let min_per_second = policy.min_per_second.max(0.0);
        let capacity = (min_per_second * policy.window_seconds).max(1.0);
        let bucket = Mutex::new(Bucket { tokens: capacity, filled_at: Instant::now() });
        Self { ratio: policy.ratio.max(0.0), min_per_second, capacity, bucket }
    }

    /// How many retries can be saved.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Pays in for a first attempt.
    pub fn deposit(&self) {
        // Limited to the capacity by `withdraw`.
        self.bucket.lock().tokens += self.ratio;
    }

    /// Draws one retry; false, without effect, if less than one is left.
    pub fn withdraw(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock();
        let since = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * self.min_per_second).min(self.capacity);
        bucket.filled_at = bucket.filled_at.max(now);
        // Five deposits of 0.2 must be worth one retry although their sum in binary is not quite one.
        let drawn = bucket.tokens >= 1.0 - 1e-9;
        if drawn {
            bucket.tokens -= 1.0;
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};

    use super::*;

    fn drain(budget: &RetryBudget, now: Instant) -> usize {
        (0..1_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn five_first_attempts_earn_one_retry_and_a_second_earns_ten() {
        let (budget, now) = (RetryBudget::new(RetryBudgetPolicy::default()), Instant::now());
        assert_eq!(drain(&budget, now), 100);
        for _ in 0..5 {
            assert!(!budget.withdraw(now));
            budget.deposit();
        }
        assert_eq!(drain(&budget, now), 1);
        assert_eq!(drain(&budget, now + Duration::from_secs(1)), 10);
        assert_eq!(drain(&budget, now + Duration::from_secs(3_600)), 100);
        for _ in 0..1_000 {
            budget.deposit();
        }
        assert_eq!(
            drain(&budget, now + Duration::from_secs(3_600)),
            100,
            "the capacity bounds what is saved up"
        );
    }

    #[test]
    fn a_policy_of_nonsense_still_allows_one_retry() {
        let nan = f64::NAN;
        for (ratio, min_per_second, window_seconds) in [(nan, nan, nan), (-1.0, -1.0, -1.0), (0.0, 0.0, 0.0)]
        {
            let budget = RetryBudget::new(RetryBudgetPolicy { ratio, min_per_second, window_seconds });
            budget.deposit();
            assert_eq!(drain(&budget, Instant::now() + Duration::from_secs(60)), 1);
        }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Deposit,
        Withdraw,
        Pass(u64),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            3 => Just(Act::Deposit),
            5 => Just(Act::Withdraw),
            1 => (0_u64..500).prop_map(Act::Pass),
        ];
        proptest::collection::vec(act, 1..400)
    }

    proptest! {
        #[test]
        fn no_window_sees_more_retries_than_the_formula_allows(
            acts in acts(),
            ratio in 0.0..1.0_f64,
            min_per_second in 0.0..20.0_f64,
            from in any::<proptest::sample::Index>(),
        ) {
            let policy = RetryBudgetPolicy { ratio, min_per_second, window_seconds: 1.0 };
            let (budget, start) = (RetryBudget::new(policy), Instant::now());
            let (mut now, from) = (start, from.index(acts.len()));
            let (mut retries, mut firsts, mut opened) = (0.0, 0.0, start);
            for (index, act) in acts.iter().enumerate() {
                if index == from {
                    (retries, firsts, opened) = (0.0, 0.0, now);
                }
                match act {
                    Act::Deposit => {
                        budget.deposit();
                        firsts += 1.0;
                    }
                    Act::Withdraw => retries += f64::from(u8::from(budget.withdraw(now))),
                    Act::Pass(millis) => now += Duration::from_millis(*millis),
                }
                // What fell due before the window but was not asked for is paid in late: it never exceeds the capacity.
                let window = (now - opened).as_secs_f64();
                let allowed = budget.capacity() + ratio * firsts + min_per_second * window;
                prop_assert!(retries <= allowed + 1e-6, "{retries} retries, {allowed} allowed");
            }
        }
    }
}
