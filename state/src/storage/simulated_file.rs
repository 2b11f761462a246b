//! A file of a simulated disk: its bytes, and how to undo the writes that a loss of power may lose.

use std::collections::VecDeque;

/// The most writes to one file that a loss of power can undo; the system has written older ones back.
const UNSYNCED_MAX: usize = 1_024;

/// The content of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// Distinguishes it from an earlier file of the same name.
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// What the writes since the last sync have replaced, oldest first.
    unsynced: VecDeque<Undo>,
}

#[derive(Clone, Debug)]
struct Undo {
    at: usize,
    before: Vec<u8>,
    len: usize,
}

impl Contents {
    /// A file without unsynced writes.
    pub(super) fn synced(number: u64, bytes: &[u8]) -> Self {
        Self { number, bytes: bytes.to_vec(), unsynced: VecDeque::new() }
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: usize) {
        let (len, end) = (self.bytes.len(), at + bytes.len());
        self.bytes.resize(len.max(end), 0);
        self.unsynced.push_back(Undo { at, before: self.bytes[at..end].to_vec(), len });
        if self.unsynced.len() > UNSYNCED_MAX {
            self.unsynced.pop_front();
        }
        self.bytes[at..end].copy_from_slice(bytes);
    }

    /// How many writes a loss of power can undo.
    pub(super) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Undoes all but the first `keep` of them.
    pub(super) fn lose(&mut self, keep: usize) {
        while self.unsynced.len() > keep
            && let Some(Undo { at, before, len }) = self.unsynced.pop_back()
        {
            self.bytes[at..at + before.len()].copy_from_slice(&before);
            self.bytes.truncate(len);
        }
        self.unsynced.clear();
    }
}
