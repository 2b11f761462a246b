//! The writes to a simulated database that a crash may undo, and how to undo each.

use std::collections::{BTreeMap, VecDeque};

use super::IVec;

/// How many flushes back a loss of power reaches where flushes are not synced: the system has written older ones back.
const UNSYNCED_FLUSHES: usize = 16;

/// The content of a tree.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// Distinguishes it from an earlier tree of the same name.
    pub(super) number: u64,
    pub(super) map: BTreeMap<IVec, IVec>,
}

/// The writes that a crash may undo.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteLog {
    /// How to undo each, oldest first.
    pub(super) undo: VecDeque<Undo>,
    /// How many writes there were before the first of them.
    pub(super) before: u64,
    /// The number of writes at each unsynced flush, oldest first.
    pub(super) flushes: VecDeque<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Undo {
    /// The replaced values.
    Entries {
        tree: IVec,
        before: Vec<(IVec, Option<IVec>)>,
    },
    Created(IVec),
    Dropped(IVec, Entries),
}

impl WriteLog {
    pub(super) fn push(&mut self, undo: Undo) {
        self.undo.push_back(undo);
    }

    /// How many writes there have been.
    pub(super) fn end(&self) -> u64 {
        self.before + self.undo.len() as u64
    }

    pub(super) fn flushed(&self) -> u64 {
        self.flushes.back().copied().unwrap_or(self.before)
    }

    pub(super) fn flush(&mut self) {
        self.flushes.push_back(self.end());
        while self.flushes.len() > UNSYNCED_FLUSHES
            && let Some(written_back) = self.flushes.pop_front()
        {
            self.forget(written_back);
        }
    }

    /// Makes flushed writes survive a loss of power.
    pub(super) fn sync(&mut self) {
        self.forget(self.flushed());
        self.flushes.clear();
    }

    /// No crash undoes the writes before this one.
    pub(super) fn forget(&mut self, to: u64) {
        let count = usize::try_from(to - self.before).unwrap_or(usize::MAX).min(self.undo.len());
        self.undo.drain(..count);
        self.before += count as u64;
    }
}

impl Entries {
    pub(super) fn put(&mut self, key: IVec, value: Option<IVec>) -> Option<IVec> {
        match value {
            Some(value) => self.map.insert(key, value),
            None => self.map.remove(&key),
        }
    }
}
