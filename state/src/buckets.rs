//! The ledger's trees: one per half dedupe window, so that a look-up visits at most four and expiry drops whole trees.
//! Entries that come from another directory stand in the tree of their own time, for which there can be three more trees
//! until they expire.
//!
//! Dropping a tree frees millions of keys a second, deleting them one by one 63,000; and because there are few trees,
//! a look-up that misses, the common case, costs few. An entry lives at least one window and at most one and a half
//! windows and the time to the next rotation.

use std::{path::Path, sync::Arc};

use parking_lot::RwLock;

use crate::{clock::UnixMillis, fault::StateFault, store::sled_fault};

const PREFIX: &str = "ledger-";

/// One tree of the ledger: entries recorded from `start` on, for half a window.
#[derive(Clone)]
struct Bucket {
    start: UnixMillis,
    tree: sled::Tree,
}

/// The ledger's trees, newest first.
pub(crate) struct Buckets {
    path: Arc<Path>,
    window: u64,
    trees: RwLock<Arc<[Bucket]>>,
}

impl Buckets {
    /// Opens the trees there are, and one for `now`.
    pub(crate) fn open(
        db: &sled::Db,
        path: &Arc<Path>,
        window: u64,
        now: UnixMillis,
    ) -> Result<Self, StateFault> {
        let mut found = Vec::new();
        for name in db.tree_names() {
            let start =
                std::str::from_utf8(&name).ok().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            if let Some(start) = start {
                let tree = db.open_tree(&name).map_err(|error| sled_fault(path, error))?;
                found.push(Bucket { start, tree });
            }
        }
        found.sort_by_key(|bucket| std::cmp::Reverse(bucket.start));
        let buckets = Self { path: path.clone(), window, trees: RwLock::new(found.into()) };
        buckets.rotate(db, now)?;
        Ok(buckets)
    }

