//! Counts of requests by what became of them. Every request is counted once; a snapshot can be had at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Refusal, Times};

/// What a receiver has seen so far. `taken` and the last six add up to `requests`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests whose fate was decided.
    pub requests: u64,
    /// Events taken, repeats and conflicts included.
    pub taken: u64,
    /// Those of them whose id had been taken before with the same bytes.
    pub repeats: u64,
    /// Those of them whose id had been taken before with other bytes.
    pub conflicts: u64,
    /// Those of them whose caller was not told.
    pub lost_answers: u64,
    /// Webhook ids that had to make room: a repeat of one of them counts as new.
    pub forgotten_ids: u64,
    /// Not taken: unsigned, wrongly signed, or stale.
    pub refused_signatures: u64,
    /// Not taken: no POST, no usable `webhook-id`, or a body that was too large, too slow or cut.
    pub malformed: u64,
    /// Not taken: answered 429.
    pub throttled: u64,
    /// Not taken: answered 500.
    pub failed: u64,
    /// Not taken: answered with the behaviour's own status.
    pub answered_otherwise: u64,
    /// Not taken: left without an answer.
    pub unanswered: u64,
}

impl Counts {
    /// Events taken for the first time.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.taken.saturating_sub(self.repeats).saturating_sub(self.conflicts)
    }
}

/// The counters behind [`Counts`].
#[derive(Debug, Default)]
pub(crate) struct Tally {
    taken: AtomicU64,
    repeats: AtomicU64,
    conflicts: AtomicU64,
    lost_answers: AtomicU64,
    forgotten_ids: AtomicU64,
    refused_signatures: AtomicU64,
    malformed: AtomicU64,
    throttled: AtomicU64,
    failed: AtomicU64,
    answered_otherwise: AtomicU64,
    unanswered: AtomicU64,
}

impl Tally {
    /// An event was taken.
    pub(crate) fn take(&self, times: Times) {
        self.taken.fetch_add(1, Relaxed);
        match times {
            Times::First => 0,
            Times::Repeat => self.repeats.fetch_add(1, Relaxed),
            Times::Conflict => self.conflicts.fetch_add(1, Relaxed),
        };
    }

    /// The caller of a taken request will not be told.
    pub(crate) fn lose_answer(&self) {
        self.lost_answers.fetch_add(1, Relaxed);
    }

    /// So many ids have been forgotten so far.
    pub(crate) fn forgotten(&self, ids: u64) {
        self.forgotten_ids.fetch_max(ids, Relaxed);
    }

    /// A request was not taken.
    pub(crate) fn turn_away(&self, why: Refusal) {
        let counter = match why {
            Refusal::Unsigned | Refusal::Stale | Refusal::WrongSignature => &self.refused_signatures,
            Refusal::NotPost
            | Refusal::NoId
            | Refusal::IdTooLong
            | Refusal::TooLarge
            | Refusal::TooSlow
            | Refusal::Cut => &self.malformed,
            Refusal::Throttled => &self.throttled,
            Refusal::Failed => &self.failed,
            Refusal::Answered(_) => &self.answered_otherwise,
            Refusal::Unanswered | Refusal::HungUp => &self.unanswered,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// The counts now. Requests judged meanwhile may be in some of them and not yet in others.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts {
            requests: 0,
            taken: self.taken.load(Relaxed),
            repeats: self.repeats.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            lost_answers: self.lost_answers.load(Relaxed),
            forgotten_ids: self.forgotten_ids.load(Relaxed),
            refused_signatures: self.refused_signatures.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            failed: self.failed.load(Relaxed),
            answered_otherwise: self.answered_otherwise.load(Relaxed),
            unanswered: self.unanswered.load(Relaxed),
        };
        counts.requests = counts.taken
            + counts.refused_signatures
            + counts.malformed
            + counts.throttled
            + counts.failed
            + counts.answered_otherwise
            + counts.unanswered;
        counts
    }
}
