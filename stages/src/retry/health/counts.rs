//! Counters of a broker's attempts, and a snapshot of them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a broker's attempts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthCounts {
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts answered 2xx.
    pub successes: u64,
    /// Attempts that failed, for whatever reason.
    pub failures: u64,
    /// Failures with which the receiver asked for a pause.
    pub throttled: u64,
    /// Failures with which it refused the event or every event: 4xx, 410 included.
    pub refused: u64,
    /// Failures without a status: a timeout or a broken connection.
    pub unanswered: u64,
    /// Failures in which nothing was sent, because the address is not allowed.
    pub unsent: u64,
    /// Other failures: 5xx, 3xx, 408 and 425.
    pub server_errors: u64,
    /// How often the breaker opened, failed probes included.
    pub opened: u64,
    /// Retries deferred because the retry budget was empty.
    pub deferred: u64,
    /// Attempts that may repeat one of a run that ended before its outcome was recorded.
    pub repeats_after_crash: u64,
    /// Attempts that may repeat an earlier one whose answer never came.
    pub repeats_after_no_answer: u64,
    /// Attempts that may repeat one that the receiver has refused, possibly after it had taken the event.
    pub repeats_after_refusal: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) attempts: AtomicU64,
    pub(super) successes: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) server_errors: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) deferred: AtomicU64,
    pub(super) repeats_after_crash: AtomicU64,
    pub(super) repeats_after_no_answer: AtomicU64,
    pub(super) repeats_after_refusal: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> HealthCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HealthCounts {
            attempts: get(&self.attempts),
            successes: get(&self.successes),
            failures: get(&self.failures),
            throttled: get(&self.throttled),
            refused: get(&self.refused),
            unanswered: get(&self.unanswered),
            unsent: get(&self.unsent),
            server_errors: get(&self.server_errors),
            opened: get(&self.opened),
            deferred: get(&self.deferred),
            repeats_after_crash: get(&self.repeats_after_crash),
            repeats_after_no_answer: get(&self.repeats_after_no_answer),
            repeats_after_refusal: get(&self.repeats_after_refusal),
        }
    }
}

/// Adds one.
pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
