//! How many dead letters there are by cause. The count goes through the stored letters once, and from then on follows each
//! letter that is written or removed; until it is complete it covers the keys up to where it has come.

use std::collections::BTreeMap;

use crate::dead_letter::{DeadLetter, QUEUE_FULL, StageName};

/// How many dead letters there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadCounts {
    /// By stage and cause, both bounded sets.
    pub by_cause: BTreeMap<(StageName, String), u64>,
    /// Whether all have been counted; if not, there are at least this many.
    pub complete: bool,
}

#[derive(Debug, Default)]
pub(super) struct LetterCounts {
    pub(super) counts: DeadCounts,
    /// The last key counted; none before the first.
    pub(super) reached: Option<Vec<u8>>,
    /// The bytes of the counted letters that a full disk queue has made.
    pub(super) full: u64,
}

impl LetterCounts {
    /// Whether the count has come past `key`.
    pub(super) fn has_counted(&self, key: &[u8]) -> bool {
        self.counts.complete || self.reached.as_ref().is_some_and(|reached| key <= reached.as_slice())
    }

    pub(super) fn add(&mut self, letter: &DeadLetter) {
        if letter.cause == QUEUE_FULL {
            self.full += bytes(letter);
        }
        *self.counts.by_cause.entry((letter.stage, letter.cause.clone())).or_default() += 1;
    }

    pub(super) fn remove(&mut self, letter: &DeadLetter) {
        if letter.cause == QUEUE_FULL {
            self.full = self.full.saturating_sub(bytes(letter));
        }
        let cause = (letter.stage, letter.cause.clone());
        if let Some(count) = self.counts.by_cause.get_mut(&cause) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.by_cause.remove(&cause);
            }
        }
    }
}

/// About what a letter takes on disk.
pub(super) fn bytes(letter: &DeadLetter) -> u64 {
    letter.body.len() as u64 + 256
}
