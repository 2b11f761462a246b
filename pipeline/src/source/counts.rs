//! What happens to a file while it is read: counted here, looked at by whoever tells of the run.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// How many losses are told in words; all are counted.
const TOLD_MAX: usize = 16;

/// What happened to a file, counted since the source was opened.
#[derive(Debug, Default)]
pub struct FileCounts {
    rotations: AtomicU64,
    truncations: AtomicU64,
    undecided: AtomicU64,
    losses: AtomicU64,
    told: Mutex<VecDeque<String>>,
}

impl FileCounts {
    /// How often the next file was begun after the end of one.
    #[must_use]
    pub fn rotations(&self) -> u64 {
        self.rotations.load(Relaxed)
    }

    /// How often the file was truncated while it was read.
    #[must_use]
    pub fn truncations(&self) -> u64 {
        self.truncations.load(Relaxed)
    }

    /// How often the names of rotated files did not tell their order, so that they were read by their last changes.
    #[must_use]
    pub fn undecided(&self) -> u64 {
        self.undecided.load(Relaxed)
    }

    /// How often bytes were lost, or may have been: a file was gone, truncated or damaged before it was read.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Relaxed)
    }

    /// What was lost, the last 16 of it, each in one phrase.
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

    pub(super) fn lose(&self, epoch: u64, from: u64, what: &str) {
        self.losses.fetch_add(1, Relaxed);
        let mut told = self.told.lock();
        if told.len() == TOLD_MAX {
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
