//! Counts of what happened to a file while it was read, for status and metrics.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// How many losses are kept as text; all are counted.
const LOSS_TEXTS_MAX: usize = 16;

/// Counts since the source was opened.
#[derive(Debug, Default)]
pub struct FileCounts {
    rotations: AtomicU64,
    truncations: AtomicU64,
    undecided: AtomicU64,
    losses: AtomicU64,
    told: Mutex<VecDeque<String>>,
}

impl FileCounts {
    /// How often the next file was begun.
    #[must_use]
    pub fn rotations(&self) -> u64 {
        self.rotations.load(Relaxed)
    }

    /// How often the file was truncated while it was read.
    #[must_use]
    pub fn truncations(&self) -> u64 {
        self.truncations.load(Relaxed)
    }

    /// How often the names of rotated files did not decide their order, so that they were read by their last changes.
    #[must_use]
    pub fn undecided(&self) -> u64 {
        self.undecided.load(Relaxed)
    }

    /// How often bytes were lost, or may have been: a file was gone, truncated or damaged before it was read.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Relaxed)
    }

    /// The last 16 losses, each in one phrase.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        self.told.lock().iter().cloned().collect()
    }

    pub(super) fn rotation(&self) {
        self.rotations.fetch_add(1, Relaxed);
    }

    pub(super) fn truncation(&self) {
        self.truncations.fetch_add(1, Relaxed);
    }

    pub(super) fn undecide(&self) {
        self.undecided.fetch_add(1, Relaxed);
    }

    pub(super) fn record_loss(&self, epoch: u64, from: u64, what: &str) {
        self.losses.fetch_add(1, Relaxed);
        let mut told = self.told.lock();
        if told.len() == LOSS_TEXTS_MAX {
            told.pop_front();
        }
        told.push_back(loss_text(epoch, from, what));
    }
}

/// A loss in one phrase.
#[must_use]
pub fn loss_text(epoch: u64, from: u64, what: &str) -> String {
    format!("file {epoch} from byte {from} on: {what}")
}
