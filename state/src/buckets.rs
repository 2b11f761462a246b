//! The ledger's trees: one for each half of the dedupe window, so that a look-up visits at most four trees and expiry
//! drops whole ones. An entry lives at least one window, and at most one and a half windows and the time to the next
//! rotation.
//!
//! Entries from another directory stand in the tree of their own time; for them there can be three more trees until they
//! expire. For most keys that no tree holds, [`KeyFilter`](crate::key_filter::KeyFilter) answers without a read.
//!
//! Dropping a tree frees millions of keys a second; deleting them one by one, 63,000.

mod bucket;
mod scan;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use parking_lot::RwLock;

use self::bucket::{Bucket, PREFIX, TREE, count_key, missing};
pub(crate) use self::scan::UnscannedTrees;
use crate::{
    clock::UnixMillis,
    commit_marker::StoredDigests,
    envelope,
    fault::StateFault,
    key_filter::FilterMemory,
    storage::{Database, Error, IVec, catch_panic, database_fault, guarded, guarded_items},
    table::Table,
};

/// About what sled takes on disk for an entry, in bytes.
const ENTRY_BYTES: u64 = 280;

/// The ledger's trees, newest first.
pub(crate) struct Buckets {
    path: Arc<Path>,
    /// Where the counts are stored.
    meta: Table,
    window: u64,
    trees: RwLock<Arc<[Bucket]>>,
    /// Shared by the filters of all trees.
    memory: Arc<FilterMemory>,
}

impl Buckets {
    /// Opens the existing trees, and one for `now`. Their filters take at most `filter_max` bytes; `stored` has the
    /// least number of entries of each.
    pub(crate) fn open(
        db: &Database,
        meta: Table,
        (path, window): (&Arc<Path>, u64),
        filter_max: u64,
        kept: &StoredDigests,
        now: UnixMillis,
    ) -> Result<Self, StateFault> {
        let kept: BTreeMap<UnixMillis, u64> = kept
            .iter()
            .filter(|((tree, _), _)| tree == TREE)
            .filter_map(|((_, start), kept)| {
                Some((std::str::from_utf8(start).ok()?.parse().ok()?, kept.tally.entries))
            })
            .collect();
        let start = |name: IVec| std::str::from_utf8(&name).ok()?.strip_prefix(PREFIX)?.parse().ok();
        let starts: Vec<UnixMillis> = db.tree_names().into_iter().filter_map(start).collect();
        // An estimate, because counting would visit every entry. What else is in the database makes it too high,
        // never too low.
        let bytes = guarded(path, || db.size_on_disk())?;
        if let Some((_, entries)) =
            kept.iter().find(|(start, entries)| **entries > 0 && !starts.contains(start))
        {
            return Err(missing(path, *entries, 0));
        }
        let expected = usize::try_from(bytes / ENTRY_BYTES).unwrap_or_default() / starts.len().max(1);
        let found = starts
            .into_iter()
            .map(|start| Bucket::open(db, path, start, expected, kept.get(&start).copied()));
        let mut found = found.collect::<Result<Vec<_>, _>>()?;
        found.sort_by_key(|bucket| std::cmp::Reverse(bucket.start));
        let (trees, memory) = (RwLock::new(found.into()), Arc::new(FilterMemory::new(filter_max)));
        let buckets = Self { path: path.clone(), meta, window, trees, memory };
        buckets.rotate(db, now)?;
        Ok(buckets)
    }

