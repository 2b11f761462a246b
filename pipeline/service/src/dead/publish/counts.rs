//! Counts of the dead letters published in this run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What publishing has come to in this run.
#[derive(Debug, Default)]
pub struct DeadTopicCounts {
    published: AtomicU64,
    connected: AtomicBool,
}

impl DeadTopicCounts {
    /// Letters the cluster has taken; one that was sent again because its answer was lost counts once.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Relaxed)
    }

    /// Whether the cluster has done what it was last asked.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    pub(super) fn add(&self, letters: u64) {
        self.published.fetch_add(letters, Relaxed);
    }

    pub(super) fn connected(&self, is: bool) {
        self.connected.store(is, Relaxed);
    }
}
