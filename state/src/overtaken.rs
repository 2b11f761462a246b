//! Which loads have dead letters, and the newest of their events that each broker took since: so that nobody sends an
//! older event of a load behind a newer one without knowing.
//!
//! A row for each letter stands under its load, and one for each broker that took an event behind one of them. That goes
//! with the last letter it is behind. Only the ledger thread writes. What is in memory only says which loads need not be looked
//! up; it may say too much and never too little.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use bincode::{Decode, Encode};
use parking_lot::RwLock;
use rustc_hash::{FxHashSet, FxHasher};

use crate::{
    clock::UnixMillis,
    dead_letter::DeadLetter,
    dead_letters,
    fault::StateFault,
    position::{Position, StoredPosition},
    table::Table,
};

/// The name of the tree.
pub(crate) const TREE: &str = "overtaken";

/// The longest load id that is followed, in bytes: no event has a longer one, by `rules.id_max`.
const LOAD_MAX: usize = 1024;

/// How many loads with letters are known in memory. With more, each delivery is looked up: some microseconds.
const LOADS_MAX: usize = 100_000;

/// How many letters of one load are looked at when an event of it is delivered; with more, one counts as passed.
const LETTERS_MAX: usize = 256;

/// Says that every letter has its row; absent in a directory of an older format, or one that was repaired.
const COMPLETE: &[u8] = b"c";

/// All rows.
#[derive(Clone, Debug)]
pub struct Overtaken(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    table: Table,
    /// Whether there is any letter, so that without one nothing is asked.
    any: AtomicBool,
    loads: RwLock<Loads>,
    /// How many pairs of a load and a broker have been passed.
    passed: AtomicU64,
}

/// The loads that may have letters.
#[derive(Debug, Default)]
struct Loads {
    hashes: FxHashSet<u64>,
    /// Whether there are more than are known.
    all: bool,
}

/// The newest event of a load that a broker took after an older one had become a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newer {
    /// The event's id.
    pub event_id: String,
    /// Its position.
    pub position: Position,
    /// When it was delivered.
    pub at: UnixMillis,
}

/// A letter's row.
#[derive(Encode, Decode)]
struct Row {
    broker: Option<String>,
    position: StoredPosition,
    index: Option<u32>,
}

#[derive(Encode, Decode)]
struct Stored {
    event_id: String,
    position: StoredPosition,
    index: Option<u32>,
    at: UnixMillis,
}

impl Newer {
    /// Whether it is behind what stood at `position` and became a letter at `since`. Of two sources the times tell.
    fn is_behind(&self, position: &Position, since: UnixMillis) -> bool {
        self.position.is_behind(position).unwrap_or(self.at > since)
    }
}

impl Overtaken {
    /// Opens the rows; reads each once.
    pub(crate) fn open(table: Table) -> Result<Self, StateFault> {
        let (mut loads, mut passed, mut any) = (Loads::default(), 0, false);
        for item in table.range(vec![b'l']..vec![b'm']) {
            any = true;
            loads.add(hash(load_in(&item?.0)));
            if loads.all {
                break;
            }
        }
        for item in table.range(vec![b'n']..vec![b'o']) {
            item?;
            passed += 1;
        }
        let (any, loads) = (AtomicBool::new(any), RwLock::new(loads));
        Ok(Self(Arc::new(Inner { table, any, loads, passed: AtomicU64::new(passed) })))
    }

    /// Gives each letter its row, once for a directory that has letters from before there were rows.
    pub(crate) fn complete(
        &self,
        letters: impl Iterator<Item = Result<DeadLetter, StateFault>>,
    ) -> Result<(), StateFault> {
        if self.0.table.get::<bool>(COMPLETE)?.is_some() {
            return Ok(());
        }
        for letter in letters {
            self.put(&letter?)?;
        }
        self.0.table.put(COMPLETE, &true)
    }

