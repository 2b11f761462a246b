//! The continuity check: decides from a record's offset what to do with it.
//!
//! Within a partition offsets are contiguous, so the next one is always known. A lower one is a repeat and is
//! skipped. A higher one means that records were skipped, by the client or on the way: nothing goes on until the
//! expected record has come. Only the cluster itself can say that it never will.

use super::partition::Bounds;

/// How often reading is retried at a gap before it counts as a hole in the log. With the default pauses that takes
/// about a minute.
pub(super) const GAP_TRIES: u32 = 8;

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    /// It is the next one.
    Next,
    /// It was read before.
    Repeat,
    /// Records from the expected one up to this one were skipped.
    Gap,
}

/// Why the partition cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogFault {
    /// The log begins after the expected offset: records are lost.
    Lost {
        /// The log's first offset.
        start: u64,
    },
    /// The log has the expected offset, and never gives it.
    Hole {
        /// The offset it gives instead.
        found: u64,
    },
}

/// The expected offset and the gaps at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Continuity {
    expected: u64,
    /// Gaps in a row at this offset.
    gaps: u32,
}

impl Continuity {
    /// Expects the record at `expected`.
    pub(super) fn new(expected: u64) -> Self {
        Self { expected, gaps: 0 }
    }

    /// The offset of the next record.
    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// Classifies a record by its offset; after [`Sequence::Next`] the following one is expected.
    pub(super) fn classify(&mut self, offset: u64) -> Sequence {
        if offset < self.expected {
            return Sequence::Repeat;
        }
        if offset > self.expected {
            return Sequence::Gap;
        }
        *self = Self::new(offset + 1);
        Sequence::Next
    }

    /// Moves the expected offset forward to `next`, if that is larger.
    pub(super) fn skip_to(&mut self, next: u64) {
        self.expected = self.expected.max(next);
    }

    /// Counts a gap before `found`.
    ///
    /// # Errors
    /// [`LogFault::Hole`] after the last retry.
    pub(super) fn gap(&mut self, found: u64) -> Result<(), LogFault> {
        self.gaps += 1;
        if self.gaps > GAP_TRIES { Err(LogFault::Hole { found }) } else { Ok(()) }
    }

    /// Whether the log has the expected offset. False if it ends before that, which may last: a follower that has
    /// become the leader may learn what is committed only when the old leader is back. Whether it is still the same
    /// log is checked by the last record read.
    ///
    /// # Errors
    /// [`LogFault::Lost`].
    pub(super) fn holds(&self, Bounds { start, end }: Bounds) -> Result<bool, LogFault> {
        if start > self.expected { Err(LogFault::Lost { start }) } else { Ok(end >= self.expected) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_one_is_taken_a_lower_one_is_a_repeat_and_a_higher_one_a_gap() {
        let mut continuity = Continuity::new(7);
        let judged: Vec<_> = [7, 7, 3, 9, 8, 9].map(|offset| continuity.classify(offset)).into();
        assert_eq!(
            judged,
            [
                Sequence::Next,
                Sequence::Repeat,
                Sequence::Repeat,
                Sequence::Gap,
                Sequence::Next,
                Sequence::Next
            ]
        );
        assert_eq!(continuity.expected(), 10);
    }

    #[test]
    fn a_gap_that_stays_is_a_hole_and_one_that_closes_is_forgotten() {
        let mut continuity = Continuity::new(7);
        for _ in 0..GAP_TRIES {
            assert_eq!(continuity.gap(9), Ok(()));
        }
        let mut closed = continuity;
        assert_eq!(continuity.gap(9), Err(LogFault::Hole { found: 9 }));
        assert_eq!((closed.classify(7), closed.gap(9)), (Sequence::Next, Ok(())));
    }

    #[test]
    fn a_log_that_begins_later_has_lost_records_and_one_that_ends_earlier_is_asked_again() {
        let continuity = Continuity::new(7);
        assert_eq!(continuity.holds(Bounds { start: 0, end: 7 }), Ok(true));
        assert_eq!(continuity.holds(Bounds { start: 8, end: 20 }), Err(LogFault::Lost { start: 8 }));
        assert!((0..1_000).all(|_| continuity.holds(Bounds { start: 0, end: 6 }) == Ok(false)));
    }

    proptest! {
        #[test]
        fn whatever_comes_what_is_taken_is_contiguous(offsets in proptest::collection::vec(0u64..20, 0..200)) {
            let mut continuity = Continuity::new(5);
            let taken: Vec<u64> =
                offsets.into_iter().filter(|offset| continuity.classify(*offset) == Sequence::Next).collect();
            let contiguous: Vec<u64> = (5..).take(taken.len()).collect();
            prop_assert_eq!(taken, contiguous);
        }
    }
}
