//! Which records are missing between those that were read and those that the log holds, in words with the way out.

use std::fmt;

use state::timestamp;
use topics::RecordMark;

use crate::consumer::Bounds;

/// Why a partition is read no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The log begins behind the place: these offsets are gone.
    Removed {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The log ends before the place.
    Ends {
        /// The place.
        at: u64,
        /// Where the log ends.
        end: u64,
    },
    /// Another record stands where the last one settled stood.
    OtherLog {
        /// The one that was settled.
        settled: RecordMark,
        /// The one that stands there.
        found: RecordMark,
    },
}

impl Loss {
    /// What is missing if `at` is read next and the log holds `bounds`; none if it is there.
    pub(crate) fn of(at: u64, bounds: Bounds) -> Option<Self> {
        if at < bounds.start {
            return Some(Self::Removed { first: at, last: bounds.start - 1 });
        }
        (at > bounds.end).then_some(Self::Ends { at, end: bounds.end })
    }

    /// The loss in a phrase, without what can be done.
    pub(crate) fn phrase(&self) -> String {
        match self {
            Self::Removed { first, last } => {
                format!("the records {first} to {last} were no longer in the log when they were to be read")
            }
            Self::Ends { at, end } => format!("the log ends at {end}, and was read up to {at}"),
            Self::OtherLog { settled, .. } => {
                format!("another record stands at {} than the one that was settled", settled.offset)
            }
        }
    }

    /// The loss in words, for `partition` of `topic`.
    pub(crate) fn text(&self, topic: &str, partition: i32) -> String {
        format!("partition {partition} of topic {topic} is read no further: {self}")
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { first, last } => write!(
                f,
                "the records {first} to {last} are no longer in the log, its retention was shorter than they waited; to go on without them set source.on_loss = \"continue\", or move the group's offset to {} while Loadline is stopped",
                last + 1
            ),
            Self::Ends { at, end } => write!(
                f,
                "the log ends at {end}, before the place to go on at, {at}: the topic was deleted and made anew, or the cluster has lost its newest records; give a new topic a group and a state directory of its own"
            ),
            Self::OtherLog { settled, found } => {
                let time =
                    |mark: &RecordMark| mark.at.map_or_else(|| "an unknown time".to_owned(), timestamp::text);
                write!(
                    f,
                    "at {} stands another record, of {}, than the one that was settled, of {}: the topic was deleted and made anew, or the cluster has replaced records; give a new topic a group and a state directory of its own",
                    settled.offset,
                    time(found),
                    time(settled)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_named_from_its_first_to_its_last_offset() {
        let bounds = Bounds { start: 10, end: 20 };
        assert_eq!(Loss::of(4, bounds), Some(Loss::Removed { first: 4, last: 9 }));
        assert_eq!(Loss::of(21, bounds), Some(Loss::Ends { at: 21, end: 20 }));
        assert!([10, 15, 20].iter().all(|at| Loss::of(*at, bounds).is_none()));
        let text = Loss::of(4, bounds).unwrap().text("shipment-events", 3);
        assert!(
            text.starts_with("partition 3 of topic shipment-events") && text.contains("4 to 9"),
            "{text}"
        );
    }
}
