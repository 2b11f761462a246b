//! The dead letters on disk, in the order of their positions, and how many there are by cause; writing is the ledger
//! thread's alone.
//!
//! A letter's key is its position and its broker, so that a record read again after a crash replaces its own letter
//! and never adds a second one.
//!
//! The counts begin with one pass over what is there, made in steps by whoever wants to know, and are kept from then on
//! with each letter written: at any moment they are the letters up to where the pass has come.
//!
//! Beside them stands the order in which they were recorded, for whoever copies them elsewhere ([`crate::dead_order`]).

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use sled::IVec;
use tokio::sync::watch;

use crate::{
    dead::{DeadLetter, QUEUE_FULL, StageName},
    dead_order::DeadOrder,
    envelope,
    fault::StateFault,
    position::Position,
    table::Table,
};

/// How many bytes of letters are counted in one step: some milliseconds' worth.
const STEP_BYTES: u64 = 1 << 20;

/// Stands for a number of bytes that is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// All dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    table: Table,
    order: Arc<DeadOrder>,
    tally: Arc<Mutex<Tally>>,
    /// As the tally has it once all are counted, for whoever may not wait for a letter that is being written.
    full_bytes: Arc<AtomicU64>,
}

/// A place in the order in which letters were recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLetter {
    /// The place: later ones are larger. Not all are there.
    pub place: u64,
    /// The letter; none if it is gone.
    pub letter: Option<DeadLetter>,
}

/// How many dead letters there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadCounts {
    /// By stage and cause, both bounded sets.
    pub by_cause: BTreeMap<(StageName, String), u64>,
    /// Whether all have been counted; if not, there are at least so many.
    pub complete: bool,
}

#[derive(Debug, Default)]
struct Tally {
    counts: DeadCounts,
    /// The last key counted; none before the first.
    reached: Option<Vec<u8>>,
    /// The bytes of those counted that a full disk queue has made.
    full: u64,
}

impl DeadLetters {
    pub(crate) fn new(table: Table, order: DeadOrder) -> Self {
        let table = table.accounted(|_| &[]);
        Self {
            table,
            order: Arc::new(order),
            tally: Arc::default(),
            full_bytes: Arc::new(AtomicU64::new(UNKNOWN)),
        }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Gives letters a place in the order that were written before there was one: by their positions, for when they
    /// came is not known any more.
    pub(crate) fn put_in_order(&self) -> Result<(), StateFault> {
        self.table.range(..).try_for_each(|item| self.order.give_if_none(&item?.0))
    }

    /// Every letter, ordered by source, epoch, offset and broker; read one at a time.
    pub fn iter(&self) -> impl Iterator<Item = Result<DeadLetter, StateFault>> + '_ {
        self.table.range(..).filter_map(|item| self.decode_item(item).transpose())
    }

