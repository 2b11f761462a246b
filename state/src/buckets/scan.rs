//! Goes through the trees of the ledger that have no complete filter yet: fills the filter, verifies each value and
//! counts the entries.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::bucket::{Bucket, TREE, missing};
use crate::{
    envelope,
    fault::StateFault,
    key_filter::FilterMemory,
    storage::{Error, catch_panic, database_fault},
};

/// Trees without a complete filter, newest first. Holds the trees, and so the database, open.
pub(crate) struct UnscannedTrees {
    pub(super) trees: Vec<Bucket>,
    pub(super) path: Arc<Path>,
    pub(super) memory: Arc<FilterMemory>,
}

impl UnscannedTrees {
    pub(crate) fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Reads the trees, `step` entries at a time, and asks `go_on` in between. Returns whether all of them were read.
    /// Entries written meanwhile are added to the filter by their writer.
    ///
    /// # Errors
    /// A fault of the store; [`StateFault::Damaged`] if a tree holds fewer entries than it did when it was opened,
    /// [`StateFault::Undecodable`] for a value that has changed.
    pub(crate) fn scan(self, step: usize, mut go_on: impl FnMut() -> bool) -> Result<bool, StateFault> {
        for bucket in &self.trees {
            let (mut entries, mut visited) = (bucket.tree.iter(), 0);
            loop {
                let mut some = 0;
                while some < step
                    && let Some(entry) = catch_panic(&self.path, || entries.next())?
                {
                    match entry {
                        Ok((key, stored)) => {
                            envelope::open(TREE, &key, &stored)?;
                            bucket.filter.add(&key, &self.memory);
                        }
                        // It has expired meanwhile.
                        Err(Error::CollectionNotFound(_)) => break,
                        Err(error) => return Err(database_fault(&self.path, error)),
                    }
                    some += 1;
                }
                visited += some as u64;
                // An expired tree ends early, and so does one for whose keys there is no memory.
                if some < step || bucket.filter.is_exhausted() {
                    break;
                }
                if !go_on() {
                    return Ok(false);
                }
            }
            let whole = !bucket.filter.is_exhausted()
                && bucket.count.is_known()
                && !bucket.count.dropped.load(Relaxed);
            if let Some(expected) = bucket.count.opened.filter(|opened| whole && *opened > visited) {
                return Err(missing(&self.path, expected, visited));
            }
            bucket.filter.completed();
        }
        Ok(true)
    }
}
