//! The dead letters on disk, in the order of their positions, and how many there are by cause. Only the ledger thread
//! writes.
//!
//! A letter's key is its position and its broker, so a record that is read again after a crash replaces its own
//! letter and never adds a second one.
//!
//! The order in which they were recorded is kept in [`crate::dead_letter_order`].

mod counts;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::counts::DeadCounts;
use self::counts::LetterCounts;
use crate::{
    dead_letter::DeadLetter, dead_letter_order::DeadLetterOrder, envelope, fault::StateFault,
    position::Position, storage::IVec, table::Table,
};

/// How many bytes of letters are counted in one step: some milliseconds of work.
const STEP_BYTES: u64 = 1 << 20;

/// Stands for a number of bytes that is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// All dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    table: Table,
    order: Arc<DeadLetterOrder>,
    tally: Arc<Mutex<LetterCounts>>,
    /// A copy of the counted bytes once all letters are counted, readable without the lock.
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

impl DeadLetters {
    pub(crate) fn new(table: Table, order: DeadLetterOrder) -> Self {
        let table = table.with_digests(|_| &[]);
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

    /// Assigns a place to letters from before there was an order: by their positions, because their times of
    /// recording are unknown.
    pub(crate) fn put_in_order(&self) -> Result<(), StateFault> {
        self.table.range(..).try_for_each(|item| self.order.assign_if_none(&item?.0))
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

    /// None if it has been removed since.
    fn decode_item(&self, found: Result<(IVec, IVec), StateFault>) -> Result<Option<DeadLetter>, StateFault> {
        let (key, value) = found?;
        self.table.decode_found(&key, &value)
    }

    /// The letter under this key.
    pub(crate) fn at(&self, key: &[u8]) -> Result<Option<DeadLetter>, StateFault> {
        self.table.get(key)
    }

    /// The letter of the record at `position`, for `broker` if it was for one.
    ///
    /// # Errors
    /// A fault of the store, or [`StateFault::Undecodable`].
    pub fn get(&self, position: &Position, broker: Option<&str>) -> Result<Option<DeadLetter>, StateFault> {
        self.table.get(&key(position, broker))
    }

    /// The letters at the places after `after` up to `to`, in the order in which they were recorded, read one at a
    /// time. Those up to [`durable`](Self::durable) are as durable as a recorded verdict.
    pub fn recorded(
        &self,
        after: u64,
        to: u64,
    ) -> impl Iterator<Item = Result<RecordedLetter, StateFault>> + use<'_> {
        // Keeps the range valid when there is nothing to read.
        let places = after.saturating_add(1)..=to.max(after.saturating_add(1));
        let places =
            self.order.range(places).take_while(move |item| !matches!(item, Ok((at, _)) if *at > to));
        places.map(|item| {
            let (place, key) = item?;
            Ok(RecordedLetter { place, letter: self.table.get(&key)? })
        })
    }

    /// The last place whose letter is flushed.
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

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> DeadCounts {
        self.tally.lock().counts.clone()
    }

    /// About how many bytes the letters of full disk queues take; none until all letters have been counted. Never
    /// waits.
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
        self.publish_full_bytes(&tally);
        Ok(tally.counts.complete)
    }

    /// Returns the letter that this one replaces.
    pub(crate) fn put(&self, letter: &DeadLetter) -> Result<Option<DeadLetter>, StateFault> {
        let key = key_of(letter);
        // Held while writing, so that a count under way sees the letter once.
        let mut tally = self.tally.lock();
        self.order.assign(&key)?;
        let replaced: Option<DeadLetter> = self.table.replace(&key, letter)?;
        if tally.has_counted(&key) {
            if let Some(replaced) = &replaced {
                tally.remove(replaced);
            }
            tally.add(letter);
        }
        self.publish_full_bytes(&tally);
        Ok(replaced)
    }

    fn publish_full_bytes(&self, tally: &LetterCounts) {
        if tally.counts.complete {
            self.full_bytes.store(tally.full, Ordering::Relaxed);
        }
    }
}

impl DeadLetters {
    /// Removes `letter`, unless another has replaced it: a delivery that was sent again may have failed again. Returns
    /// whether it was removed.
    pub(crate) fn remove(&self, letter: &DeadLetter) -> Result<bool, StateFault> {
        let key = key_of(letter);
        let mut tally = self.tally.lock();
        if self.table.get::<DeadLetter>(&key)?.as_ref() != Some(letter) {
            return Ok(false);
        }
        self.table.remove(&key)?;
        self.order.remove(&key)?;
        if tally.has_counted(&key) {
            tally.remove(letter);
        }
        self.publish_full_bytes(&tally);
        Ok(true)
    }

    pub(crate) fn publish(&self, to: u64) -> Result<(), StateFault> {
        self.order.publish(to)
    }

    /// To be called after each flush.
    pub(crate) fn flushed(&self) {
        self.order.flushed();
    }
}

/// The key of `letter`.
pub(crate) fn key_of(letter: &DeadLetter) -> Vec<u8> {
    key(&letter.position, letter.broker.as_deref())
}

fn key(position: &Position, broker: Option<&str>) -> Vec<u8> {
    let broker = broker.unwrap_or_default();
    let mut key = Vec::with_capacity(position.source.len() + broker.len() + 22);
    key.extend_from_slice(position.source.as_bytes());
    key.push(0);
    key.extend_from_slice(&position.epoch.to_be_bytes());
    key.extend_from_slice(&position.offset.to_be_bytes());
    // No broker's name begins with this byte, and it is smaller than any that does.
    if let Some(index) = position.index {
        key.push(1);
        key.extend_from_slice(&index.to_be_bytes());
    }
    key.extend_from_slice(broker.as_bytes());
    key
}
