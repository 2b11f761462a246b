//! A Bloom filter before each tree of the ledger. Most look-ups are for keys that are not there; the filter answers
//! those without a read of the tree.
//!
//! Guarantees: a key that is in the tree is never denied. While the tree is still being scanned, or once there was no
//! memory for more keys, every key may be there. All filters share one bound, [`FilterMemory`].

use std::{
    hash::RandomState,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use fastbloom::AtomicBloomFilter;
use parking_lot::RwLock;

/// Bits per key, of which [`HASHES`] are set. Two in a thousand absent keys are reported as possibly there (Bloom,
/// 1970: `(1 - exp(-hashes / bits)) ^ hashes`); each costs one read of the tree.
const BITS_PER_KEY: usize = 15;

/// How many bits a key sets. Ten would have the fewest false positives, less than one in a thousand, but in a large
/// filter each bit is a cache miss.
const HASHES: u32 = 5;

/// The capacity of a new tree's first filter, in keys. Each further filter has twice the capacity of the one before,
/// or what memory allows.
const FIRST_KEYS: usize = 1 << 15;

/// Bytes that all filters of a store may take together.
#[derive(Debug)]
pub(crate) struct FilterMemory(AtomicU64);

impl FilterMemory {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    /// Takes `bytes` if they are available.
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
pub(crate) struct KeyFilter {
    filters: RwLock<Vec<Filter>>,
    /// The capacity of the first filter, in keys.
    first_keys: usize,
    /// Whether every key of the tree is in the filters.
    complete: AtomicBool,
    /// Whether there was no memory for a key: then every key may be there.
    exhausted: AtomicBool,
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

    /// The bytes of a filter with this capacity.
    fn bytes(keys_max: usize) -> u64 {
        (keys_max * BITS_PER_KEY / 8) as u64
    }

    /// False once the filter is at its capacity.
    fn add(&self, key: &[u8]) -> bool {
        let left = |left: u64| left.checked_sub(1);
        let memory = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        if memory {
            self.keys.insert(key);
        }
        memory
    }
}

impl KeyFilter {
    /// The filter of an empty tree.
    pub(crate) fn empty() -> Self {
        Self { complete: AtomicBool::new(true), ..Self::unfilled(0) }
    }

    /// The filter of a tree of about `keys` keys that has not been scanned yet. A better estimate means fewer filters
    /// per look-up.
    pub(crate) fn unfilled(keys: usize) -> Self {
        Self {
            filters: RwLock::default(),
            first_keys: keys.max(FIRST_KEYS),
            complete: AtomicBool::default(),
            exhausted: AtomicBool::default(),
        }
    }

    /// Whether the tree may hold `key`; it does not if this is false.
    pub(crate) fn may_contain(&self, key: &[u8]) -> bool {
        if !self.complete.load(Ordering::Acquire) {
            return true;
        }
        let filters = self.filters.read();
        // Read under the lock, because it is set together with dropping the filters.
        self.is_exhausted() || filters.iter().any(|filter| filter.keys.contains(key))
    }

    /// Whether there was no memory for a key, so that a scan is useless.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Acquire)
    }

    /// Adds a key. Call before the key is written, so that a stored key is never denied.
    pub(crate) fn add(&self, key: &[u8], memory: &FilterMemory) {
        while !self.is_exhausted() {
            let filters = self.filters.read();
            // Only the newest filter has memory, and a key that is there already takes none.
            let known = filters.iter().any(|filter| filter.keys.contains(key));
            if known || filters.last().is_some_and(|filter| filter.add(key)) {
                return;
            }
            let full = filters.last().map(|filter| filter.keys_max);
            drop(filters);
            self.grow(full, memory);
        }
    }

    /// Adds a filter behind the one for `full` keys.
    fn grow(&self, full: Option<usize>, memory: &FilterMemory) {
        let wanted = full.map_or(self.first_keys, |keys| 2 * keys);
        let mut sizes = std::iter::successors(Some(wanted), |keys| (*keys > FIRST_KEYS).then_some(keys / 2));
        // Allocated before the lock is taken: a large one takes a while.
        let filter = sizes.find(|keys| memory.take(Filter::bytes(*keys))).map(Filter::new);
        let mut filters = self.filters.write();
        let grown = self.is_exhausted() || filters.last().map(|filter| filter.keys_max) != full;
        match filter {
            Some(filter) if grown => memory.give_back(Filter::bytes(filter.keys_max)),
            Some(filter) => filters.push(filter),
            None if grown => {}
            None => {
                self.give_up(&mut filters, memory);
                tracing::info!(
                    "the ledger's filter is full: new events are looked up in the store from now on; raise state.cache"
                );
            }
        }
    }

    /// From now on every key may be there; the memory is free for other trees.
    fn give_up(&self, filters: &mut Vec<Filter>, memory: &FilterMemory) {
        self.exhausted.store(true, Ordering::Release);
        for filter in filters.drain(..) {
            memory.give_back(Filter::bytes(filter.keys_max));
        }
    }

    /// To be called when every key of the tree has been added.
    pub(crate) fn completed(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Whether every key of the tree has been added.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Returns the memory of a dropped tree's filters.
    pub(crate) fn forget(&self, memory: &FilterMemory) {
        self.give_up(&mut self.filters.write(), memory);
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
        let (seen, memory) = (KeyFilter::empty(), FilterMemory::new(8 << 20));
        assert!(!seen.may_contain(b"anything"));
        for key in keys(0..200_000) {
            seen.add(&key, &memory);
        }
        assert!(keys(0..200_000).all(|key| seen.may_contain(&key)));
        let wrong = keys(1_000_000..1_100_000).filter(|key| seen.may_contain(key)).count();
        assert!(wrong < 1_000, "{wrong} of 100,000 keys that are not there were said to be possibly there");
        assert_eq!(seen.filters.read().len(), 3, "each filter is for twice as many keys as the one before");
    }

    #[test]
    fn nothing_is_denied_before_the_tree_has_been_gone_through_nor_after_a_key_found_no_room() {
        let (opened, memory) = (KeyFilter::unfilled(1_000_000), FilterMemory::new(100_000));
        assert!(opened.may_contain(b"k"), "a tree that was not gone through may hold anything");
        opened.completed();
        assert!(!opened.may_contain(b"k"));
        for key in keys(0..2 * FIRST_KEYS as u64) {
            opened.add(&key, &memory);
        }
        assert!(opened.may_contain(b"k"), "a key may have found no memory");
    }

    #[test]
    fn the_room_of_a_tree_that_is_gone_serves_another() {
        let memory = FilterMemory::new(100_000);
        let (first, second) = (KeyFilter::empty(), KeyFilter::empty());
        first.add(b"k", &memory);
        first.forget(&memory);
        second.add(b"k", &memory);
        assert!(second.may_contain(b"k") && !second.may_contain(b"other"));
    }

    #[test]
    fn a_key_that_is_written_again_takes_no_room() {
        let (seen, memory) = (KeyFilter::empty(), FilterMemory::new(100_000));
        (0..2 * FIRST_KEYS).for_each(|_| seen.add(b"always the same", &memory));
        assert!(!seen.may_contain(b"other"), "one key has filled the filter");
    }

    #[test]
    fn a_tree_that_has_no_room_or_is_gone_keeps_none() {
        let (seen, memory) = (KeyFilter::empty(), FilterMemory::new(100_000));
        keys(0..2 * FIRST_KEYS as u64).for_each(|key| seen.add(&key, &memory));
        assert!(memory.take(100_000), "an exhausted tree keeps memory it has no use for");
        memory.give_back(100_000);
        // As by somebody who was about to when the tree went.
        seen.grow(None, &memory);
        assert!(memory.take(100_000), "a filter was added to a tree that is gone");
    }

    #[test]
    fn keys_added_by_several_threads_are_all_there() {
        let (seen, memory) = (KeyFilter::empty(), FilterMemory::new(8 << 20));
        std::thread::scope(|scope| {
            for part in 0..4 {
                let (seen, memory) = (&seen, &memory);
                scope.spawn(move || {
                    keys(part * 40_000..(part + 1) * 40_000).for_each(|key| seen.add(&key, memory));
                });
            }
        });
        assert!(keys(0..160_000).all(|key| seen.may_contain(&key)));
    }
}