    /// The letters behind this place in that order, whether or not one stands there; read one at a time.
    pub fn after(
        &self,
        position: &Position,
        broker: Option<&str>,
    ) -> impl Iterator<Item = Result<DeadLetter, StateFault>> + use<'_> {
        let behind = (Bound::Excluded(key(position, broker)), Bound::Unbounded);
        self.table.range(behind).filter_map(|item| self.decode_item(item).transpose())
    }

    /// None if it has been removed since it was found.
    fn decode_item(&self, found: Result<(IVec, IVec), StateFault>) -> Result<Option<DeadLetter>, StateFault> {
        let (key, value) = found?;
        self.table.decode_found(&key, &value)
    }

    /// The letter of the record at `position`, for `broker` if it was for one.
    ///
    /// # Errors
    /// A fault of the store, or [`StateFault::Undecodable`].
    pub fn get(&self, position: &Position, broker: Option<&str>) -> Result<Option<DeadLetter>, StateFault> {
        self.table.get(&key(position, broker))
    }

    /// The letters at the places behind `after` up to `to`, in the order in which they were recorded, read one at a
    /// time. Those up to [`durable`](Self::durable) survive whatever a recorded verdict does.
    pub fn recorded(
        &self,
        after: u64,
        to: u64,
    ) -> impl Iterator<Item = Result<RecordedLetter, StateFault>> + use<'_> {
        // An empty range would have its ends in the wrong order.
        let places = after.saturating_add(1)..=to.max(after.saturating_add(1));
        let places =
            self.order.range(places).take_while(move |item| !matches!(item, Ok((at, _)) if *at > to));
        places.map(|item| {
            let (place, key) = item?;
            Ok(RecordedLetter { place, letter: self.table.get(&key)? })
        })
    }

    /// The last place whose letter is flushed, as it moves.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.order.durable()
    }

    /// The place up to which all letters have been published: see [`Record::LettersPublished`](crate::Record).
    #[must_use]
    pub fn published(&self) -> u64 {
        self.order.published()
    }

    /// How many letters are behind that place.
    #[must_use]
    pub fn unpublished(&self) -> u64 {
        self.order.unpublished()
    }

    /// How many letters there are; visits every one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.len()
    }

    /// The counts, as far as they have come.
    #[must_use]
    pub fn counts(&self) -> DeadCounts {
        self.tally.lock().counts.clone()
    }

    /// About how many bytes the letters take that full disk queues have made; none until all letters have been
    /// counted. Never waits.
    #[must_use]
    pub fn queue_full_bytes(&self) -> Option<u64> {
        let bytes = self.full_bytes.load(Ordering::Relaxed);
        (bytes != UNKNOWN).then_some(bytes)
    }

    /// Counts up to `max` letters that have not been counted, and no more than 1 MiB of them and one letter; true once
    /// there are none left. The ledger thread waits for it when it has a letter to write, so `max` should be some
    /// hundreds.
    ///
    /// # Errors
    /// A fault of the store, or [`StateFault::Undecodable`].
    pub fn count_on(&self, max: usize) -> Result<bool, StateFault> {
        let mut tally = self.tally.lock();
        if tally.counts.complete {
            return Ok(true);
        }
        let from = tally.reached.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut visited, mut bytes, mut ended) = (0, 0, true);
        for item in self.table.range((from, Bound::Unbounded)).take(max) {
            let (key, value) = item?;
            let letter: DeadLetter = self.table.decode(&key, &value)?;
            tally.add(&letter);
            tally.reached = Some(key.to_vec());
            (visited, bytes) = (visited + 1, bytes + envelope::size(&value));
            if bytes > STEP_BYTES {
                ended = false;
                break;
            }
        }
        tally.counts.complete = ended && visited < max;
        self.tell(&tally);
        Ok(tally.counts.complete)
    }

    pub(crate) fn put(&self, letter: &DeadLetter) -> Result<(), StateFault> {
        let key = key_of(letter);
        // Held while writing: a count under way sees the letter either here or there.
        let mut tally = self.tally.lock();
        self.order.give(&key)?;
        let replaced: Option<DeadLetter> = self.table.replace(&key, letter)?;
        if tally.has_counted(&key) {
            if let Some(replaced) = replaced {
                tally.remove(&replaced);
            }
            tally.add(letter);
        }
        self.tell(&tally);
        Ok(())
    }

    fn tell(&self, tally: &Tally) {
        if tally.counts.complete {
            self.full_bytes.store(tally.full, Ordering::Relaxed);
        }
    }
}

impl DeadLetters {
    /// Removes `letter`, unless another stands in its place by now: a delivery that was sent again may have failed
    /// again meanwhile.
    pub(crate) fn remove(&self, letter: &DeadLetter) -> Result<(), StateFault> {
        let key = key_of(letter);
        let mut tally = self.tally.lock();
        if self.table.get::<DeadLetter>(&key)?.as_ref() != Some(letter) {
            return Ok(());
        }
        self.table.remove(&key)?;
        self.order.take(&key)?;
        if tally.has_counted(&key) {
            tally.remove(letter);
        }
        self.tell(&tally);
        Ok(())
    }

    pub(crate) fn publish(&self, to: u64) -> Result<(), StateFault> {
        self.order.publish(to)
    }

    /// What was written is flushed.
    pub(crate) fn flushed(&self) {
        self.order.flushed();
    }
}

impl Tally {
    /// Whether the count has come past `key`.
    fn has_counted(&self, key: &[u8]) -> bool {
        self.counts.complete || self.reached.as_ref().is_some_and(|reached| key <= reached.as_slice())
    }

    fn add(&mut self, letter: &DeadLetter) {
        if letter.cause == QUEUE_FULL {
            self.full += bytes(letter);
        }
        *self.counts.by_cause.entry((letter.stage, letter.cause.clone())).or_default() += 1;
    }

    fn remove(&mut self, letter: &DeadLetter) {
        if letter.cause == QUEUE_FULL {
            self.full = self.full.saturating_sub(bytes(letter));
        }
        let cause = (letter.stage, letter.cause.clone());
        if let Some(count) = self.counts.by_cause.get_mut(&cause) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.by_cause.remove(&cause);
            }
        }
    }
}

/// The key of `letter`.
pub(crate) fn key_of(letter: &DeadLetter) -> Vec<u8> {
    key(&letter.position, letter.broker.as_deref())
}

/// About what a letter takes on disk.
fn bytes(letter: &DeadLetter) -> u64 {
    letter.body.len() as u64 + 256
}

