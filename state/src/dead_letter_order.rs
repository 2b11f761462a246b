//! The order in which dead letters were recorded, and how far they have been published to a topic.
//!
//! Guarantees: every letter in the store has one place in the order, above all places assigned before. A letter that
//! replaces another in the store gets a new place, and the old place is removed. A place is written before its letter
//! and removed after it, so a crash leaves at most a place without a letter, which readers skip. Only places whose
//! commit was flushed are given to readers. Only the ledger thread writes.

use std::ops::RangeInclusive;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{fault::StateFault, table::Table};

/// All places.
#[derive(Debug)]
pub(crate) struct DeadLetterOrder {
    table: Table,
    ends: Mutex<Ends>,
    /// The last place that was flushed.
    durable: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    /// The last place assigned; the first is 1.
    last: u64,
    /// All letters up to this place have been published.
    published: u64,
    /// How many places are behind that.
    unpublished: u64,
}

impl DeadLetterOrder {
    /// Opens the order; reads the unpublished places once.
    pub(crate) fn open(table: Table) -> Result<Self, StateFault> {
        let published = table.get(PUBLISHED)?.unwrap_or(0);
        let newest = table.range(places(0..=u64::MAX)).next_back().transpose()?;
        let last = newest.and_then(|(key, _)| place_in(&key)).unwrap_or(0).max(published);
        let unpublished = count(&table, published.saturating_add(1)..=u64::MAX)?;
        let ends = Mutex::new(Ends { last, published, unpublished });
        Ok(Self { table, ends, durable: watch::Sender::new(last) })
    }

    /// Assigns the next place to the letter of this key, and removes the one it had.
    pub(crate) fn assign(&self, letter: &[u8]) -> Result<(), StateFault> {
        let mut ends = self.ends.lock();
        ends.last += 1;
        self.table.put(&at(ends.last), &letter.to_vec())?;
        ends.unpublished += 1;
        if let Some(before) = self.table.replace(&of(letter), &ends.last)? {
            self.table.remove(&at(before))?;
            ends.left(before);
        }
        Ok(())
    }

    /// Assigns a place to the letter of this key unless it has one.
    pub(crate) fn assign_if_none(&self, letter: &[u8]) -> Result<(), StateFault> {
        if self.table.get::<u64>(&of(letter))?.is_some() { Ok(()) } else { self.assign(letter) }
    }

    /// Removes the place of a letter that was removed.
    pub(crate) fn remove(&self, letter: &[u8]) -> Result<(), StateFault> {
        let mut ends = self.ends.lock();
        let Some(place) = self.table.get(&of(letter))? else { return Ok(()) };
        self.table.remove(&at(place))?;
        self.table.remove(&of(letter))?;
        ends.left(place);
        Ok(())
    }

    /// Stores that all letters up to this place have been published; an earlier place changes nothing.
    pub(crate) fn publish(&self, to: u64) -> Result<(), StateFault> {
        let mut ends = self.ends.lock();
        if to <= ends.published {
            return Ok(());
        }
        let passed = count(&self.table, ends.published + 1..=to)?;
        self.table.put(PUBLISHED, &to)?;
        (ends.published, ends.last) = (to, ends.last.max(to));
        ends.unpublished = ends.unpublished.saturating_sub(passed);
        Ok(())
    }

    /// To be called after each flush.
    pub(crate) fn flushed(&self) {
        let last = self.ends.lock().last;
        self.durable.send_if_modified(|durable| std::mem::replace(durable, last) != last);
    }

    pub(crate) fn durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    pub(crate) fn published(&self) -> u64 {
        self.ends.lock().published
    }

    pub(crate) fn unpublished(&self) -> u64 {
        self.ends.lock().unpublished
    }

    /// These places and the keys of their letters, in order, read one at a time.
    pub(crate) fn range(
        &self,
        of: RangeInclusive<u64>,
    ) -> impl Iterator<Item = Result<(u64, Vec<u8>), StateFault>> + use<'_> {
        self.table.range(places(of)).map(|item| {
            let (key, letter) = item?;
            Ok((place_in(&key).unwrap_or(0), self.table.decode(&key, &letter)?))
        })
    }
}

impl Ends {
    /// `place` was removed.
    fn left(&mut self, place: u64) {
        if place > self.published {
            self.unpublished = self.unpublished.saturating_sub(1);
        }
    }
}

/// How far the letters have been published.
const PUBLISHED: &[u8] = b"p";

/// The key of a place; its value is the letter's key.
fn at(place: u64) -> Vec<u8> {
    let mut key = vec![b'n'];
    key.extend_from_slice(&place.to_be_bytes());
    key
}

/// The key of a letter; its value is the letter's place.
fn of(letter: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(letter.len() + 1);
    key.push(b'k');
    key.extend_from_slice(letter);
    key
}

fn places(of: RangeInclusive<u64>) -> RangeInclusive<Vec<u8>> {
    at(*of.start())..=at(*of.end())
}

