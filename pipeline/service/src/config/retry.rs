//! `[retry]` and `[breaker]`: what happens after a failed attempt, for the broker that failed only.

use std::{num::NonZeroU32, time::Duration};

use stages::{BreakerPolicy, RetryBudgetPolicy, RetryPolicy};

use super::{
    section::Section,
    units::{DURATION, NUMBER, count},
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// How a failed delivery is tried again: after a random pause between zero and `base` doubled with each attempt, at
/// most `cap` (full jitter, see "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    /// The longest first pause (default 500 ms, 1 ms to 1 h).
    pub base: Duration,
    /// The longest pause (default 5 min, 1 ms to 1 day).
    pub cap: Duration,
    /// Attempts before the delivery is a dead letter (default 12, 1 to 1000).
    pub attempts_max: u32,
    /// The age at which it becomes one in any case (default 3 days, 1 s to 365 days).
    pub age_max: Duration,
    /// The longest `Retry-After` that is honoured (default 1 h, 0 to 7 days).
    pub retry_after_max: Duration,
    /// The longest wait in memory (default 2 s, 0 to 1 min). For a longer one the delivery spills, and a broker that
    /// is held for longer spills at once.
    pub in_place_max: Duration,
    /// Retries a broker may have for each of its deliveries (default 0.2, 0 to 10), so that retries cannot double
    /// the traffic of a broker that is failing.
    pub budget_ratio: f64,
    /// Retries a second it may have in any case (default 10, 0 to 10000).
    pub budget_min_per_second: u32,
}

/// When a circuit breaker opens, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures of different loads, with nothing taken between them, that open the breaker (default 5, 1 to 1000).
    pub failures: u32,
    /// How long it stays open the first time (default 5 s, 10 ms to 1 h).
    pub open_min: Duration,
    /// How long it stays open at most (default 1 min, 10 ms to 1 day).
    pub open_max: Duration,
}

impl RetryConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            base: s.ranged("base", 500 * MILLI, MILLI..=HOUR, &DURATION),
            cap: s.ranged("cap", 300 * SECOND, MILLI..=DAY, &DURATION),
            attempts_max: s.ranged("attempts_max", 12, 1..=1000, &count()),
            age_max: s.ranged("age_max", 3 * DAY, SECOND..=365 * DAY, &DURATION),
            retry_after_max: s.ranged("retry_after_max", HOUR, Duration::ZERO..=7 * DAY, &DURATION),
            in_place_max: s.ranged("in_place_max", 2 * SECOND, Duration::ZERO..=60 * SECOND, &DURATION),
            budget_ratio: s.ranged("budget_ratio", 0.2, 0.0..=10.0, &NUMBER),
            budget_min_per_second: s.ranged("budget_min_per_second", 10, 0..=10_000, &count()),
        }
    }

    /// When a failed delivery is tried again.
    #[must_use]
    pub fn policy(&self) -> RetryPolicy {
        RetryPolicy {
            base: self.base,
            cap: self.cap,
            attempts_max: self.attempts_max,
            age_max: self.age_max,
            retry_after_max: self.retry_after_max,
            // A pause is waited out in the queue: on the way it would take a place that other loads could be sent from.
            in_place_max: Duration::ZERO,
        }
    }

    /// How many retries a broker may have.
    #[must_use]
    pub fn budget(&self) -> RetryBudgetPolicy {
        RetryBudgetPolicy {
            ratio: self.budget_ratio,
            min_per_second: self.budget_min_per_second.into(),
            ..RetryBudgetPolicy::default()
        }
    }
}

impl BreakerConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            failures: s.ranged("failures", 5, 1..=1000, &count()),
            open_min: s.ranged("open_min", 5 * SECOND, 10 * MILLI..=HOUR, &DURATION),
            open_max: s.ranged("open_max", 60 * SECOND, 10 * MILLI..=DAY, &DURATION),
        }
    }

    /// When a broker is left alone whose attempts take up to `attempt_max`, the wait for a permit included.
    #[must_use]
    pub fn policy(&self, attempt_max: Duration) -> BreakerPolicy {
        let default = BreakerPolicy::default();
        BreakerPolicy {
            failures: NonZeroU32::new(self.failures).unwrap_or(NonZeroU32::MIN),
            open_min: self.open_min,
            open_max: self.open_max,
            // A probe that is only waiting must not be joined by a second one.
            probe_max: default.probe_max.max(attempt_max),
        }
    }
}
