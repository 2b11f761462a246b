//! Where a partition is read from, by what the group and this directory have on record of it and what its log holds.
//! Pure.
//!
//! The further of the group's offset and this directory's checkpoint counts: everything before either is settled. The
//! record before it, if it is known, is read once more and compared, so that another log of the same name is not taken
//! for the one that was read.

use topics::RecordMark;

use crate::{
    commit_mark::CommitMark,
    consumer::{Bounds, ReadFrom},
    options::{OnLoss, Start},
};

/// What is on record of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The group's offset, and what this program wrote beside it.
    pub(crate) committed: Option<(u64, Option<CommitMark>)>,
    /// This directory's checkpoint, and the record before it.
    pub(crate) checkpoint: Option<(u64, Option<RecordMark>)>,
    /// Whether the topic did not have the partition when its offsets were last committed: all of it is to be read.
    pub(crate) grown: bool,
}

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the client begins: at the record to be compared, if there is one.
    pub(crate) from: ReadFrom,
    /// The first offset to be given; none if the leader has yet to say which.
    pub(crate) at: Option<u64>,
    /// The record to be compared.
    pub(crate) last: Option<RecordMark>,
    /// The first and the last offset that were passed over because they are no longer in the log.
    pub(crate) passed: Option<(u64, u64)>,
    /// Whether this place is on record of the group.
    pub(crate) committed: bool,
}

impl Place {
    /// The place of a partition whose log holds `bounds`, if that is known by now. None if `start` asks for a place on
    /// record and there is none.
    pub(crate) fn find(start: Start, on_loss: OnLoss, known: Known, bounds: Option<Bounds>) -> Option<Self> {
        let resumed = known.resumed();
        let Some((at, last)) = resumed.or(match start {
            Start::Offset(offset) if !known.grown => Some((offset, None)),
            _ => None,
        }) else {
            return Self::first(start, known.grown, bounds);
        };
        let committed = known.committed.is_some_and(|(offset, _)| offset == at);
        let behind = bounds.filter(|bounds| at < bounds.start && on_loss == OnLoss::Continue);
        if let Some(Bounds { start, .. }) = behind {
            let passed = Some((at, start - 1));
            return Some(Self { passed, ..Self::bare(ReadFrom::Offset(start), Some(start)) });
        }
        let last = last.filter(|last| {
            last.offset < at && bounds.is_some_and(|bounds| (bounds.start..bounds.end).contains(&last.offset))
        });
        let from = ReadFrom::Offset(last.map_or(at, |last| last.offset));
        Some(Self { from, at: Some(at), last, passed: None, committed })
    }

    /// The place of a partition of which nothing is on record.
    fn first(start: Start, grown: bool, bounds: Option<Bounds>) -> Option<Self> {
        let (from, at) = match start {
            Start::Committed if !grown => return None,
            Start::End if !grown => (ReadFrom::Newest, bounds.map(|bounds| bounds.end)),
            _ => (ReadFrom::Oldest, bounds.map(|bounds| bounds.start)),
        };
        Some(Self::bare(at.map_or(from, ReadFrom::Offset), at))
    }

    fn bare(from: ReadFrom, at: Option<u64>) -> Self {
        Self { from, at, last: None, passed: None, committed: false }
    }
}

impl Known {
    /// The further of both places, and the record before it.
    fn resumed(&self) -> Option<(u64, Option<RecordMark>)> {
        let committed = self.committed.map(|(at, mark)| (at, mark.and_then(|mark| mark.last)));
        match (committed, self.checkpoint) {
            (Some(committed), Some(checkpoint)) if checkpoint.0 > committed.0 => Some(checkpoint),
            // Both may say which record stood before it.
            (Some((at, last)), Some(checkpoint)) if checkpoint.0 == at => Some((at, checkpoint.1.or(last))),
            (Some(committed), _) => Some(committed),
            (None, checkpoint) => checkpoint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Option<Bounds> = Some(Bounds { start: 10, end: 100 });

    fn mark(offset: u64) -> RecordMark {
        RecordMark::of_digest(offset, None, offset)
    }

    fn find(start: Start, known: Known) -> Option<Place> {
        Place::find(start, OnLoss::Stop, known, BOUNDS)
    }

    fn committed(at: u64) -> Known {
        let mark = CommitMark { partitions: 12, last: at.checked_sub(1).map(mark), claim: None };
        Known { committed: Some((at, Some(mark))), ..Known::default() }
    }

    #[test]
    fn the_further_of_both_places_counts_with_the_record_before_it() {
        let place =
            |known| find(Start::End, known).map(|place| (place.from, place.at, place.last, place.committed));
        let behind = Known { checkpoint: Some((40, Some(mark(39)))), ..committed(50) };
        assert_eq!(place(behind), Some((ReadFrom::Offset(49), Some(50), Some(mark(49)), true)));
        let ahead = Known { checkpoint: Some((60, Some(mark(57)))), ..committed(50) };
        assert_eq!(place(ahead), Some((ReadFrom::Offset(57), Some(60), Some(mark(57)), false)));
        let legacy = Known { committed: Some((50, None)), ..Known::default() };
        assert_eq!(place(legacy), Some((ReadFrom::Offset(50), Some(50), None, true)));
        let equal = Known { checkpoint: Some((50, Some(mark(48)))), ..legacy };
        assert_eq!(place(equal), Some((ReadFrom::Offset(48), Some(50), Some(mark(48)), true)));
    }

    #[test]
    fn a_record_that_the_log_no_longer_has_is_not_asked_for() {
        let place = find(Start::End, committed(10)).unwrap();
        assert_eq!((place.from, place.last), (ReadFrom::Offset(10), None));
        let unknown = Place::find(Start::End, OnLoss::Stop, committed(50), None).unwrap();
        assert_eq!((unknown.from, unknown.at, unknown.last), (ReadFrom::Offset(50), Some(50), None));
    }

    #[test]
    fn without_a_place_on_record_the_config_says_where_and_a_new_partition_is_read_whole() {
        let first = |start, grown| find(start, Known { grown, ..Known::default() }).map(|place| place.at);
        assert_eq!(first(Start::Beginning, false), Some(Some(10)));
        assert_eq!(first(Start::End, false), Some(Some(100)));
        assert_eq!(first(Start::Offset(30), false), Some(Some(30)));
        assert_eq!(first(Start::Committed, false), None);
        for start in [Start::Beginning, Start::End, Start::Offset(30), Start::Committed] {
            assert_eq!(first(start, true), Some(Some(10)), "{start:?}");
        }
        let away = Place::find(Start::End, OnLoss::Stop, Known::default(), None).unwrap();
        assert_eq!((away.from, away.at), (ReadFrom::Newest, None));
    }

    #[test]
    fn what_retention_has_removed_is_passed_only_if_the_config_says_so() {
        let stopped = find(Start::End, committed(4)).unwrap();
        assert_eq!((stopped.from, stopped.passed), (ReadFrom::Offset(4), None), "the broker refuses it");
        let passed = Place::find(Start::End, OnLoss::Continue, committed(4), BOUNDS).unwrap();
        assert_eq!((passed.at, passed.passed), (Some(10), Some((4, 9))));
    }
}
