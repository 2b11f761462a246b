//! One tree of the ledger, with its filter and the number of its entries.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    clock::UnixMillis,
    commit_marker::digest_key,
    envelope,
    fault::StateFault,
    key_filter::{FilterMemory, KeyFilter},
    storage::{Database, Tree, guarded},
};

pub(super) const PREFIX: &str = "ledger-";

/// The name of all of them in envelopes and faults: entries may move from one to another.
pub(super) const TREE: &str = "ledger";

/// One tree of the ledger: entries recorded from `start` on, for half a window.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) start: UnixMillis,
    pub(super) tree: Tree,
    pub(super) filter: Arc<KeyFilter>,
    pub(super) count: Arc<EntryCount>,
}

/// The least number of entries of a tree: what the last commit of a crashed process has added is not counted.
pub(super) struct EntryCount {
    /// The number when the tree was opened; none if it was not stored, as by an earlier release.
    pub(super) opened: Option<u64>,
    pub(super) now: AtomicU64,
    pub(super) changed: AtomicBool,
    /// Whether entries have been removed. A crash in the middle leaves some that were not counted, or removes some
    /// that were, so from then on their number is unknown.
    pub(super) unknown: AtomicBool,
    /// Whether the tree has been dropped, or is about to be.
    pub(super) dropped: AtomicBool,
}

impl EntryCount {
    pub(super) fn is_known(&self) -> bool {
        self.opened.is_some() && !self.unknown.load(Relaxed)
    }
}

impl Bucket {
    /// Opens the tree of `start`, which holds about `expected` entries, and at least `stored`.
    pub(super) fn open(
        db: &Database,
        path: &Path,
        start: UnixMillis,
        expected: usize,
        kept: Option<u64>,
    ) -> Result<Self, StateFault> {
        let tree = guarded(path, || db.open_tree(format!("{PREFIX}{start}")))?;
        let empty = guarded(path, || tree.first())?.is_none();
        let opened = kept.or(empty.then_some(0));
        if empty && let Some(kept) = kept.filter(|kept| *kept > 0) {
            return Err(missing(path, kept, 0));
        }
        let no = || AtomicBool::new(false);
        let now = AtomicU64::new(opened.unwrap_or(0));
        let count = EntryCount { opened, now, changed: no(), unknown: no(), dropped: no() };
        let filter = Arc::new(if empty { KeyFilter::empty() } else { KeyFilter::unfilled(expected) });
        Ok(Self { start, tree, filter, count: Arc::new(count) })
    }

    pub(super) fn insert(
        &self,
        path: &Path,
        memory: &FilterMemory,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), StateFault> {
        self.filter.add(key, memory);
        let value = envelope::seal(TREE, key, value);
        if guarded(path, || self.tree.insert(key, value))?.is_none() {
            self.count.now.fetch_add(1, Relaxed);
            self.count.changed.store(true, Relaxed);
        }
        Ok(())
    }
}

/// Where the number of entries of the tree of `start` is kept.
pub(super) fn count_key(start: UnixMillis) -> Vec<u8> {
    digest_key(TREE, start.to_string().as_bytes())
}

pub(super) fn missing(path: &Path, written: u64, there: u64) -> StateFault {
    let detail = format!("of {written} entries of a part of the ledger {there} are there");
    StateFault::Damaged { path: path.to_owned(), detail }
}
