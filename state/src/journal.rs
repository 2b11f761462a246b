//! The attempts journal: the keys of deliveries that may be on the wire, or may have been taken by the receiver
//! without a recorded outcome. A key is written before its first attempt is sent; what the file holds when the
//! process has ended is what the next run may repeat.
//!
//! Guarantee: a slot is reused only after the outcome of its delivery is durable, or when nothing can have arrived.
//!
//! A write costs one `pwrite` and no sync: the page cache survives the end of the process, `kill -9` included. It
//! does not survive the machine; after that the horizons say what may repeat ([`crate::in_doubt`]).

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    fault::{StateFault, io_fault},
    journal_file::{self, SLOT},
    outcome::LedgerKey,
    storage::{ByteFile, Directory},
};

/// How many slots are added when none is free. Each is first written empty, so that no slot before one in use was
/// never written.
const ADDED: u32 = 64;

/// The journal of a running process.
#[derive(Debug)]
pub(crate) struct Journal {
    file: ByteFile,
    dir: Directory,
    slots: Mutex<Slots>,
    max: u32,
}

#[derive(Debug, Default)]
struct Slots {
    /// Free slots, the last released at the end: the file stays as small as the most slots in use at once.
    free: Vec<u32>,
    /// The number of slots.
    count: u32,
    closed: bool,
}

/// A delivery's slot in the journal. It stays in use until it is released, even when this is dropped.
#[derive(Debug)]
#[must_use = "a mark that is dropped keeps its slot until the process ends"]
pub struct Mark {
    journal: Arc<Journal>,
    slot: u32,
}

impl Journal {
    /// Begins a new journal of at most `max` deliveries in the state directory, replacing an earlier one, which must
    /// have been read.
    pub(crate) fn begin(dir: &Directory, max: usize) -> Result<Self, StateFault> {
        let file = journal_file::replace(dir, false, &[])?;
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        Ok(Self { file, dir: dir.clone(), slots: Mutex::default(), max })
    }

    /// Writes `key`. Call before its first attempt is sent.
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

    /// Adds slots, up to the bound.
    fn add(&self, slots: &mut Slots) -> Result<(), StateFault> {
        let added = slots.count..(slots.count + ADDED).min(self.max);
        let bytes: Vec<u8> = added.clone().flat_map(journal_file::empty).collect();
        self.write(added.start, &bytes)?;
        self.write_at(0, &journal_file::header(false, self.dir.boot_id(), added.end))?;
        slots.count = added.end;
        slots.free.extend(added.rev());
        Ok(())
    }

    /// How many deliveries are in it.
    pub(crate) fn held(&self) -> usize {
        let slots = self.slots.lock();
        slots.count as usize - slots.free.len()
    }

    /// Closes the journal: its content is synced, and no further key is accepted.
    pub(crate) fn close(&self) -> Result<(), StateFault> {
        let mut slots = self.slots.lock();
        slots.closed = true;
        let mut bytes = vec![0; slots.count as usize * SLOT];
        let read = self.file.read_exact_at(&mut bytes, SLOT as u64);
        read.map_err(|error| io_fault(&self.dir.path().join(journal_file::NAME), &error))?;
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
        written.map_err(|error| io_fault(&self.dir.path().join(journal_file::NAME), &error))
    }
}

impl Mark {
    /// Releases the slot: the outcome is durable, so the slot's content no longer matters.
    pub fn release(self) {
        let mut slots = self.journal.slots.lock();
        if !slots.closed {
            slots.free.push(self.slot);
        }
    }

    /// Empties and releases the slot: nothing has arrived, or the delivery on disk says that it may have.
    pub fn clear(self) {
        if let Err(fault) = self.journal.write(self.slot, &journal_file::empty(self.slot)) {
            // The key stays in the journal, and the next run counts one possible repeat too many.
            tracing::warn!(%fault, "a slot of the attempts journal cannot be emptied");
            return;
        }
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal_file::{Contents, Found, Named};

    fn journal(dir: &Path, max: usize) -> Arc<Journal> {
        Arc::new(Journal::begin(&Directory::at(Arc::from(dir)), max).unwrap())
    }

    fn key(event: &str) -> LedgerKey {
        LedgerKey::new("acme", event)
    }

    fn found(dir: &Path) -> Contents {
        match journal_file::read(&Directory::at(Arc::from(dir))).unwrap() {
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