    /// To be called when a letter is submitted, before it is written: from now on its load is looked up.
    pub(crate) fn note(&self, letter: &DeadLetter) {
        if let Some(load) = load_of(letter) {
            self.0.loads.write().add(hash(load));
            self.0.any.store(true, Relaxed);
        }
    }

    /// Whether `load` may have letters. Never waits for the disk.
    #[must_use]
    pub fn may_have_letters(&self, load: &str) -> bool {
        self.0.any.load(Relaxed) && {
            let loads = self.0.loads.read();
            loads.all || loads.hashes.contains(&hash(load))
        }
    }

    /// How many pairs of a load and a broker there are where a later event has passed a letter.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.passed.load(Relaxed)
    }

    /// What has passed `letter`: the newest event of its load that was delivered since, to its broker or, if it is for
    /// none, to any.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn of(&self, letter: &DeadLetter) -> Result<Option<Newer>, StateFault> {
        let Some(load) = load_of(letter) else { return Ok(None) };
        self.by(load, letter.broker.as_deref(), &letter.position, letter.at)
    }

    /// What has passed an event of `load` at `position` that became a letter at `since`, at this broker or at any.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn by(
        &self,
        load: &str,
        broker: Option<&str>,
        position: &Position,
        since: UnixMillis,
    ) -> Result<Option<Newer>, StateFault> {
        if !self.may_have_letters(load) {
            return Ok(None);
        }
        let found: Vec<Stored> = match broker {
            Some(broker) => self.0.table.get(&passed_key(load, broker))?.into_iter().collect(),
            None => self.all_passed(load)?.into_iter().map(|(_, stored)| stored).collect(),
        };
        let newer = found.into_iter().map(|Stored { event_id, position, index, at }| Newer {
            event_id,
            position: position.with_index(index),
            at,
        });
        Ok(newer.filter(|newer| newer.is_behind(position, since)).max_by_key(|newer| newer.at))
    }

    fn all_passed(&self, load: &str) -> Result<Vec<(Vec<u8>, Stored)>, StateFault> {
        let found = self.0.table.range(under(b'n', load)).map(|item| {
            let (key, value) = item?;
            Ok((key.to_vec(), self.0.table.decode(&key, &value)?))
        });
        found.collect()
    }

    /// Records that `broker` took an event of `load`, if the load has a letter.
    pub(crate) fn pass(&self, load: &str, broker: &str, newer: &Newer) -> Result<(), StateFault> {
        if !self.passes(load, broker, &newer.position)? {
            return Ok(());
        }
        let key = passed_key(load, broker);
        let before: Option<Stored> = self.0.table.get(&key)?;
        // A letter that was sent again is older than what has passed it.
        let is_newest = before.as_ref().is_none_or(|before| {
            let before = before.position.clone().with_index(before.index);
            newer.position.is_behind(&before).unwrap_or(true)
        });
        if !is_newest {
            return Ok(());
        }
        let Newer { event_id, position, at } = newer.clone();
        let (index, position) = (position.index, position.stored());
        self.0.table.put(&key, &Stored { event_id, position, index, at })?;
        if before.is_none() {
            self.0.passed.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// To be called before a letter is written.
    pub(crate) fn put(&self, letter: &DeadLetter) -> Result<(), StateFault> {
        let Some(load) = load_of(letter) else { return Ok(()) };
        self.note(letter);
        let broker = letter.broker.as_deref().map(str::to_owned);
        let row = Row { broker, position: letter.position.stored(), index: letter.position.index };
        self.0.table.put(&letter_key(load, letter), &row)
    }

    /// Whether a letter of `load`, for `broker` or for none, stands before `position`.
    fn passes(&self, load: &str, broker: &str, position: &Position) -> Result<bool, StateFault> {
        for (at, item) in self.0.table.range(under(b'l', load)).enumerate() {
            let (key, value) = item?;
            let Row { broker: of, position: before, index } = self.0.table.decode(&key, &value)?;
            let concerns = of.is_none_or(|of| of == broker);
            if at >= LETTERS_MAX || concerns && position.is_behind(&before.with_index(index)).unwrap_or(true)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// To be called once a letter is removed.
    pub(crate) fn remove(&self, letter: &DeadLetter) -> Result<(), StateFault> {
        let Some(load) = load_of(letter) else { return Ok(()) };
        self.0.table.remove(&letter_key(load, letter))?;
        for (key, Stored { position, index, .. }) in self.all_passed(load)? {
            let broker =
                key.get(prefix(b'n', load).len() + 1..).map(String::from_utf8_lossy).unwrap_or_default();
            if !self.passes(load, &broker, &position.with_index(index))? {
                self.0.table.remove(&key)?;
                self.0.passed.fetch_sub(1, Relaxed);
            }
        }
        Ok(())
    }
}

impl Loads {
    fn add(&mut self, hash: u64) {
        if self.hashes.len() < LOADS_MAX {
            self.hashes.insert(hash);
        } else {
            self.all = true;
        }
    }
}

fn load_of(letter: &DeadLetter) -> Option<&str> {
    letter.load_id.as_deref().filter(|load| load.len() <= LOAD_MAX)
}

fn hash(load: impl AsRef<[u8]>) -> u64 {
    let mut hasher = FxHasher::default();
    load.as_ref().hash(&mut hasher);
    hasher.finish()
}

/// What the keys of a load's rows begin with; its length comes first, so that no load's are among another's.
fn prefix(kind: u8, load: &str) -> Vec<u8> {
    let len = u16::try_from(load.len()).unwrap_or(u16::MAX);
    let mut key = vec![kind];
    key.extend_from_slice(&len.to_be_bytes());
    key.extend_from_slice(load.as_bytes());
    key
}

fn load_in(key: &[u8]) -> &[u8] {
    let len = key.get(1..3).and_then(|len| len.try_into().ok()).map_or(0, u16::from_be_bytes);
    key.get(3..3 + usize::from(len)).unwrap_or_default()
}

fn under(kind: u8, load: &str) -> std::ops::Range<Vec<u8>> {
    let (begin, mut end) = (prefix(kind, load), prefix(kind, load));
    end.push(0xff);
    begin..end
}

/// A letter's row. Its own key follows a zero byte, which keeps it below the end of the load's rows.
fn letter_key(load: &str, letter: &DeadLetter) -> Vec<u8> {
    let mut key = prefix(b'l', load);
    key.push(0);
    key.extend_from_slice(&dead_letters::key_of(letter));
    key
}

fn passed_key(load: &str, broker: &str) -> Vec<u8> {
    let mut key = prefix(b'n', load);
    key.push(0);
    key.extend_from_slice(broker.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, Record, Store, tests::options};

    fn open(dir: &tempfile::TempDir) -> Store {
        Store::open(dir.path(), options(Durability::Process)).unwrap()
    }

    /// A letter at this offset of load `L`.
    fn letter(offset: u64, broker: Option<&str>) -> DeadLetter {
        DeadLetter {
            broker: broker.map(Into::into),
            load_id: Some("L".to_owned()),
            ..dead_letters::tests::letter(offset, "unknown-status")
        }
    }

    fn dead(letter: DeadLetter) -> Record {
        Record::DeadLettered { letter: Box::new(letter), key: None, spilled: None }
    }

    /// The event at this offset of `load` is taken by `broker`.
    fn taken(load: &str, broker: &str, offset: u64) -> Record {
        let position = letter(offset, None).position;
        let newer = Newer { event_id: format!("e{offset}"), position, at: 9 };
        Record::Passed { load: load.into(), broker: broker.into(), newer: Box::new(newer) }
    }

    fn passed(store: &Store, letter: &DeadLetter) -> Option<String> {
        store.overtaken().of(letter).unwrap().map(|newer| newer.event_id)
    }

    #[test]
    fn the_newest_event_behind_a_letter_is_known_by_broker_and_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let (of_acme, of_none) = (letter(10, Some("acme")), letter(30, None));
        store.put_all(&[taken("L", "acme", 5), dead(of_acme.clone()), dead(of_none.clone())]).unwrap();
        assert_eq!((passed(&store, &of_acme), store.overtaken().count()), (None, 0));
        store.put_all(&[taken("L", "bolt", 40), taken("M", "acme", 40), taken("L", "acme", 20)]).unwrap();
        for _ in 0..2 {
            let store = open_again(&dir, &store);
            assert_eq!(passed(&store, &of_acme).as_deref(), Some("e20"));
            assert_eq!(passed(&store, &of_none).as_deref(), Some("e40"), "of any broker");
            assert_eq!(passed(&store, &letter(50, None)), None, "it is newer itself");
            assert_eq!(store.overtaken().count(), 2);
            assert!(!store.overtaken().may_have_letters("M"));
        }
    }

    /// The same directory; sled cannot be opened twice, so that the rows are read again from the open one.
    fn open_again(_: &tempfile::TempDir, store: &Store) -> Store {
        let mut again = store.clone();
        again.overtaken = Overtaken::open(store.overtaken.0.table.clone()).unwrap();
        again
    }

    #[test]
    fn an_older_event_that_is_sent_again_does_not_hide_the_newest_and_the_last_letter_takes_all_along() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let (first, second) = (letter(10, Some("acme")), letter(20, Some("acme")));
        store.put_all(&[dead(first.clone()), dead(second.clone()), taken("L", "acme", 30)]).unwrap();
        store.put_all(&[taken("L", "acme", 10)]).unwrap();
        assert_eq!(passed(&store, &second).as_deref(), Some("e30"));
        store.put_all(&[Record::LetterRemoved(Box::new(first))]).unwrap();
        assert_eq!(store.overtaken().count(), 1);
        store.put_all(&[Record::LetterRemoved(Box::new(second.clone())), taken("L", "acme", 40)]).unwrap();
        assert_eq!((passed(&store, &second), store.overtaken().count()), (None, 0));
        // One that is recorded twice, as after a crash, is one.
        store.put_all(&[dead(second.clone()), dead(second.clone()), taken("L", "acme", 50)]).unwrap();
        store.put_all(&[Record::LetterRemoved(Box::new(second))]).unwrap();
        assert_eq!(store.overtaken().count(), 0);
    }

    #[test]
    fn an_event_passes_only_letters_before_it_that_concern_its_broker() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let letters = [letter(30, None), letter(10, Some("acme"))];
        store.put_all(&letters.clone().map(dead)).unwrap();
        // Came before the one that is for nobody, and is no concern of the other's broker.
        store.put_all(&[taken("L", "bolt", 20)]).unwrap();
        assert_eq!(store.overtaken().count(), 0);
        assert!(letters.iter().all(|letter| passed(&store, letter).is_none()));
    }

    #[test]
    fn letters_from_before_there_were_rows_get_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let old = letter(10, Some("acme"));
        let store = open(&dir);
        store.put_all(&[dead(old.clone())]).unwrap();
        store.db.open_tree(TREE).unwrap().clear().unwrap();
        drop(store);
        let store = open(&dir);
        store.put_all(&[taken("L", "acme", 20)]).unwrap();
        assert_eq!(passed(&store, &old).as_deref(), Some("e20"));
    }

    #[test]
    fn a_load_whose_name_begins_as_anothers_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let old = letter(10, Some("acme"));
        store.put_all(&[dead(old.clone()), taken("L\u{0}x", "acme", 20), taken("L0", "acme", 20)]).unwrap();
        assert_eq!((passed(&store, &old), store.overtaken().count()), (None, 0));
        let none = DeadLetter { load_id: Some("x".repeat(LOAD_MAX + 1)), ..old };
        store.put_all(&[dead(none.clone())]).unwrap();
        assert_eq!(passed(&store, &none), None, "no event has such a load");
    }
}
