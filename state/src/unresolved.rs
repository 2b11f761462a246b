//! Deliveries that may have been sent and that have no recorded outcome: by an earlier run, which are added when the state
//! directory is opened; or by this one, which has forgotten them because their partition was taken away. They are removed
//! with their outcome. Until then every run knows that the next attempt may be a repeat.
//!
//! Only digests of keys are kept: as many as deliveries were under way at a crash.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::{clock::UnixMillis, fault::StateFault, journal_file::digest, outcome::LedgerKey, table::Table};

/// The most that are kept; beyond it the oldest are dropped. Each takes 24 bytes of memory.
const UNRESOLVED_MAX: usize = 1 << 20;

pub(crate) const TREE: &str = "unresolved";

/// The digest of a ledger key.
pub(crate) type KeyDigest = [u8; 16];

/// The unresolved deliveries, on disk and in memory.
#[derive(Debug)]
pub(crate) struct Unresolved {
    table: Table,
    /// Digest, and whether this run has counted it.
    known: Mutex<FxHashMap<KeyDigest, bool>>,
    /// The number of digests, so that a look-up costs no lock while there are none, the usual case.
    count: AtomicUsize,
}

impl Unresolved {
    pub(crate) fn open(table: Table) -> Result<Self, StateFault> {
        let mut known = FxHashMap::default();
        for item in table.range(..) {
            let (key, _) = item?;
            let digest = KeyDigest::try_from(&*key);
            let digest =
                digest.map_err(|_| StateFault::Undecodable { tree: TREE, detail: format!("key {key:?}") })?;
            known.insert(digest, false);
        }
        let count = AtomicUsize::new(known.len());
        Ok(Self { table, known: Mutex::new(known), count })
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Whether an earlier run may have sent `key`.
    pub(crate) fn contains(&self, key: &LedgerKey) -> bool {
        !self.is_empty() && self.known.lock().contains_key(&digest(key.as_bytes()))
    }

    /// As [`contains`](Self::contains), true once per run: for counting.
    pub(crate) fn count_once(&self, key: &LedgerKey) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut known = self.known.lock();
        known.get_mut(&digest(key.as_bytes())).is_some_and(|counted| !std::mem::replace(counted, true))
    }

    /// All digests.
    pub(crate) fn digests(&self) -> Vec<KeyDigest> {
        self.known.lock().keys().copied().collect()
    }

    /// Adds these digests, within a commit.
    pub(crate) fn add(&self, digests: &[KeyDigest], now: UnixMillis) -> Result<(), StateFault> {
        let mut known = self.known.lock();
        for digest in digests {
            if known.insert(*digest, false).is_none() {
                self.table.put(digest, &now)?;
            }
        }
        if known.len() > UNRESOLVED_MAX {
            self.forget_oldest(&mut known)?;
        }
        self.count.store(known.len(), Ordering::Release);
        Ok(())
    }

    /// Knows at once, before that is [written](Self::write), that this run may have sent `key`, to be counted again.
    pub(crate) fn note(&self, key: &LedgerKey) {
        let mut known = self.known.lock();
        known.insert(digest(key.as_bytes()), false);
        self.count.store(known.len(), Ordering::Release);
    }

    /// Puts on record, within a commit, that `key` may have been sent.
    pub(crate) fn write(&self, key: &LedgerKey, now: UnixMillis) -> Result<(), StateFault> {
        let (digest, mut known) = (digest(key.as_bytes()), self.known.lock());
        let _counted = *known.entry(digest).or_insert(false);
        self.table.put(&digest, &now)?;
        if known.len() > UNRESOLVED_MAX {
            self.forget_oldest(&mut known)?;
        }
        self.count.store(known.len(), Ordering::Release);
        Ok(())
    }

    /// Removes `key`, in the commit that records its outcome and after it.
    pub(crate) fn settle(&self, key: &LedgerKey) -> Result<(), StateFault> {
        if self.is_empty() {
            return Ok(());
        }
        let digest = digest(key.as_bytes());
        let mut known = self.known.lock();
        if known.remove(&digest).is_some() {
            self.table.remove(&digest)?;
            self.count.store(known.len(), Ordering::Release);
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn forget_oldest(&self, known: &mut FxHashMap<KeyDigest, bool>) -> Result<(), StateFault> {
        let mut by_age = Vec::with_capacity(known.len());
        for item in self.table.range(..) {
            let (key, value) = item?;
            by_age.push((self.table.decode::<UnixMillis>(&key, &value)?, key));
        }
        by_age.sort_unstable();
        let over = known.len() - UNRESOLVED_MAX;
        tracing::warn!(
            over,
            "too many deliveries may have been sent: the repeats of the oldest are not counted"
        );
        for (_, key) in by_age.into_iter().take(over) {
            self.table.remove(&key)?;
            if let Ok(digest) = KeyDigest::try_from(&*key) {
                known.remove(&digest);
            }
        }
        Ok(())
    }
}
