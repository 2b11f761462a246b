//! The continuity guard: offsets enter, in the order in which the cluster gives them; what to do with each leaves.
//!
//! Within a partition offsets are contiguous, so the next one is always known. A lower one has been seen: skipped. A
//! higher one means that records were passed over, by the client or on the way: nothing goes on until the expected
//! one has come. Only the cluster itself can say that it will not come any more.

use super::partition::Bounds;

/// How often a gap at one offset is read again before it is a hole in the log. With the pauses between the tries that
/// takes about a minute by default.
pub(super) const GAP_TRIES: u32 = 8;

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It is the next one.
    Next,
    /// It has been seen.
    Repeat,
    /// Those from the expected one to before this one were passed over.
    Gap,
}

/// Why the partition cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The log begins after the expected offset.
    Lost {
        /// Where it begins.
        start: u64,
    },
    /// The log has the expected offset, and never gives it.
    Hole {
        /// What it gives instead.
        found: u64,
    },
}

/// What is known of the order of a partition's records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    expected: u64,
    /// Gaps in a row at this offset.
    gaps: u32,
}

impl Guard {
    /// A guard that expects the record at `expected`.
    pub(super) fn new(expected: u64) -> Self {
        Self { expected, gaps: 0 }
    }

    /// The offset of the next record.
    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// Judges a record by its offset; after [`Judged::Next`] the one behind it is expected.
    pub(super) fn judge(&mut self, offset: u64) -> Judged {
        if offset < self.expected {
            return Judged::Repeat;
        }
        if offset > self.expected {
            return Judged::Gap;
        }
        *self = Self::new(offset + 1);
        Judged::Next
    }

    /// Expects `next`, if that is further on: what stands before it is accounted for.
    pub(super) fn skip_to(&mut self, next: u64) {
        self.expected = self.expected.max(next);
    }

    /// Notes a gap before `found`.
    ///
    /// # Errors
    /// [`Broken::Hole`] if it has been read again often enough.
    pub(super) fn gap(&mut self, found: u64) -> Result<(), Broken> {
        self.gaps += 1;
        if self.gaps > GAP_TRIES { Err(Broken::Hole { found }) } else { Ok(()) }
    }

    /// Judges what the log holds, before it is read from the expected offset on; false if it ends before that, for
    /// which there is no limit: a follower that has become the leader may know only later what is committed, as late as
    /// the old leader comes back. Whether it is still the same log then, the last record taken says.
    ///
    /// # Errors
    /// [`Broken::Lost`].
    pub(super) fn holds(&self, Bounds { start, end }: Bounds) -> Result<bool, Broken> {
        if start > self.expected { Err(Broken::Lost { start }) } else { Ok(end >= self.expected) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_one_is_taken_a_lower_one_is_a_repeat_and_a_higher_one_a_gap() {
        let mut guard = Guard::new(7);
        let judged: Vec<_> = [7, 7, 3, 9, 8, 9].map(|offset| guard.judge(offset)).into();
        assert_eq!(
            judged,
            [Judged::Next, Judged::Repeat, Judged::Repeat, Judged::Gap, Judged::Next, Judged::Next]
        );
        assert_eq!(guard.expected(), 10);
    }

    #[test]
    fn a_gap_that_stays_is_a_hole_and_one_that_closes_is_forgotten() {
        let mut guard = Guard::new(7);
        for _ in 0..GAP_TRIES {
            assert_eq!(guard.gap(9), Ok(()));
        }
        let mut closed = guard;
        assert_eq!(guard.gap(9), Err(Broken::Hole { found: 9 }));
        assert_eq!((closed.judge(7), closed.gap(9)), (Judged::Next, Ok(())));
    }

    #[test]
    fn a_log_that_begins_later_has_lost_records_and_one_that_ends_earlier_is_asked_again() {
        let guard = Guard::new(7);
        assert_eq!(guard.holds(Bounds { start: 0, end: 7 }), Ok(true));
        assert_eq!(guard.holds(Bounds { start: 8, end: 20 }), Err(Broken::Lost { start: 8 }));
        assert!((0..1_000).all(|_| guard.holds(Bounds { start: 0, end: 6 }) == Ok(false)));
    }

    proptest! {
        #[test]
        fn whatever_comes_what_is_taken_is_contiguous(offsets in proptest::collection::vec(0u64..20, 0..200)) {
            let mut guard = Guard::new(5);
            let taken: Vec<u64> =
                offsets.into_iter().filter(|offset| guard.judge(*offset) == Judged::Next).collect();
            let contiguous: Vec<u64> = (5..).take(taken.len()).collect();
            prop_assert_eq!(taken, contiguous);
        }
    }
}
