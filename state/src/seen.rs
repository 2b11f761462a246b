//! What a tree of the ledger may hold: keys enter as they are written, and for a key that nobody has delivered yet, the
//! common case, comes the answer that it is not there, without a look at the tree.
//!
//! Guarantees: a key that is in the tree is never denied; what is not known yet (the tree is still being gone through),
//! or has found no room, may be there. Memory is bounded by the [`Room`] that all trees share.

use std::{
    hash::RandomState,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use fastbloom::AtomicBloomFilter;
use parking_lot::RwLock;

/// With so many bits for a key, of which [`HASHES`] are set, two in a thousand keys that are not there are said to be
/// possibly there (Bloom, 1970: `(1 - exp(-hashes / bits)) ^ hashes`): each time costs one look at the tree.
const BITS_PER_KEY: usize = 15;

/// How many bits a key sets. Ten would let the fewest pass, less than one in a thousand; but in a large filter each bit has
/// to be fetched from far memory.
const HASHES: u32 = 5;

/// How many keys the first filter of a new tree is for; each further one is for twice as many as the one before, or as many
/// as there is room for.
const FIRST_KEYS: usize = 1 << 15;

/// Bytes that all filters of a store may take together.
#[derive(Debug)]
pub(crate) struct Room(AtomicU64);

impl Room {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    /// Takes `bytes` if there are so many.
    fn take(&self, bytes: u64) -> bool {
        let left = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The keys of one tree, approximately.
#[derive(Debug)]
pub(crate) struct Seen {
    filters: RwLock<Vec<Filter>>,
    /// How many keys the first filter is for.
    first_keys: usize,
    /// Whether every key of the tree is in the filters.
    complete: AtomicBool,
    /// Whether keys have found no room: then nothing is known any more.
    overfull: AtomicBool,
}

#[derive(Debug)]
struct Filter {
    keys: AtomicBloomFilter<RandomState>,
    left: AtomicU64,
    keys_max: usize,
}

impl Filter {
    fn new(keys_max: usize) -> Self {
        let bits = AtomicBloomFilter::with_num_bits(keys_max * BITS_PER_KEY);
        let keys = bits.hasher(RandomState::new()).hashes(HASHES);
        Self { keys, left: AtomicU64::new(keys_max as u64), keys_max }
    }

    /// What a filter for so many keys takes.
    fn bytes(keys_max: usize) -> u64 {
        (keys_max * BITS_PER_KEY / 8) as u64
    }

    /// False once the filter has as many keys as it is for.
    fn add(&self, key: &[u8]) -> bool {
        let left = |left: u64| left.checked_sub(1);
        let room = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        if room {
            self.keys.insert(key);
        }
        room
    }
}

impl Seen {
    /// What is known of a tree that holds nothing.
    pub(crate) fn nothing() -> Self {
        Self { complete: AtomicBool::new(true), ..Self::expecting(0) }
    }

    /// What is known of a tree that nobody has gone through yet, of about so many keys. The better the guess, the fewer
    /// filters are asked each time; several small ones do as well.
    pub(crate) fn expecting(keys: usize) -> Self {
        Self {
            filters: RwLock::default(),
            first_keys: keys.max(FIRST_KEYS),
            complete: AtomicBool::default(),
            overfull: AtomicBool::default(),
        }
    }

    /// Whether the tree may hold `key`; it does not if this is false.
    pub(crate) fn may_hold(&self, key: &[u8]) -> bool {
        if !self.complete.load(Ordering::Acquire) {
            return true;
        }
        let filters = self.filters.read();
        // Under the lock: whoever notes that it is overfull takes the filters away.
        self.is_overfull() || filters.iter().any(|filter| filter.keys.contains(key))
    }

    /// Whether keys have found no room, so that there is nothing to learn any more.
    pub(crate) fn is_overfull(&self) -> bool {
        self.overfull.load(Ordering::Acquire)
    }

    /// Notes a key; before it is written, so that nobody who could find it is told that it is not there.
    pub(crate) fn add(&self, key: &[u8], room: &Room) {
        while !self.is_overfull() {
            let filters = self.filters.read();
            // A key that is written again takes no place; of the filters the newest is not full.
            let known = filters.iter().any(|filter| filter.keys.contains(key));
            if known || filters.last().is_some_and(|filter| filter.add(key)) {
                return;
            }
            let full = filters.last().map(|filter| filter.keys_max);
            drop(filters);
            self.grow(full, room);
        }
    }

    /// Adds a filter behind the one for `full` keys.
    fn grow(&self, full: Option<usize>, room: &Room) {
        let wanted = full.map_or(self.first_keys, |keys| 2 * keys);
        let mut sizes = std::iter::successors(Some(wanted), |keys| (*keys > FIRST_KEYS).then_some(keys / 2));
        // Made before the lock is taken: a large one takes a while.
        let filter = sizes.find(|keys| room.take(Filter::bytes(*keys))).map(Filter::new);
        let mut filters = self.filters.write();
        let grown = self.is_overfull() || filters.last().map(|filter| filter.keys_max) != full;
        match filter {
            Some(filter) if grown => room.give_back(Filter::bytes(filter.keys_max)),
            Some(filter) => filters.push(filter),
            None if grown => {}
            None => {
                self.give_up(&mut filters, room);
                tracing::info!(
                    "the ledger's filter is full: new events are looked up in the store from now on; raise state.cache"
                );
            }
        }
    }

    /// From now on nothing is known; other trees have the room.
    fn give_up(&self, filters: &mut Vec<Filter>, room: &Room) {
        self.overfull.store(true, Ordering::Release);
        for filter in filters.drain(..) {
            room.give_back(Filter::bytes(filter.keys_max));
        }
    }

    /// Notes that every key of the tree has been added.
    pub(crate) fn completed(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Whether every key of the tree has been added.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Gives back what a tree's filters take; the tree is gone.
    pub(crate) fn forget(&self, room: &Room) {
        self.give_up(&mut self.filters.write(), room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u64>) -> impl Iterator<Item = [u8; 8]> {
        range.map(u64::to_be_bytes)
    }

    #[test]
    fn a_key_that_was_added_is_never_denied_and_few_others_are_not() {
        let (seen, room) = (Seen::nothing(), Room::new(8 << 20));
        assert!(!seen.may_hold(b"anything"));
        for key in keys(0..200_000) {
            seen.add(&key, &room);
        }
        assert!(keys(0..200_000).all(|key| seen.may_hold(&key)));
        let wrong = keys(1_000_000..1_100_000).filter(|key| seen.may_hold(key)).count();
        assert!(wrong < 1_000, "{wrong} of 100,000 keys that are not there were said to be possibly there");
        assert_eq!(seen.filters.read().len(), 3, "each filter is for twice as many keys as the one before");
    }

    #[test]
    fn nothing_is_denied_before_the_tree_has_been_gone_through_nor_after_a_key_found_no_room() {
        let (opened, room) = (Seen::expecting(1_000_000), Room::new(100_000));
        assert!(opened.may_hold(b"k"), "a tree that was not gone through may hold anything");
        opened.completed();
        assert!(!opened.may_hold(b"k"));
        for key in keys(0..2 * FIRST_KEYS as u64) {
            opened.add(&key, &room);
        }
        assert!(opened.may_hold(b"k"), "a key may have found no room");
    }

    #[test]
    fn the_room_of_a_tree_that_is_gone_serves_another() {
        let room = Room::new(100_000);
        let (first, second) = (Seen::nothing(), Seen::nothing());
        first.add(b"k", &room);
        first.forget(&room);
        second.add(b"k", &room);
        assert!(second.may_hold(b"k") && !second.may_hold(b"other"));
    }

    #[test]
    fn a_key_that_is_written_again_takes_no_room() {
        let (seen, room) = (Seen::nothing(), Room::new(100_000));
        (0..2 * FIRST_KEYS).for_each(|_| seen.add(b"always the same", &room));
        assert!(!seen.may_hold(b"other"), "one key has filled the filter");
    }

    #[test]
    fn a_tree_that_has_no_room_or_is_gone_keeps_none() {
        let (seen, room) = (Seen::nothing(), Room::new(100_000));
        keys(0..2 * FIRST_KEYS as u64).for_each(|key| seen.add(&key, &room));
        assert!(room.take(100_000), "an overfull tree keeps room it has no use for");
        room.give_back(100_000);
        // As by somebody who was about to when the tree went.
        seen.grow(None, &room);
        assert!(room.take(100_000), "a filter was added to a tree that is gone");
    }

    #[test]
    fn keys_added_by_several_threads_are_all_there() {
        let (seen, room) = (Seen::nothing(), Room::new(8 << 20));
        std::thread::scope(|scope| {
            for part in 0..4 {
                let (seen, room) = (&seen, &room);
                scope.spawn(move || {
                    keys(part * 40_000..(part + 1) * 40_000).for_each(|key| seen.add(&key, room));
                });
            }
        });
        assert!(keys(0..160_000).all(|key| seen.may_hold(&key)));
    }
}
