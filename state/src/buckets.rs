//! The ledger's trees: one per half dedupe window, so that a look-up visits at most four and expiry drops whole trees.
//! Entries that come from another directory stand in the tree of their own time, for which there can be three more trees
//! until they expire.
//!
//! A key that no tree holds, the common case, is mostly known not to be there without a look at any: see [`Seen`].
//!
//! Dropping a tree frees millions of keys a second, deleting them one by one 63,000; and because there are few trees,
//! a look-up that misses costs few. An entry lives at least one window and at most one and a half
//! windows and the time to the next rotation.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::RwLock;

use crate::{
    clock::UnixMillis,
    envelope,
    fault::StateFault,
    guard::{guarded, guarded_items, unpanicked},
    seal::{AllKept, tally_key},
    seen::{Room, Seen},
    store::sled_fault,
    table::Table,
};

const PREFIX: &str = "ledger-";

/// The name of all of them in envelopes and faults: entries may move from one to another.
const TREE: &str = "ledger";

/// About what sled takes on disk for an entry, in bytes.
const ENTRY_BYTES: u64 = 280;

/// One tree of the ledger: entries recorded from `start` on, for half a window.
#[derive(Clone)]
struct Bucket {
    start: UnixMillis,
    tree: sled::Tree,
    seen: Arc<Seen>,
    count: Arc<Count>,
}

/// How many entries a tree has at least: what the last commit of a crashed process has added is not counted.
struct Count {
    /// When the tree was opened; none if it was not kept, as by an earlier release.
    opened: Option<u64>,
    now: AtomicU64,
    changed: AtomicBool,
    /// Whether entries have been removed: a crash in the middle leaves some that were never counted, or removes some that
    /// were, so from then on nothing is known of their number.
    unknown: AtomicBool,
    /// Whether the tree has been dropped, or is about to be.
    dropped: AtomicBool,
}

impl Count {
    fn is_known(&self) -> bool {
        self.opened.is_some() && !self.unknown.load(Relaxed)
    }
}

impl Bucket {
    /// Opens the tree of `start`, which may hold about `expected` entries, and holds `kept` at least.
    fn open(
        db: &sled::Db,
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
        let count = Count { opened, now, changed: no(), unknown: no(), dropped: no() };
        let seen = Arc::new(if empty { Seen::nothing() } else { Seen::expecting(expected) });
        Ok(Self { start, tree, seen, count: Arc::new(count) })
    }

    fn insert(&self, path: &Path, room: &Room, key: &[u8], value: &[u8]) -> Result<(), StateFault> {
        self.seen.add(key, room);
        let value = envelope::seal(TREE, key, value);
        if guarded(path, || self.tree.insert(key, value))?.is_none() {
            self.count.now.fetch_add(1, Relaxed);
            self.count.changed.store(true, Relaxed);
        }
        Ok(())
    }
}

/// The ledger's trees, newest first.
pub(crate) struct Buckets {
    path: Arc<Path>,
    /// Where the counts are kept.
    meta: Table,
    window: u64,
    trees: RwLock<Arc<[Bucket]>>,
    /// For what is known of all trees' keys.
    room: Arc<Room>,
}

impl Buckets {
    /// Opens the trees there are, and one for `now`; what is known of their keys takes at most `filter_max` bytes. What
    /// each has to hold stands in `kept`.
    pub(crate) fn open(
        db: &sled::Db,
        meta: Table,
        (path, window): (&Arc<Path>, u64),
        filter_max: u64,
        kept: &AllKept,
        now: UnixMillis,
    ) -> Result<Self, StateFault> {
        let kept: BTreeMap<UnixMillis, u64> = kept
            .iter()
            .filter(|((tree, _), _)| tree == TREE)
            .filter_map(|((_, start), kept)| {
                Some((std::str::from_utf8(start).ok()?.parse().ok()?, kept.tally.entries))
            })
            .collect();
        let start = |name: sled::IVec| std::str::from_utf8(&name).ok()?.strip_prefix(PREFIX)?.parse().ok();
        let starts: Vec<UnixMillis> = db.tree_names().into_iter().filter_map(start).collect();
        // To count them would be to visit each one. What is not the ledger's only makes this too much.
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
        let (trees, room) = (RwLock::new(found.into()), Arc::new(Room::new(filter_max)));
        let buckets = Self { path: path.clone(), meta, window, trees, room };
        buckets.rotate(db, now)?;
        Ok(buckets)
    }

