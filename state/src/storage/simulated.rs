//! A disk in memory that keeps the order of its writes, so that a test can decide which of them survive a crash.
//!
//! Every write to the database, whichever tree it is for, is appended to one log together with what it has replaced.
//! [`SimulatedDisk::crash`] gives the disk as the next start finds it: the writes up to the last flush, and as many
//! of those after it as the caller says. sled recovers such a prefix, so a test that tries all of them has covered
//! every state a crash can leave.

use std::{
    collections::BTreeMap,
    fmt, io,
    ops::{Bound, RangeBounds},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    Error, IVec, Result,
    boot::BootId,
    change::Change,
    simulated_file,
    simulated_log::{Entries, Undo, WriteLog},
};
use crate::durability::Durability;

/// A disk in memory; clones share it.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<Disk>>);

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ends. What was flushed stays, and so does everything that was written to files.
    Process,
    /// The machine loses its power. What was synced stays; the machine has another boot id afterwards.
    Power,
}

#[derive(Clone, Default)]
struct Disk {
    trees: BTreeMap<IVec, Entries>,
    /// The last number assigned to a tree or a file.
    last_number: u64,
    files: BTreeMap<&'static str, simulated_file::Contents>,
    log: WriteLog,
    boot: u64,
    latency: Duration,
    ignores_flushes: bool,
    locked: bool,
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as the next start finds it. `keep` gets the number of writes that may be lost and returns how many of
    /// the first of them survive: for the database, and after a loss of power for each file. This disk is not
    /// changed.
    #[must_use]
    pub fn crash(&self, crash: Crash, mut keep: impl FnMut(usize) -> usize) -> Self {
        let mut disk = self.0.lock().clone();
        disk.locked = false;
        let safe = match crash {
            Crash::Process => disk.log.flushed(),
            Crash::Power => disk.log.before,
        };
        let at_risk = usize::try_from(disk.log.end() - safe).unwrap_or(usize::MAX);
        let lost = at_risk.saturating_sub(keep(at_risk));
        (0..lost).for_each(|_| disk.undo_last());
        disk.log = WriteLog { before: disk.log.end(), ..WriteLog::default() };
        if crash == Crash::Power {
            disk.boot += 1;
            for file in disk.files.values_mut() {
                let keep = keep(file.unsynced());
                file.lose(keep);
            }
        }
        Self(Arc::new(Mutex::new(disk)))
    }

    /// How many writes to the database have not been flushed.
    #[must_use]
    pub fn unflushed(&self) -> usize {
        let disk = self.0.lock();
        usize::try_from(disk.log.end() - disk.log.flushed()).unwrap_or(usize::MAX)
    }

    /// How many writes to the database there have been.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.0.lock().log.end()
    }

    /// From now on each flush of the ledger takes this long in tokio's time, so that a crash may come in between.
    pub fn set_latency(&self, latency: Duration) {
        self.0.lock().latency = latency;
    }

    /// From now on flushes do nothing: for tests that must detect such a disk.
    pub fn ignore_flushes(&self) {
        self.0.lock().ignores_flushes = true;
    }

    pub(super) fn latency(&self) -> Duration {
        self.0.lock().latency
    }

    pub(super) fn flush(&self) {
        let mut disk = self.0.lock();
        if !disk.ignores_flushes {
            disk.log.flush();
        }
    }

    /// Makes flushed writes as durable as `durability` says.
    pub(crate) fn sync(&self, durability: Durability) {
        if durability == Durability::Power {
            self.0.lock().log.sync();
        }
    }

    pub(super) fn size(&self) -> u64 {
        let disk = self.0.lock();
        let entries = disk.trees.values().flat_map(|tree| &tree.map);
        entries.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    /// Locks the disk until the lock is dropped; none if it is locked.
    pub(crate) fn lock(&self) -> Option<SimulatedLock> {
        let was = std::mem::replace(&mut self.0.lock().locked, true);
        (!was).then(|| SimulatedLock(self.clone()))
    }

    pub(super) fn open_tree(&self, name: &[u8]) -> SimulatedTree {
        let mut disk = self.0.lock();
        let number = disk.open_tree(name);
        SimulatedTree { disk: self.clone(), name: name.into(), number }
    }

    pub(super) fn tree_names(&self) -> Vec<IVec> {
        self.0.lock().trees.keys().cloned().collect()
    }

    pub(super) fn drop_tree(&self, name: &[u8]) -> bool {
        let mut disk = self.0.lock();
        let Some(entries) = disk.trees.remove(name) else { return false };
        disk.log.push(Undo::Dropped(name.into(), entries));
        true
    }

    pub(super) fn boot_id(&self) -> BootId {
        u128::from(self.0.lock().boot + 1).to_be_bytes()
    }

    pub(super) fn open_file(&self, name: &'static str) -> SimulatedHandle {
        let number = self.0.lock().file(name).number;
        SimulatedHandle { disk: self.clone(), name, number }
    }

    pub(super) fn read_file(&self, name: &str) -> io::Result<Vec<u8>> {
        let disk = self.0.lock();
        disk.files.get(name).map(|file| file.bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn write_file(&self, handle: &SimulatedHandle, bytes: &[u8], at: usize) {
        let mut disk = self.0.lock();
        if let Some(file) = disk.files.get_mut(handle.name).filter(|file| file.number == handle.number) {
            file.write(bytes, at);
        }
    }

    pub(super) fn replace_file(&self, name: &'static str, bytes: &[u8]) -> SimulatedHandle {
        let mut disk = self.0.lock();
        let number = disk.take_number();
        disk.files.insert(name, simulated_file::Contents::synced(number, bytes));
        SimulatedHandle { disk: self.clone(), name, number }
    }
}

impl Disk {
    fn open_tree(&mut self, name: &[u8]) -> u64 {
        if let Some(tree) = self.trees.get(name) {
            return tree.number;
        }
        let number = self.take_number();
        self.trees.insert(name.into(), Entries { number, map: BTreeMap::new() });
        self.log.push(Undo::Created(name.into()));
        number
    }

    fn file(&mut self, name: &'static str) -> &simulated_file::Contents {
        let number = self.take_number();
        self.files.entry(name).or_insert_with(|| simulated_file::Contents::synced(number, &[]))
    }

    fn take_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn undo_last(&mut self) {
        match self.log.undo.pop_back() {
            Some(Undo::Entries { tree, before }) => {
                if let Some(tree) = self.trees.get_mut(&tree) {
                    before.into_iter().rev().for_each(|(key, value)| drop(tree.put(key, value)));
                }
            }
            Some(Undo::Created(name)) => drop(self.trees.remove(&name)),
            Some(Undo::Dropped(name, entries)) => drop(self.trees.insert(name, entries)),
            None => {}
        }
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").field("writes", &self.writes()).finish_non_exhaustive()
    }
}

/// Held as long as a store is open over a disk.
#[derive(Debug)]
pub(crate) struct SimulatedLock(SimulatedDisk);

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.0.0.lock().locked = false;
    }
}

