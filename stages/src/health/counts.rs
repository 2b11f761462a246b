//! What is counted for a broker: events of its attempts enter one by one, a snapshot leaves.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has been counted for a broker since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthCounts {
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts answered 2xx.
    pub successes: u64,
    /// Attempts that failed, for whatever reason.
    pub failures: u64,
    /// Those of the failures with which the receiver asked for a pause.
    pub throttled: u64,
    /// Those with which it refused the event or every event: 4xx, 410 included.
    pub refused: u64,
    /// Those without a status: a timeout or a broken connection.
    pub unanswered: u64,
    /// Those in which nothing was sent, because the address is not allowed.
    pub unsent: u64,
    /// The rest of the failures: 5xx, 3xx, 408 and 425.
    pub unwell: u64,
    /// How often the breaker opened, failed probes included.
    pub opened: u64,
    /// Retries put off because the retry budget was empty.
    pub deferred: u64,
    /// Attempts that may repeat one of a run that ended before its outcome was on record.
    pub repeats_after_crash: u64,
    /// Attempts that may repeat an earlier one whose answer never came.
    pub repeats_after_no_answer: u64,
    /// Attempts that may repeat one that the receiver has refused: it may have taken it before it said so.
    pub repeats_after_refusal: u64,
}

/// The counts as they grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) attempts: AtomicU64,
    pub(super) successes: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) unwell: AtomicU64,
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
            unwell: get(&self.unwell),
            opened: get(&self.opened),
            deferred: get(&self.deferred),
            repeats_after_crash: get(&self.repeats_after_crash),
            repeats_after_no_answer: get(&self.repeats_after_no_answer),
            repeats_after_refusal: get(&self.repeats_after_refusal),
        }
    }
}

/// One more.
pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
