//! The ledger's trees: one per half dedupe window, so that a look-up visits at most four and expiry drops whole trees.
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
    fn a_clock_that_steps_back_neither_rotates_nor_drops() {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 10_000);
        buckets.rotate(&db, 10).unwrap();
        assert_eq!(trees(&buckets), 1);
    }
}