    /// The newest value under `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<IVec>, StateFault> {
        let trees = self.trees.read().clone();
        for bucket in trees.iter().filter(|bucket| bucket.filter.may_contain(key)) {
            match catch_panic(&self.path, || bucket.tree.get(key))? {
                Ok(Some(stored)) => return bare(key, &stored).map(Some),
                // It has expired since the list was read.
                Ok(None) | Err(Error::CollectionNotFound(_)) => {}
                Err(error) => return Err(database_fault(&self.path, error)),
            }
        }
        Ok(None)
    }

    /// Writes `value` under `key` in the newest tree.
    pub(crate) fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), StateFault> {
        let trees = self.trees.read().clone();
        if let Some(newest) = trees.first() {
            newest.insert(&self.path, &self.memory, key, value)?;
        }
        Ok(())
    }

    /// Writes `value` under `key` in the tree that entries recorded at `at` belong to, so that it lives as long as if it
    /// had been recorded here; gives that tree's start. A value in a newer tree is still found before it.
    pub(crate) fn insert_at(
        &self,
        db: &Database,
        at: UnixMillis,
        key: &[u8],
        value: &[u8],
    ) -> Result<UnixMillis, StateFault> {
        let width = (self.window / 2).max(1);
        let trees = self.trees.read().clone();
        // An entry of a clock that was ahead belongs to the newest tree.
        let newest = trees.first().filter(|bucket| at >= bucket.start);
        let covers = |bucket: &&Bucket| (bucket.start..bucket.start.saturating_add(width)).contains(&at);
        let bucket = match newest.or_else(|| trees.iter().find(covers)) {
            Some(bucket) => bucket.clone(),
            // Starts at a multiple of the width, so that few trees serve all entries.
            None => self.add(db, at - at % width)?,
        };
        bucket.insert(&self.path, &self.memory, key, value)?;
        Ok(bucket.start)
    }

    /// Adds a tree among the others.
    fn add(&self, db: &Database, start: UnixMillis) -> Result<Bucket, StateFault> {
        let bucket = Bucket::open(db, &self.path, start, 0, None)?;
        let mut trees = self.trees.write();
        let mut all = trees.to_vec();
        all.push(bucket.clone());
        all.sort_by_key(|bucket| std::cmp::Reverse(bucket.start));
        *trees = all.into();
        Ok(bucket)
    }

    /// Removes what stands under `key` in the trees that are newer than that of `start`; in all of them if there is none.
    pub(crate) fn remove_newer(&self, key: &[u8], start: Option<UnixMillis>) -> Result<(), StateFault> {
        let trees = self.trees.read().clone();
        let newer = trees.iter().filter(|bucket| start.is_none_or(|start| bucket.start > start));
        for bucket in newer {
            if guarded(&self.path, || bucket.tree.contains_key(key))? {
                self.forget_count(bucket)?;
                guarded(&self.path, || bucket.tree.remove(key))?;
            }
        }
        Ok(())
    }

    /// Removes the stored number of entries of this tree. Called before the first entry is removed, so that a crash
    /// leaves no number that is too high.
    fn forget_count(&self, bucket: &Bucket) -> Result<(), StateFault> {
        if bucket.count.unknown.swap(true, Relaxed) {
            return Ok(());
        }
        self.meta.remove(&count_key(bucket.start))
    }

    /// The newest value of every key, in the order of the keys, read one at a time.
    pub(crate) fn newest_entries(&self) -> impl Iterator<Item = Result<(IVec, IVec), StateFault>> + use<'_> {
        let trees = self.trees.read().clone();
        let mut trees: Vec<_> =
            trees.iter().map(|bucket| guarded_items(&self.path, bucket.tree.iter()).peekable()).collect();
        std::iter::from_fn(move || {
            // A fault comes before any key.
            let heads = trees.iter_mut().enumerate().filter_map(|(index, tree)| {
                tree.peek().map(|head| (head.as_ref().ok().map(|(key, _)| key.clone()), index))
            });
            // Of equal keys that of the newest tree, which comes first.
            let (key, index) = heads.min()?;
            let item = trees[index].next()?;
            for tree in &mut trees {
                let _older =
                    tree.next_if(|head| head.as_ref().is_ok_and(|(other, _)| Some(other) == key.as_ref()));
            }
            Some(item.and_then(|(key, stored)| Ok((key.clone(), bare(&key, &stored)?))))
        })
    }

    /// The trees whose filters are not complete yet.
    pub(crate) fn unscanned(&self) -> UnscannedTrees {
        let trees = self.trees.read().iter().filter(|bucket| !bucket.filter.is_complete()).cloned().collect();
        UnscannedTrees { trees, path: self.path.clone(), memory: self.memory.clone() }
    }

    /// The number of entries of each tree that has changed since the last call, where it is known.
    pub(crate) fn take_changed(&self) -> Vec<(UnixMillis, u64)> {
        let trees = self.trees.read();
        let changed = trees.iter().filter(|bucket| bucket.count.changed.swap(false, Relaxed));
        let known = changed.filter(|bucket| bucket.count.is_known());
        known.map(|bucket| (bucket.start, bucket.count.now.load(Relaxed))).collect()
    }

    /// How many entries there are; visits every one.
    pub(crate) fn len(&self) -> usize {
        let entries =
            |bucket: &Bucket| guarded_items(&self.path, bucket.tree.iter()).filter(Result::is_ok).count();
        self.trees.read().iter().map(entries).sum()
    }

    /// Starts a new tree when the newest has covered half a window, and drops those whose every entry is older than a
    /// window. A clock that steps back keeps the newest tree in use.
    pub(crate) fn rotate(&self, db: &Database, now: UnixMillis) -> Result<(), StateFault> {
        let width = (self.window / 2).max(1);
        let old = self.trees.read().clone();
        let newest = old.first().map(|bucket| bucket.start);
        let due = newest.is_none_or(|start| now >= start.saturating_add(width));
        let expired = |bucket: &Bucket| bucket.start.saturating_add(width).saturating_add(self.window) < now;
        if !due && !old.iter().any(expired) {
            return Ok(());
        }
        let mut kept: Vec<Bucket> = Vec::with_capacity(4);
        if due {
            kept.push(Bucket::open(db, &self.path, now, 0, None)?);
        }
        kept.extend(old.iter().filter(|bucket| !expired(bucket)).cloned());
        *self.trees.write() = kept.into();
        for bucket in old.iter().filter(|bucket| expired(bucket)) {
            bucket.count.dropped.store(true, Relaxed);
            // Before the tree, so that no count without its tree is left by a crash.
            self.meta.remove(&count_key(bucket.start))?;
            guarded(&self.path, || db.drop_tree(bucket.tree.name()))?;
            bucket.filter.forget(&self.memory);
            tracing::info!(from = bucket.start, "dropped an expired part of the ledger");
        }
        Ok(())
    }
}

/// The value without its envelope.
fn bare(key: &[u8], stored: &IVec) -> Result<IVec, StateFault> {
    let begin = envelope::open(TREE, key, stored)?;
    Ok(stored.subslice(begin, stored.len() - begin))
}
