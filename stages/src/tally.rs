//! Counters of verdicts: cheap to add to from any shard, cheap to read at any time, never reset.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// What has been added so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Records that never became deliveries.
#[derive(Debug, Default)]
pub struct Tally {
    /// Dead letters of decode and validate.
    pub rejected: Count,
    /// Events no broker subscribes to.
    pub unrouted: Count,
}

/// One broker's deliveries by how they ended.
#[derive(Debug, Default)]
pub struct BrokerTally {
    /// Taken by the broker.
    pub delivered: Count,
    /// Not needed: the broker had been given the event before.
    pub duplicates: Count,
    /// Given up.
    pub dead_letters: Count,
    /// Times a delivery went to disk to wait there.
    pub spilled: Count,
    /// Whether this run has recorded that the broker is disabled.
    disabled_on_record: AtomicBool,
}

impl BrokerTally {
    /// Notes that it is on record that the broker is disabled; true the first time.
    pub(crate) fn note_disabled(&self) -> bool {
        !self.disabled_on_record.swap(true, Ordering::Relaxed)
    }
}