/// An open file of a simulated disk. Writes to it have no effect once another file has its name.
#[derive(Debug)]
pub(crate) struct SimulatedHandle {
    disk: SimulatedDisk,
    name: &'static str,
    number: u64,
}

impl SimulatedHandle {
    pub(super) fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let all = self.disk.read_file(self.name)?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let found = all.get(at..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    pub(super) fn write_all_at(&self, bytes: &[u8], at: u64) {
        self.disk.write_file(self, bytes, usize::try_from(at).unwrap_or(usize::MAX));
    }
}

/// A tree of a simulated disk.
#[derive(Clone)]
pub(crate) struct SimulatedTree {
    disk: SimulatedDisk,
    name: IVec,
    number: u64,
}

impl SimulatedTree {
    pub(super) fn name(&self) -> IVec {
        self.name.clone()
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>> {
        let disk = self.disk.0.lock();
        Ok(self.entries(&disk)?.map.get(key).cloned())
    }

    pub(super) fn put(&self, key: &[u8], value: Option<IVec>) -> Result<Option<IVec>> {
        Ok(self.put_all(vec![(key.into(), value)])?.pop().and_then(|(_, before)| before))
    }

    pub(super) fn apply(&self, changes: &[Change]) -> Result<()> {
        let changes =
            changes.iter().map(|(key, value)| (key.as_slice().into(), value.as_deref().map(IVec::from)));
        self.put_all(changes.collect()).map(drop)
    }

    /// One write; returns the replaced values.
    fn put_all(&self, changes: Vec<(IVec, Option<IVec>)>) -> Result<Vec<(IVec, Option<IVec>)>> {
        let mut disk = self.disk.0.lock();
        self.entries(&disk)?;
        let Some(entries) = disk.trees.get_mut(&self.name) else { return Err(self.gone()) };
        let put = |(key, value): (IVec, _)| (key.clone(), entries.put(key, value));
        let before: Vec<_> = changes.into_iter().map(put).collect();
        disk.log.push(Undo::Entries { tree: self.name.clone(), before: before.clone() });
        Ok(before)
    }

    pub(super) fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, keys: R) -> Range {
        let bytes = |bound: Bound<&K>| bound.map(|key| IVec::from(key.as_ref()));
        Range { tree: self.clone(), from: bytes(keys.start_bound()), to: bytes(keys.end_bound()) }
    }

    fn entries<'d>(&self, disk: &'d Disk) -> Result<&'d Entries> {
        disk.trees.get(&self.name).filter(|tree| tree.number == self.number).ok_or_else(|| self.gone())
    }

    fn gone(&self) -> Error {
        Error::CollectionNotFound(self.name.clone())
    }
}

/// The rest of a range; reads the tree again for each item.
pub(crate) struct Range {
    tree: SimulatedTree,
    from: Bound<IVec>,
    to: Bound<IVec>,
}

impl Range {
    fn step(&mut self, forward: bool) -> Option<Result<(IVec, IVec)>> {
        if self.is_empty() {
            return None;
        }
        let disk = self.tree.disk.0.lock();
        let entries = match self.tree.entries(&disk) {
            Ok(entries) => entries,
            Err(error) => return Some(Err(error)),
        };
        let mut left = entries.map.range((self.from.clone(), self.to.clone()));
        let found = if forward { left.next() } else { left.next_back() };
        let (key, value) = found.map(|(key, value)| (key.clone(), value.clone()))?;
        if forward {
            self.from = Bound::Excluded(key.clone());
        } else {
            self.to = Bound::Excluded(key.clone());
        }
        Some(Ok((key, value)))
    }

    /// Whether the ends have met: `BTreeMap::range` panics on such a range.
    fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from >= to
            }
        }
    }
}

impl Iterator for Range {
    type Item = Result<(IVec, IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}
