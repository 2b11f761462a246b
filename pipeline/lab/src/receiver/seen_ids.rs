//! Which webhook ids have been taken: whether one is new, a repeat or a conflict by its body's digest. Never more than the
//! given number of ids are remembered; the oldest make room.

use std::{
    collections::{VecDeque, hash_map::Entry},
    sync::Arc,
};

use crate::BodyDigest;
use rustc_hash::FxHashMap;

use super::Times;

/// The memory of ids.
#[derive(Debug)]
pub(crate) struct SeenIds {
    max: usize,
    digests: FxHashMap<Arc<str>, BodyDigest>,
    /// The same ids, oldest first.
    order: VecDeque<Arc<str>>,
    forgotten: u64,
}

impl SeenIds {
    /// A memory for `max` ids; none are remembered if that is zero.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, digests: FxHashMap::default(), order: VecDeque::new(), forgotten: 0 }
    }

    /// Remembers `id` as taken at `path` and says whether it was known there: several brokers can share a receiver.
    /// A conflict leaves the first digest in place.
    pub(crate) fn note(&mut self, path: &str, id: &str, digest: BodyDigest) -> Times {
        if self.max == 0 {
            return Times::First;
        }
        // a path has no space, so no two pairs share a key
        let id: Arc<str> = Arc::from([path, id].join(" "));
        match self.digests.entry(Arc::clone(&id)) {
            Entry::Occupied(known) if *known.get() == digest => return Times::Repeat,
            Entry::Occupied(_) => return Times::Conflict,
            Entry::Vacant(place) => place.insert(digest),
        };
        self.order.push_back(id);
        self.make_room();
        Times::First
    }

    /// How many ids had to make room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn make_room(&mut self) {
        if self.order.len() <= self.max {
            return;
        }
        if let Some(oldest) = self.order.pop_front() {
            self.digests.remove(&oldest);
            if self.forgotten == 0 {
                tracing::warn!(
                    ids_max = self.max,
                    "the receiver remembers as many webhook ids as it may and forgets the oldest from now on: \
                     a late repeat of one will count as new"
                );
            }
            self.forgotten += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_oldest_id_makes_room_and_counts_as_new_again() {
        let mut ids = SeenIds::new(2);
        let digest = BodyDigest::of(b"{}");
        for id in ["a", "b", "c"] {
            assert_eq!(ids.note("/", id, digest), Times::First);
        }
        assert_eq!((ids.note("/", "c", digest), ids.note("/", "b", digest)), (Times::Repeat, Times::Repeat));
        assert_eq!((ids.note("/", "a", digest), ids.forgotten()), (Times::First, 2));
    }

    #[test]
    fn the_same_id_at_two_paths_is_two_events() {
        let mut ids = SeenIds::new(10);
        let digest = BodyDigest::of(b"{}");
        assert_eq!(ids.note("/a", "1", digest), Times::First);
        assert_eq!(ids.note("/b", "1", digest), Times::First);
        assert_eq!(ids.note("/a", "1", digest), Times::Repeat);
    }

    #[test]
    fn another_body_under_a_known_id_is_a_conflict_and_does_not_replace_the_first() {
        let mut ids = SeenIds::new(10);
        let (first, other) = (BodyDigest::of(b"1"), BodyDigest::of(b"2"));
        assert_eq!(ids.note("/", "a", first), Times::First);
        assert_eq!(ids.note("/", "a", other), Times::Conflict);
        assert_eq!(ids.note("/", "a", first), Times::Repeat);
    }

    proptest! {
        #[test]
        fn never_more_ids_than_allowed(max in 0..8usize, ids in prop::collection::vec(0..20u8, 0..200)) {
            let mut seen = SeenIds::new(max);
            for id in ids {
                seen.note("/", &id.to_string(), BodyDigest::of(&[id]));
                prop_assert!(seen.digests.len() <= max && seen.order.len() == seen.digests.len());
            }
        }
    }
}
