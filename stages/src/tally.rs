//! Counters and gauges of the line: written by any shard, read at any time, never reset.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use state::Histogram;

use crate::stage_times::StageTimes;

/// One counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The current value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of the line as a whole.
#[derive(Debug, Default)]
pub struct Tally {
    /// Dead letters of decode and validate.
    pub rejected: Count,
    /// Events no broker subscribes to.
    pub unrouted: Count,
    /// Events that were let through although their status is not known.
    pub unknown_statuses: Count,
    /// How long each stage takes.
    pub times: StageTimes,
}

/// Counters of one broker's deliveries, by how they ended.
#[derive(Debug, Default)]
pub struct BrokerTally {
    /// Taken by the broker.
    pub delivered: Count,
    /// Duplicates: the broker had been given the event before.
    pub duplicates: Count,
    /// Dead letters.
    pub dead_letters: Count,
    /// Dead letters because the event's id had come before with another body.
    pub conflicts: Count,
    /// Dead letters because the broker's disk queue was full.
    pub queue_full: Count,
    /// Attempts of deliveries that had been attempted before.
    pub retries: Count,
    /// Times a delivery went to disk to wait there.
    pub spilled: Count,
    /// The time from reading the event to its being taken.
    pub latency: Histogram,
    /// What waits now.
    pub gauges: Gauges,
    /// Whether this run has recorded that the broker is disabled.
    disabled_on_record: AtomicBool,
}

/// What waits for one broker now, as its shard stores it. Each value is exact when it is stored; together they may
/// differ slightly.
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
    /// Deliveries in memory for which there is no room on disk.
    pub no_room: Gauge,
    /// When the oldest delivery in memory arrived, in milliseconds since 1970; zero if there is none. Updated every
    /// 100 ms.
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
    /// Marks as recorded that the broker is disabled; true the first time.
    pub(crate) fn note_disabled(&self) -> bool {
        !self.disabled_on_record.swap(true, Ordering::Relaxed)
    }

    /// Marks as recorded that the broker is enabled.
    pub(crate) fn note_enabled(&self) {
        self.disabled_on_record.store(false, Ordering::Relaxed);
    }
}