    /// The newest value under `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, StateFault> {
        let trees = self.trees.read().clone();
        for bucket in trees.iter().filter(|bucket| bucket.seen.may_hold(key)) {
            match unpanicked(&self.path, || bucket.tree.get(key))? {
                Ok(Some(stored)) => return bare(key, &stored).map(Some),
                // It has expired since the list was read.
                Ok(None) | Err(sled::Error::CollectionNotFound(_)) => {}
                Err(error) => return Err(sled_fault(&self.path, error)),
            }
        }
        Ok(None)
    }

    /// Writes `value` under `key` in the newest tree.
    pub(crate) fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), StateFault> {
        let trees = self.trees.read().clone();
        if let Some(newest) = trees.first() {
            newest.insert(&self.path, &self.room, key, value)?;
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
        value: &[u8],
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
        bucket.insert(&self.path, &self.room, key, value)?;
        Ok(bucket.start)
    }

    /// Adds a tree among the others.
    fn add(&self, db: &sled::Db, start: UnixMillis) -> Result<Bucket, StateFault> {
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

    /// Keeps no number of entries for this tree any more: before the first of them is removed, so that no number without
    /// its entries is left by a crash.
    fn forget_count(&self, bucket: &Bucket) -> Result<(), StateFault> {
        if bucket.count.unknown.swap(true, Relaxed) {
            return Ok(());
        }
        self.meta.remove(&count_key(bucket.start))
    }

    /// The newest value of every key, in the order of the keys, read one at a time.
    pub(crate) fn newest_entries(
        &self,
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), StateFault>> + use<'_> {
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

    /// What has to be gone through before every key that is not there is known not to be.
    pub(crate) fn unknown(&self) -> Unknown {
        let trees = self.trees.read().iter().filter(|bucket| !bucket.seen.is_complete()).cloned().collect();
        Unknown { trees, path: self.path.clone(), room: self.room.clone() }
    }

    /// How many entries the trees hold that have changed since they were last taken, as far as that is known.
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
            kept.push(Bucket::open(db, &self.path, now, 0, None)?);
        }
        kept.extend(old.iter().filter(|bucket| !expired(bucket)).cloned());
        *self.trees.write() = kept.into();
        for bucket in old.iter().filter(|bucket| expired(bucket)) {
            bucket.count.dropped.store(true, Relaxed);
            // Before the tree, so that no count without its tree is left by a crash.
            self.meta.remove(&count_key(bucket.start))?;
            guarded(&self.path, || db.drop_tree(bucket.tree.name()))?;
            bucket.seen.forget(&self.room);
            tracing::info!(from = bucket.start, "dropped an expired part of the ledger");
        }
        Ok(())
    }
}

/// Trees whose keys are not known yet, newest first. Holds the trees, and so the database, open.
pub(crate) struct Unknown {
    trees: Vec<Bucket>,
    path: Arc<Path>,
    room: Arc<Room>,
}

impl Unknown {
    pub(crate) fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Goes through the trees, `step` entries at a time; `go_on` is asked in between, and whether it went through all of
    /// them comes back. What is written meanwhile is noted by whoever writes it.
    ///
    /// # Errors
    /// A fault of the store; [`StateFault::Damaged`] if a tree holds fewer entries than it did when it was opened,
    /// [`StateFault::Undecodable`] for a value that has changed.
    pub(crate) fn learn(self, step: usize, mut go_on: impl FnMut() -> bool) -> Result<bool, StateFault> {
        for bucket in &self.trees {
            let (mut entries, mut visited) = (bucket.tree.iter(), 0);
            loop {
                let mut some = 0;
                while some < step
                    && let Some(entry) = unpanicked(&self.path, || entries.next())?
                {
                    match entry {
                        Ok((key, stored)) => {
                            envelope::open(TREE, &key, &stored)?;
                            bucket.seen.add(&key, &self.room);
                        }
                        // It has expired meanwhile.
                        Err(sled::Error::CollectionNotFound(_)) => break,
                        Err(error) => return Err(sled_fault(&self.path, error)),
                    }
                    some += 1;
                }
                visited += some as u64;
                // An expired tree ends early, and so does one whose keys find no room.
                if some < step || bucket.seen.is_overfull() {
                    break;
                }
                if !go_on() {
                    return Ok(false);
                }
            }
            let whole =
                !bucket.seen.is_overfull() && bucket.count.is_known() && !bucket.count.dropped.load(Relaxed);
            if let Some(expected) = bucket.count.opened.filter(|opened| whole && *opened > visited) {
                return Err(missing(&self.path, expected, visited));
            }
            bucket.seen.completed();
        }
        Ok(true)
    }
}

