//! What is told of a partition while it is read: the source writes, whoever shows a status reads.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use state::UnixMillis;

/// No offset, no time.
const NONE: u64 = u64::MAX;

/// A partition's places and counts, of this run.
#[derive(Debug)]
pub struct PartitionCounts {
    source: Arc<str>,
    partition: u32,
    began_at: AtomicU64,
    position: AtomicU64,
    end: AtomicU64,
    newest_at: AtomicU64,
    connected: AtomicBool,
    gaps: AtomicU64,
    repeats: AtomicU64,
    stalls: AtomicU64,
    reconnects: AtomicU64,
}

impl PartitionCounts {
    pub(super) fn new(source: Arc<str>, partition: u32, began_at: u64, end: u64) -> Self {
        Self {
            source,
            partition,
            began_at: AtomicU64::new(began_at),
            position: AtomicU64::new(began_at),
            end: AtomicU64::new(end),
            newest_at: AtomicU64::new(NONE),
            connected: AtomicBool::new(false),
            gaps: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }
    }

    /// The name of the source.
    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The partition's number.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The offset at which this run began, or as far as that is known while its leader is waited for.
    #[must_use]
    pub fn began_at(&self) -> u64 {
        self.began_at.load(Relaxed)
    }

    /// The offset of the next record to be read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    /// Where the log ended when it was last looked at, some seconds ago at most while it is connected.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end.load(Relaxed).max(self.position())
    }

    /// Records that are in the log and have not been read.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.end().saturating_sub(self.position())
    }

    /// The age in milliseconds of the newest record read, if there are more: the oldest of those is not older than
    /// that. None if all has been read, or nothing yet.
    #[must_use]
    pub fn unread_age(&self, now: UnixMillis) -> Option<u64> {
        let newest = self.newest_at.load(Relaxed);
        (newest != NONE && self.unread() > 0).then(|| now.saturating_sub(newest))
    }

    /// Whether there is a connection to the leader.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// How often records were passed over, and read again from there.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Relaxed)
    }

    /// How many records came again and were skipped.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Relaxed)
    }

    /// How often the stream gave nothing although there was something.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.stalls.load(Relaxed)
    }

    /// How often the stream was opened again, for these and all other reasons.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// The place to begin at has been found, and where the log ends.
    pub(super) fn begins(&self, at: u64, end: u64) {
        self.began_at.store(at, Relaxed);
        self.position.store(at, Relaxed);
        self.end.store(end, Relaxed);
    }

    pub(super) fn took(&self, next: u64, at: Option<UnixMillis>) {
        self.position.store(next, Relaxed);
        if let Some(at) = at {
            self.newest_at.store(at, Relaxed);
        }
    }

    pub(super) fn ends_at(&self, end: u64) {
        self.end.store(end, Relaxed);
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Relaxed);
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
    }

    pub(super) fn repeat(&self) {
        self.repeats.fetch_add(1, Relaxed);
    }

    pub(super) fn stall(&self) {
        self.stalls.fetch_add(1, Relaxed);
    }

    pub(super) fn reconnect(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }
}
