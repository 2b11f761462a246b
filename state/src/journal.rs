//! The attempts journal: which deliveries may be on the wire, or may have been taken without that being on record.
//! The key of a delivery enters before its first attempt goes out; what is in the file when the process has ended is
//! what the next run may repeat.
//!
//! Guarantees: a slot is not used again before the outcome of its delivery is durable, or nothing can have arrived.
//!
//! A write costs one `pwrite` and no sync: what is in the page cache outlives the process, `kill -9` included. It does not
//! outlive the machine; then the horizons say what may repeat (see `doubt.rs`).

use std::{fs::File, os::unix::fs::FileExt, path::Path, sync::Arc};

use parking_lot::Mutex;

use crate::{
    fault::StateFault,
    journal_file::{self, SLOT},
    outcome::LedgerKey,
    store::io_fault,
};

/// So many slots are added when none is free, each of them written empty first: what stands between two that are in use
/// is never a slot that was not written.
const ADDED: u32 = 64;

/// The journal of a running process.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    dir: Arc<Path>,
    slots: Mutex<Slots>,
    max: u32,
}

#[derive(Debug, Default)]
struct Slots {
    /// Given up and not in use again, the last one at the end: the file stays as small as the most in use at once.
    free: Vec<u32>,
    /// How many there are.
    count: u32,
    closed: bool,
}

/// A delivery's place in the journal. It stays taken until it is given up, also when this is dropped.
#[derive(Debug)]
#[must_use = "a mark that is dropped keeps its place until the process ends"]
pub struct Mark {
    journal: Arc<Journal>,
    slot: u32,
}

impl Journal {
    /// Begins a journal in the state directory `dir`, in the place of an earlier one, which has been read. At most `max`
    /// deliveries are in it at a time.
    pub(crate) fn begin(dir: &Arc<Path>, max: usize) -> Result<Self, StateFault> {
        let file = journal_file::replace(dir, false, &[])?;
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        Ok(Self { file, dir: dir.clone(), slots: Mutex::default(), max })
    }

    /// Notes that a first attempt of `key` goes out; call before it does.
    pub(crate) fn mark(self: &Arc<Self>, key: &LedgerKey) -> Result<Mark, StateFault> {
        let slot = {
            let mut slots = self.slots.lock();
            if slots.closed {
                return Err(StateFault::Closed);
            }
            if slots.free.is_empty() {
                self.add(&mut slots)?;
            }
            slots.free.pop().ok_or(StateFault::Overrun { bound: self.max as usize })?
        };
        self.write(slot, &journal_file::slot(slot, key))?;
        Ok(Mark { journal: self.clone(), slot })
    }

    /// Adds slots, as far as there may be more.
    fn add(&self, slots: &mut Slots) -> Result<(), StateFault> {
        let added = slots.count..(slots.count + ADDED).min(self.max);
        let bytes: Vec<u8> = added.clone().flat_map(journal_file::empty).collect();
        self.write(added.start, &bytes)?;
        self.write_at(0, &journal_file::header(false, added.end))?;
        slots.count = added.end;
        slots.free.extend(added.rev());
        Ok(())
    }

    /// How many deliveries are in it.
    pub(crate) fn held(&self) -> usize {
        let slots = self.slots.lock();
        slots.count as usize - slots.free.len()
    }

    /// Ends it in good order: what it holds is on the disk, and nothing is marked any more.
    pub(crate) fn close(&self) -> Result<(), StateFault> {
        let mut slots = self.slots.lock();
        slots.closed = true;
        let mut bytes = vec![0; slots.count as usize * SLOT];
        let read = self.file.read_exact_at(&mut bytes, SLOT as u64);
        read.map_err(|error| io_fault(&self.dir.join(journal_file::NAME), &error))?;
        for free in &slots.free {
            let at = *free as usize * SLOT;
            bytes[at..at + SLOT].copy_from_slice(&journal_file::empty(*free));
        }
        journal_file::replace(&self.dir, true, &bytes).map(drop)
    }

    fn write(&self, slot: u32, bytes: &[u8]) -> Result<(), StateFault> {
        self.write_at((u64::from(slot) + 1) * SLOT as u64, bytes)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), StateFault> {
        let written = self.file.write_all_at(bytes, at);
        written.map_err(|error| io_fault(&self.dir.join(journal_file::NAME), &error))
    }
}

impl Mark {
    /// Gives the place up: the outcome is on record, durably, so what stands in the place says nothing any more.
    pub fn release(self) {
        let mut slots = self.journal.slots.lock();
        if !slots.closed {
            slots.free.push(self.slot);
        }
    }

    /// Empties the place and gives it up: nothing has arrived, or what is on disk of the delivery says that it may have.
    pub fn clear(self) {
        if let Err(fault) = self.journal.write(self.slot, &journal_file::empty(self.slot)) {
            // It stays in the journal, and is counted once too often by the next run.
            tracing::warn!(%fault, "a place in the attempts journal cannot be emptied");
            return;
        }
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal_file::{Contents, Found, Named};

    fn journal(dir: &Path, max: usize) -> Arc<Journal> {
        Arc::new(Journal::begin(&Arc::from(dir), max).unwrap())
    }

    fn key(event: &str) -> LedgerKey {
        LedgerKey::new("acme", event)
    }

    fn found(dir: &Path) -> Contents {
        match journal_file::read(dir).unwrap() {
            Found::Whole(contents) => contents,
            other => panic!("{other:?}"),
        }
    }

    fn events(dir: &Path) -> Vec<String> {
        let name = |named| match named {
            Named::Key(key) => String::from_utf8(key.to_vec()).unwrap().replace("\0acme", ""),
            Named::Digest(digest) => format!("{digest:?}"),
        };
        let mut events: Vec<_> = found(dir).slots.into_iter().map(name).collect();
        events.sort();
        events
    }

    #[test]
    fn what_is_marked_is_found_and_what_was_emptied_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(dir.path(), 9);
        let (one, two) = (journal.mark(&key("one")).unwrap(), journal.mark(&key("two")).unwrap());
        assert_eq!((events(dir.path()), journal.held()), (vec!["one".to_owned(), "two".to_owned()], 2));
        assert!(!found(dir.path()).closed);
        one.clear();
        assert_eq!((events(dir.path()), journal.held()), (vec!["two".to_owned()], 1));
        two.release();
        assert_eq!(events(dir.path()), ["two"], "its outcome is on record: the next run asks for that");
        let _three = journal.mark(&key("three")).unwrap();
        assert_eq!(events(dir.path()), ["three"], "the place was used again");
    }

    #[test]
    fn a_mark_that_is_dropped_keeps_its_place_and_all_others_are_gone_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(dir.path(), 9);
        drop(journal.mark(&key("kept")).unwrap());
        journal.mark(&key("settled")).unwrap().release();
        let late = journal.mark(&key("late")).unwrap();
        journal.close().unwrap();
        late.release();
        assert_eq!(
            (events(dir.path()), found(dir.path()).closed),
            (vec!["kept".to_owned(), "late".to_owned()], true)
        );
        assert!(matches!(journal.mark(&key("more")), Err(StateFault::Closed)));
    }

    #[test]
    fn no_more_are_marked_than_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(dir.path(), 1);
        let one = journal.mark(&key("one")).unwrap();
        assert!(matches!(journal.mark(&key("two")), Err(StateFault::Overrun { bound: 1 })));
        one.release();
        let _two = journal.mark(&key("two")).unwrap();
    }
}
