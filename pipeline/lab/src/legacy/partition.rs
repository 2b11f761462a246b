//! One partition of the model's log: its records' places in order, and which is next; what is committed is forgotten. Always
//! `committed <= position <= the end`, and between commits a rewind gives the same records again.

use std::collections::VecDeque;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number in the log.
    pub(super) record: u64,
    /// Its first byte in the file.
    pub(super) at: u64,
    /// How many bytes are read of it.
    pub(super) len: u32,
}

/// What a rewind took back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rewound {
    /// Nothing, or messages that come again.
    Replays,
    /// A message that was being handled and is committed: it does not come again.
    Abandons,
}

/// A partition, and how far its consumer is.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    /// The records from the committed offset on; what is before is forgotten.
    places: VecDeque<Place>,
    /// The offset of the first of them: where a consumer begins after a crash or a rebalance.
    committed: u64,
    /// The offset of the next record to take: one after the message being handled.
    position: u64,
    /// The offset after the last record that was ever taken.
    reached: u64,
    /// Whether the last taken message is still being handled.
    working: bool,
    /// Crashes at the record at the offset.
    crashes: (u64, u32),
}

impl Partition {
    pub(super) fn append(&mut self, place: Place) {
        self.places.push_back(place);
    }

    /// The next record to take.
    pub(super) fn next(&self) -> Option<Place> {
        let ahead = usize::try_from(self.position - self.committed).ok()?;
        self.places.get(ahead).copied()
    }

    /// Takes the next record to be handled; whether it had been taken before.
    pub(super) fn take(&mut self) -> Option<(Place, bool)> {
        let place = self.next()?;
        let again = self.position < self.reached;
        self.position += 1;
        self.reached = self.reached.max(self.position);
        self.working = true;
        Some((place, again))
    }

    /// The message that was taken last has been handled.
    pub(super) fn finish(&mut self) {
        self.working = false;
    }

    /// Whether a message is being handled.
    pub(super) fn is_working(&self) -> bool {
        self.working
    }

    /// Commits the place after the message being handled; how many records that were not committed are now.
    pub(super) fn commit(&mut self) -> u64 {
        let more = self.position - self.committed;
        self.places
            .drain(..usize::try_from(more).map_or(self.places.len(), |more| more.min(self.places.len())));
        self.committed = self.position;
        more
    }

    /// Goes back to what is committed.
    pub(super) fn rewind(&mut self) -> Rewound {
        let abandons = std::mem::take(&mut self.working) && self.position == self.committed;
        self.position = self.committed;
        if abandons { Rewound::Abandons } else { Rewound::Replays }
    }

    /// The message being handled has crashed its consumer; whether that was the last time it may, and it is skipped.
    pub(super) fn crash(&mut self, max: u32) -> bool {
        self.working = false;
        let at = self.position;
        let before = if self.crashes.0 == at { self.crashes.1 } else { 0 };
        self.crashes = (at, before + 1);
        before + 1 >= max
    }

    /// The oldest record that is not committed.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.places.front().map(|place| place.record)
    }

    /// How many records are not committed.
    pub(super) fn lag(&self) -> u64 {
        self.places.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition(records: u64) -> Partition {
        let mut partition = Partition::default();
        (0..records).for_each(|record| partition.append(Place { record, at: 10 * record, len: 9 }));
        partition
    }

    fn take(partition: &mut Partition) -> Option<(u64, bool)> {
        partition.take().map(|(place, again)| (place.record, again))
    }

    #[test]
    fn what_is_not_committed_comes_again_and_is_known_to() {
        let mut partition = partition(3);
        assert_eq!(take(&mut partition), Some((0, false)));
        partition.commit();
        partition.finish();
        assert_eq!(take(&mut partition), Some((1, false)));
        partition.finish();
        assert_eq!((partition.rewind(), partition.lag(), partition.oldest()), (Rewound::Replays, 2, Some(1)));
        assert_eq!([take(&mut partition), take(&mut partition)], [Some((1, true)), Some((2, false))]);
        assert_eq!(take(&mut partition), None);
    }

    #[test]
    fn what_is_committed_while_it_is_handled_is_abandoned_by_a_rewind() {
        let mut partition = partition(1);
        take(&mut partition);
        assert_eq!(partition.commit(), 1);
        assert_eq!((partition.is_working(), partition.lag()), (true, 0));
        assert_eq!(partition.rewind(), Rewound::Abandons);
        assert_eq!((partition.rewind(), take(&mut partition)), (Rewound::Replays, None));
    }

    #[test]
    fn crashes_are_counted_for_one_message_at_a_time() {
        let mut partition = partition(2);
        take(&mut partition);
        assert!(!partition.crash(2));
        partition.rewind();
        take(&mut partition);
        assert!(partition.crash(2));
        partition.commit();
        take(&mut partition);
        assert!(!partition.crash(2), "another message");
    }

    proptest! {
        #[test]
        fn nothing_is_passed_over_but_what_was_committed(steps in prop::collection::vec(0..4u8, 0..100)) {
            let (mut partition, mut appended, mut committed, mut next) = (Partition::default(), 0, 0, 0);
            for step in steps {
                match step {
                    0 => {
                        partition.append(Place { record: appended, at: 0, len: 0 });
                        appended += 1;
                    }
                    1 => {
                        let expected = (next < appended).then_some(next);
                        prop_assert_eq!(take(&mut partition).map(|(record, _)| record), expected);
                        next += u64::from(expected.is_some());
                    }
                    2 => {
                        prop_assert_eq!(partition.commit(), next - committed);
                        committed = next;
                    }
                    _ => {
                        partition.rewind();
                        next = committed;
                    }
                }
                prop_assert_eq!(partition.lag(), appended - committed);
                prop_assert_eq!(partition.oldest(), (committed < appended).then_some(committed));
            }
        }
    }
}