/// Where the number of entries of the tree of `start` is kept.
fn count_key(start: UnixMillis) -> Vec<u8> {
    tally_key(TREE, start.to_string().as_bytes())
}

fn missing(path: &Path, written: u64, there: u64) -> StateFault {
    let detail = format!("of {written} entries of a part of the ledger {there} are there");
    StateFault::Damaged { path: path.to_owned(), detail }
}

/// The value without its envelope.
fn bare(key: &[u8], stored: &sled::IVec) -> Result<sled::IVec, StateFault> {
    let begin = envelope::open(TREE, key, stored)?;
    Ok(stored.subslice(begin, stored.len() - begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open_database;

    fn open(dir: &Path, now: UnixMillis) -> (sled::Db, Buckets) {
        // Not sled's own `open`: its helper threads may still hold what a test has just dropped.
        let db = open_database(dir, dir, 8 << 20).unwrap();
        let path = Arc::from(dir);
        let meta = Table::open(&db, "meta", &path).unwrap();
        let kept = crate::seal::kept(&meta).unwrap();
        let buckets = Buckets::open(&db, meta, (&path, 1_000), 1 << 20, &kept, now).unwrap();
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
            buckets.insert(&key, &[1]).unwrap();
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
        buckets.insert(b"k", &[1]).unwrap();
        buckets.rotate(&db, 600).unwrap();
        buckets.insert(b"k", &[2]).unwrap();
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
            let start = buckets.insert_at(&db, at, b"k", &[1]).unwrap();
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
            buckets.insert_at(&db, at, &(at % 100).to_be_bytes(), &at.to_be_bytes()).unwrap();
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
    fn what_stood_in_a_tree_before_it_was_opened_is_found_before_and_after_it_was_gone_through() {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 0);
        (0..1_000_u64).for_each(|key| buckets.insert(&key.to_be_bytes(), &[1]).unwrap());
        drop((db, buckets));
        let (_db, buckets) = open(dir.path(), 100);
        let all = |buckets: &Buckets, keys: std::ops::Range<u64>| {
            keys.into_iter().all(|key| buckets.get(&key.to_be_bytes()).unwrap().is_some())
        };
        assert!(all(&buckets, 0..1_000));
        // Cut short, it says nothing; and what is written while it goes through is found too.
        assert!(!buckets.unknown().learn(10, || false).unwrap());
        assert!(all(&buckets, 0..1_000) && !buckets.unknown().is_empty());
        let mut next = 1_000;
        let write_one = || {
            buckets.insert(&u64::to_be_bytes(next), &[1]).unwrap();
            next += 1;
            true
        };
        assert!(buckets.unknown().learn(10, write_one).unwrap());
        assert!(all(&buckets, 0..1_050) && buckets.unknown().is_empty());
        let trees = buckets.trees.read().clone();
        assert!(!trees.iter().any(|bucket| bucket.seen.may_hold(b"neither")), "nothing was learnt");
    }

    #[test]
    fn a_tree_that_expires_while_it_is_asked_or_gone_through_holds_nothing_and_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 0);
        (0..5_000_u64).for_each(|key| buckets.insert(&key.to_be_bytes(), &[1; 40]).unwrap());
        drop((db, buckets));
        let (db, buckets) = open(dir.path(), 100);
        let before = buckets.trees.read().clone();
        let expire = || {
            buckets.rotate(&db, 5_000).unwrap();
            true
        };
        assert!(buckets.unknown().learn(100, expire).unwrap());
        // As a reader has it who took the list just before.
        *buckets.trees.write() = before;
        assert_eq!(buckets.get(&1_u64.to_be_bytes()).unwrap(), None);
    }

    #[test]
    fn a_clock_that_steps_back_neither_rotates_nor_drops() {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 10_000);
        buckets.rotate(&db, 10).unwrap();
        assert_eq!(trees(&buckets), 1);
    }
}
