//! Counters of verdicts: cheap to add to from any shard, cheap to read at any time, never reset.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use state::Histogram;

use crate::timed::StageTimes;

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

/// What is counted for the line as a whole.
#[derive(Debug, Default)]
pub struct Tally {
    /// Dead letters of decode and validate.
    pub rejected: Count,
    /// Events no broker subscribes to.
    pub unrouted: Count,
    /// How long each stage takes.
    pub times: StageTimes,
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
    /// Those given up because the event's id had come before with another body.
    pub conflicts: Count,
    /// Those given up because the broker's disk queue was full.
    pub queue_full: Count,
    /// Attempts of deliveries that had been attempted before.
    pub retries: Count,
    /// Times a delivery went to disk to wait there.
    pub spilled: Count,
    /// How long the taken ones took, from being read to being taken.
    pub latency: Histogram,
    /// What waits now.
    pub gauges: Gauges,
    /// Whether this run has recorded that the broker is disabled.
    disabled_on_record: AtomicBool,
}

/// What waits for one broker now, as its shard keeps it: each value is exact when it is stored, together they may be a
/// moment apart.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Deliveries in memory that are not on the wire.
    pub queued: Gauge,
    /// Deliveries on the wire.
    pub on_wire: Gauge,
    /// Deliveries on disk.
    pub spilled: Gauge,
    /// Their bytes, estimated.
    pub spilled_bytes: Gauge,
    /// Deliveries of those in memory that belong on disk, where there is no room for them.
    pub no_room: Gauge,
    /// When the oldest in memory came there, in milliseconds since 1970; zero if there is none. Looked for every tenth
    /// of a second.
    pub oldest_at: Gauge,
}

/// One value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value last set.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl BrokerTally {
    /// Notes that it is on record that the broker is disabled; true the first time.
    pub(crate) fn note_disabled(&self) -> bool {
        !self.disabled_on_record.swap(true, Ordering::Relaxed)
    }

    /// Notes that the broker has been enabled again.
    pub(crate) fn note_enabled(&self) {
        self.disabled_on_record.store(false, Ordering::Relaxed);
    }
}