fn place_in(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

fn count(table: &Table, of: RangeInclusive<u64>) -> Result<u64, StateFault> {
    if of.is_empty() {
        return Ok(0);
    }
    table.range(places(of)).try_fold(0, |sum, item| item.map(|_| sum + 1))
}

#[cfg(test)]
mod tests {
    use crate::{CommitOptions, DeadLetter, Durability, Ledger, Record, Store, tests::options};

    fn letter(offset: u64, at: u64) -> DeadLetter {
        DeadLetter { at, ..crate::dead_letters::tests::letter(offset, "not-json") }
    }

    fn dead(letter: DeadLetter) -> Record {
        Record::DeadLettered { letter: Box::new(letter), key: None, spilled: None }
    }

    fn open(dir: &tempfile::TempDir) -> Store {
        Store::open(dir.path(), options(Durability::Process)).unwrap()
    }

    /// The letters behind `after`: place and offset, none if it is gone.
    fn read(store: &Store, after: u64, to: u64) -> Vec<(u64, Option<u64>)> {
        let read = store.dead_letters().recorded(after, to).map(Result::unwrap);
        read.map(|found| (found.place, found.letter.map(|letter| letter.position.offset))).collect()
    }

    #[test]
    fn letters_come_in_the_order_they_were_recorded_in_and_one_that_changed_comes_again_at_its_new_place() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        store.put_all(&[30, 10, 20].map(|offset| dead(letter(offset, 1)))).unwrap();
        assert_eq!(read(&store, 0, 9), [(1, Some(30)), (2, Some(10)), (3, Some(20))]);
        store.put_all(&[dead(letter(10, 2)), Record::LetterRemoved(Box::new(letter(20, 1)))]).unwrap();
        assert_eq!(read(&store, 0, 9), [(1, Some(30)), (4, Some(10))]);
        assert_eq!((read(&store, 1, 3), read(&store, 4, 9), read(&store, 9, 4)), (vec![], vec![], vec![]));
        assert_eq!(store.dead_letters().unpublished(), 2);
    }

    #[test]
    fn what_is_published_is_remembered_and_what_is_left_is_counted_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        store.put_all(&[10, 20, 30, 40].map(|offset| dead(letter(offset, 1)))).unwrap();
        store.put_all(&[Record::LettersPublished(2), Record::LettersPublished(1)]).unwrap();
        let counts = |store: &Store| (store.dead_letters().published(), store.dead_letters().unpublished());
        assert_eq!(counts(&store), (2, 2));
        // One of the published ones, one of the others.
        store.put_all(&[10, 30].map(|offset| Record::LetterRemoved(Box::new(letter(offset, 1))))).unwrap();
        assert_eq!(counts(&store), (2, 1));
        store.put_all(&[dead(letter(20, 2))]).unwrap();
        assert_eq!(counts(&store), (2, 2), "one that was published and has changed is to be published again");
        drop(store);
        let store = open(&dir);
        assert_eq!(counts(&store), (2, 2));
        assert_eq!(
            (read(&store, 2, 9), *store.dead_letters().durable().borrow()),
            (vec![(4, Some(40)), (5, Some(20))], 5)
        );
        store
            .put_all(&[Record::LettersPublished(5), Record::LetterRemoved(Box::new(letter(20, 2)))])
            .unwrap();
        drop(store);
        let store = open(&dir);
        store.put_all(&[dead(letter(50, 1))]).unwrap();
        assert_eq!(
            (counts(&store), read(&store, 5, 9)),
            ((5, 1), vec![(6, Some(50))]),
            "no place is given twice"
        );
    }

    #[test]
    fn letters_from_before_there_was_an_order_get_their_places_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        store.put_all(&[20, 10].map(|offset| dead(letter(offset, 1)))).unwrap();
        store.db.open_tree("dead-order").unwrap().clear().unwrap();
        let format = crate::codec::encode("meta", &2_u32).unwrap();
        store.db.open_tree("meta").unwrap().insert("format", format.clone()).unwrap();
        drop(store);
        let store = open(&dir);
        assert_eq!(read(&store, 0, 9), [(1, Some(10)), (2, Some(20))]);
        assert_eq!((store.dead_letters().unpublished(), *store.dead_letters().durable().borrow()), (2, 2));
        // A crash before the format was written: the same again, and no place is lost.
        store.db.open_tree("meta").unwrap().insert("format", format).unwrap();
        drop(store);
        assert_eq!(read(&open(&dir), 0, 9), [(1, Some(10)), (2, Some(20))]);
    }

    #[tokio::test]
    async fn a_place_is_told_once_its_letter_is_flushed() {
        let dir = tempfile::tempdir().unwrap();
        let commits = CommitOptions { commit_max: 8, linger: std::time::Duration::ZERO, inbox_max: 8 };
        let (ledger, _thread) = Ledger::start(open(&dir), commits).unwrap();
        let mut durable = ledger.store().dead_letters().durable();
        // Written as the ledger thread does before it flushes.
        ledger.store().dead_letters().put(&letter(10, 1)).unwrap();
        assert_eq!((*durable.borrow_and_update(), read(ledger.store(), 0, 9).len()), (0, 1));
        let _proof = ledger.record(dead(letter(20, 1))).await.unwrap();
        assert_eq!(*durable.borrow_and_update(), 2);
        let _proof = ledger.record(Record::LettersPublished(2)).await.unwrap();
        assert!(!durable.has_changed().unwrap(), "nothing new is there to be read");
    }
}
