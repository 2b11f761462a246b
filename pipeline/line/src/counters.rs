//! What all shards of a line count together: bytes on disk, brokers that lag, letters under way.
//!
//! A shard's core adds to the counters and reads them as one more input of a step. What other shards do at the same moment
//! may be seen or not: every decision that depends on a counter is right either way, and is made again soon.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    spilled_bytes: AtomicU64,
    spilled: AtomicU64,
    /// Brokers whose deliveries have waited longer than `spill_after`, at the last tick.
    lagging: AtomicUsize,
    /// Those, and those that are held.
    behind: AtomicUsize,
    /// Bytes of the deliveries that are on their way to become dead letters for want of room.
    giving_up: AtomicU64,
}

impl Counters {
    /// So many deliveries of so many bytes have gone to disk.
    pub(super) fn spill(&self, deliveries: u64, bytes: u64) {
        self.spilled_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.spilled.fetch_add(deliveries, Ordering::Relaxed);
    }

    /// A delivery of so many bytes has left the disk.
    pub(super) fn unspill(&self, bytes: u64) {
        self.spilled_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.spilled.fetch_sub(1, Ordering::Relaxed);
    }

    /// Bytes on disk, over all brokers.
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes.load(Ordering::Relaxed)
    }

    /// Deliveries on disk, over all brokers.
    pub(super) fn spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// A broker that counted as lagging or not now counts so.
    pub(super) fn lagging(&self, before: bool, now: bool) {
        change(&self.lagging, before, now);
    }

    /// A broker that counted as lagging or held, or not, now counts so.
    pub(super) fn behind(&self, before: bool, now: bool) {
        change(&self.behind, before, now);
    }

    /// Whether each of so many brokers lags: then it is a surge.
    pub(super) fn do_all_lag(&self, brokers: usize) -> bool {
        self.lagging.load(Ordering::Relaxed) >= brokers
    }

    /// Whether one of so many brokers neither lags nor is held.
    pub(super) fn does_one_keep_up(&self, brokers: usize) -> bool {
        self.behind.load(Ordering::Relaxed) < brokers
    }

    /// A delivery of so many bytes is being given up.
    pub(super) fn give_up(&self, bytes: u64) {
        self.giving_up.fetch_add(bytes, Ordering::Relaxed);
    }

    /// That has come to its end.
    pub(super) fn given_up(&self, bytes: u64) {
        self.giving_up.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that are being given up.
    pub(super) fn giving_up(&self) -> u64 {
        self.giving_up.load(Ordering::Relaxed)
    }
}

fn change(counter: &AtomicUsize, before: bool, now: bool) {
    match (before, now) {
        (false, true) => drop(counter.fetch_add(1, Ordering::Relaxed)),
        (true, false) => drop(counter.fetch_sub(1, Ordering::Relaxed)),
        _ => {}
    }
}