fn key(position: &Position, broker: Option<&str>) -> Vec<u8> {
    let broker = broker.unwrap_or_default();
    let mut key = Vec::with_capacity(position.source.len() + broker.len() + 17);
    key.extend_from_slice(position.source.as_bytes());
    key.push(0);
    key.extend_from_slice(&position.epoch.to_be_bytes());
    key.extend_from_slice(&position.offset.to_be_bytes());
    key.extend_from_slice(broker.as_bytes());
    key
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Durability, History, Store, tests::options};

    /// A record at `offset` that was no event.
    pub(crate) fn letter(offset: u64, cause: &str) -> DeadLetter {
        DeadLetter {
            position: Position::new("file:e".into(), 0, offset),
            broker: None,
            stage: StageName::Decode,
            cause: cause.to_owned(),
            detail: String::new(),
            at: 0,
            history: History::default(),
            event_id: None,
            load_id: None,
            status: None,
            body: Vec::new(),
            body_len: 0,
        }
    }

    fn counted(letters: &DeadLetters) -> BTreeMap<String, u64> {
        letters.counts().by_cause.into_iter().map(|((_, cause), count)| (cause, count)).collect()
    }

    #[test]
    fn a_reader_goes_on_behind_the_last_letter_it_has_seen_also_when_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
        let letters = store.dead_letters();
        let for_broker = |offset, broker: &str| DeadLetter {
            broker: Some(Arc::from(broker)),
            ..letter(offset, "refused")
        };
        for letter in [for_broker(256, "a"), for_broker(2, "b"), letter(2, "not-json"), for_broker(2, "a")] {
            letters.put(&letter).unwrap();
        }
        let behind = |offset, broker| -> Vec<(u64, Option<String>)> {
            let position = Position::new("file:e".into(), 0, offset);
            let read = letters.after(&position, broker).map(Result::unwrap);
            read.map(|letter| (letter.position.offset, letter.broker.map(|name| name.to_string()))).collect()
        };
        let all = [(2, None), (2, Some("a")), (2, Some("b")), (256, Some("a"))];
        let all = all.map(|(offset, broker)| (offset, broker.map(str::to_owned)));
        assert_eq!(behind(0, None), all);
        assert_eq!(behind(2, None), all[1..]);
        assert_eq!(behind(2, Some("aa")), all[2..]);
        assert_eq!(behind(256, Some("a")), []);
        let position = Position::new("file:e".into(), 0, 2);
        assert_eq!(letters.get(&position, Some("b")).unwrap(), Some(for_broker(2, "b")));
        assert_eq!(letters.get(&position, Some("c")).unwrap(), None);
    }

    #[test]
    fn the_bytes_of_letters_of_a_full_disk_queue_are_known_once_all_are_counted_and_kept_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
        let letters = store.dead_letters();
        for (offset, cause) in [(10, QUEUE_FULL), (20, "refused"), (30, QUEUE_FULL)] {
            letters.put(&letter(offset, cause)).unwrap();
        }
        assert!(!letters.count_on(2).unwrap() && letters.queue_full_bytes().is_none());
        while !letters.count_on(2).unwrap() {}
        let one = bytes(&letter(10, QUEUE_FULL));
        assert_eq!(letters.queue_full_bytes(), Some(2 * one));
        letters.put(&letter(40, QUEUE_FULL)).unwrap();
        letters.put(&letter(30, "refused")).unwrap();
        assert_eq!(letters.queue_full_bytes(), Some(2 * one));
        letters.remove(&letter(10, QUEUE_FULL)).unwrap();
        assert_eq!(letters.queue_full_bytes(), Some(one));
    }

    #[test]
    fn the_counts_are_right_whatever_is_written_before_behind_and_ahead_of_the_count() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
        let letters = store.dead_letters();
        for offset in [10, 20, 30, 40, 50] {
            letters.put(&letter(offset, "not-json")).unwrap();
        }
        assert!(!letters.count_on(3).unwrap() && !letters.counts().complete);
        assert_eq!(counted(letters), BTreeMap::from([("not-json".to_owned(), 3)]));
        // One behind the count, one ahead of it, and one each that replaces its own.
        for (offset, cause) in [(15, "too-long"), (45, "too-long"), (20, "too-long"), (50, "too-long")] {
            letters.put(&letter(offset, cause)).unwrap();
        }
        while !letters.count_on(1).unwrap() {}
        letters.put(&letter(50, "not-json")).unwrap();
        let expected = BTreeMap::from([("not-json".to_owned(), 4), ("too-long".to_owned(), 3)]);
        assert_eq!(counted(letters), expected);
        assert_eq!(letters.count(), 7);
    }

    #[test]
    fn a_letter_is_removed_and_no_longer_counted_but_one_that_took_its_place_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
        let letters = store.dead_letters();
        for offset in [10, 20, 30] {
            letters.put(&letter(offset, "refused")).unwrap();
        }
        assert!(!letters.count_on(2).unwrap());
        letters.remove(&letter(20, "refused")).unwrap();
        letters.remove(&letter(30, "refused")).unwrap();
        while !letters.count_on(1).unwrap() {}
        assert_eq!((counted(letters), letters.count()), (BTreeMap::from([("refused".to_owned(), 1)]), 1));
        letters.put(&DeadLetter { at: 5, ..letter(10, "refused") }).unwrap();
        letters.remove(&letter(10, "refused")).unwrap();
        letters.remove(&letter(40, "refused")).unwrap();
        assert_eq!((counted(letters), letters.count()), (BTreeMap::from([("refused".to_owned(), 1)]), 1));
    }
}