    /// The newest value under `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, StateFault> {
        let trees = self.trees.read().clone();
        for bucket in trees.iter() {
            if let Some(value) = bucket.tree.get(key).map_err(|error| sled_fault(&self.path, error))? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Writes `value` under `key` in the newest tree.
    pub(crate) fn insert(&self, key: &[u8], value: Vec<u8>) -> Result<(), StateFault> {
        let trees = self.trees.read().clone();
        if let Some(newest) = trees.first() {
            newest.tree.insert(key, value).map_err(|error| sled_fault(&self.path, error))?;
        }
        Ok(())
    }

    /// Writes `value` under `key` in the tree that entries recorded at `at` belong to, so that it lives as long as if it
    /// had been recorded here; gives that tree's start. A value in a newer tree is still found before it.
    pub(crate) fn insert_at(
        &self,
        db: &sled::Db,
        at: UnixMillis,
        key: &[u8],
        value: Vec<u8>,
    ) -> Result<UnixMillis, StateFault> {
        let width = (self.window / 2).max(1);
        let trees = self.trees.read().clone();
        // One whose clock was ahead belongs to the newest.
        let newest = trees.first().filter(|bucket| at >= bucket.start);
        let covers = |bucket: &&Bucket| (bucket.start..bucket.start.saturating_add(width)).contains(&at);
        let bucket = match newest.or_else(|| trees.iter().find(covers)) {
            Some(bucket) => bucket.clone(),
            // From a whole multiple of the width, so that few trees serve all that comes.
            None => self.add(db, at - at % width)?,
        };
        bucket.tree.insert(key, value).map_err(|error| sled_fault(&self.path, error))?;
        Ok(bucket.start)
    }

    /// Adds a tree among the others.
    fn add(&self, db: &sled::Db, start: UnixMillis) -> Result<Bucket, StateFault> {
        let tree = db.open_tree(format!("{PREFIX}{start}")).map_err(|error| sled_fault(&self.path, error))?;
        let bucket = Bucket { start, tree };
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
        newer
            .map(|bucket| bucket.tree.remove(key).map(drop))
            .try_for_each(|removed| removed.map_err(|error| sled_fault(&self.path, error)))
    }

    /// The newest value of every key, in the order of the keys, read one at a time.
    pub(crate) fn newest_entries(
        &self,
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), StateFault>> + use<'_> {
        let trees = self.trees.read().clone();
        let mut trees: Vec<_> = trees.iter().map(|bucket| bucket.tree.iter().peekable()).collect();
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
            Some(item.map_err(|error| sled_fault(&self.path, error)))
        })
    }

    /// How many entries there are; visits every one.
    pub(crate) fn len(&self) -> usize {
        self.trees.read().iter().map(|bucket| bucket.tree.len()).sum()
    }

    /// Starts a new tree when the newest has covered half a window, and drops those whose every entry is older than a
    /// window. A clock that steps back keeps the newest tree in use.
    pub(crate) fn rotate(&self, db: &sled::Db, now: UnixMillis) -> Result<(), StateFault> {
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
            let name = format!("{PREFIX}{now}");
            let tree = db.open_tree(name).map_err(|error| sled_fault(&self.path, error))?;
            kept.push(Bucket { start: now, tree });
        }
        kept.extend(old.iter().filter(|bucket| !expired(bucket)).cloned());
        *self.trees.write() = kept.into();
        for bucket in old.iter().filter(|bucket| expired(bucket)) {
            db.drop_tree(bucket.tree.name()).map_err(|error| sled_fault(&self.path, error))?;
            tracing::info!(from = bucket.start, "dropped an expired part of the ledger");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, now: UnixMillis) -> (sled::Db, Buckets) {
        let db = sled::Config::new().path(dir).flush_every_ms(None).open().unwrap();
        let buckets = Buckets::open(&db, &Arc::from(dir), 1_000, now).unwrap();
        (db, buckets)
    }

    fn trees(buckets: &Buckets) -> usize {
        buckets.trees.read().len()
    }

    #[test]
    fn an_entry_is_found_for_at_least_a_window_and_gone_after_two() {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 10_000);
        for now in (10_000..20_000).step_by(50) {
            buckets.rotate(&db, now).unwrap();
            let key = now.to_be_bytes();
            buckets.insert(&key, vec![1]).unwrap();
            let within = (now - 1_000).max(10_000);
            assert!(
                buckets.get(&within.to_be_bytes()).unwrap().is_some(),
                "an entry of {within} is missing at {now}"
            );
            if now >= 12_000 {
                assert!(
                    buckets.get(&(now - 2_000).to_be_bytes()).unwrap().is_none(),
                    "an old entry is kept at {now}"
                );
            }
            assert!(trees(&buckets) <= 4);
        }
    }

    #[test]
    fn the_newest_value_of_a_key_wins_across_trees_and_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 0);
        buckets.insert(b"k", vec![1]).unwrap();
        buckets.rotate(&db, 600).unwrap();
        buckets.insert(b"k", vec![2]).unwrap();
        drop((db, buckets));
        let (_db, buckets) = open(dir.path(), 700);
        assert_eq!(buckets.get(b"k").unwrap().as_deref(), Some(&[2][..]));
    }

    #[test]
    fn an_entry_of_another_time_lives_as_long_as_if_it_had_been_recorded_here() {
        for at in (9_000..=10_300).step_by(50) {
            let dir = tempfile::tempdir().unwrap();
            let (db, buckets) = open(dir.path(), 9_900);
            buckets.rotate(&db, 10_000).unwrap();
            let start = buckets.insert_at(&db, at, b"k", vec![1]).unwrap();
            assert!(start <= at && trees(&buckets) <= 2);
            for now in (10_000..12_000).step_by(50) {
                buckets.rotate(&db, now).unwrap();
                let found = buckets.get(b"k").unwrap().is_some();
                assert!(found || now > at + 1_000, "an entry of {at} is missing at {now}");
                assert!(!found || now <= at.max(10_000) + 2_000, "an entry of {at} is kept at {now}");
            }
        }
    }

    #[test]
    fn few_trees_serve_all_that_comes_and_the_newest_value_of_each_key_is_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 10_000);
        for at in 9_000..=10_000_u64 {
            buckets.insert_at(&db, at, &(at % 100).to_be_bytes(), at.to_be_bytes().to_vec()).unwrap();
        }
        assert!(trees(&buckets) <= 4, "{}", trees(&buckets));
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
        let given =
            buckets.newest_entries().map(|item| item.map(|(key, value)| (number(&key), number(&value))));
        let expected: Vec<_> =
            (0..100).map(|key| (key, if key == 0 { 10_000 } else { 9_900 + key })).collect();
        assert_eq!(given.collect::<Result<Vec<_>, _>>().unwrap(), expected);
        let (key, get) = (42_u64.to_be_bytes(), || buckets.get(&42_u64.to_be_bytes()).unwrap());
        buckets.remove_newer(&key, Some(9_000)).unwrap();
        assert_eq!(number(&get().unwrap()), 9_442);
        buckets.remove_newer(&key, None).unwrap();
        assert!(get().is_none());
    }

    #[test]
    fn a_clock_that_steps_back_neither_rotates_nor_drops() {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 10_000);
        buckets.rotate(&db, 10).unwrap();
        assert_eq!(trees(&buckets), 1);
    }
}
