//! The position of a record in its source, and of an event in it. Every event, dead letter and checkpoint has one.

use std::{fmt, sync::Arc};

use bincode::{Decode, Encode};

/// A record's place: the source, its incarnation (epoch), and the offset in that.
///
/// Positions of one source are ordered by (`epoch`, `offset`); positions of different sources are not comparable
/// in any meaningful way, which is why the type has no `Ord`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The source's stable name, such as `stdin` or `file:events.ndjson`.
    pub source: Arc<str>,
    /// The incarnation of the source: a new one for each file after a rotation, or for each run over stdin.
    pub epoch: u64,
    /// The place within the epoch, in the source's own unit: bytes for a file, records for a log.
    pub offset: u64,
    /// Which of the record's events, from 0; none if the record is one event.
    pub index: Option<u32>,
}

/// A record's place as it is stored. The index stands elsewhere, because it came later: see
/// [`DeadLetter`](crate::DeadLetter) and [`Spill`](crate::Spill).
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct StoredPosition {
    source: Arc<str>,
    epoch: u64,
    offset: u64,
}

impl Position {
    /// A position; nothing is checked, because a source may number its records as it likes.
    #[must_use]
    pub fn new(source: Arc<str>, epoch: u64, offset: u64) -> Self {
        Self { source, epoch, offset, index: None }
    }

    /// That of the event number `index` of the record that is here.
    #[must_use]
    pub fn of_event(&self, index: u32) -> Self {
        Self { index: Some(index), ..self.clone() }
    }

    /// Whether this is behind `other`; none if they are of two sources.
    #[must_use]
    pub fn is_behind(&self, other: &Self) -> Option<bool> {
        let place = |position: &Self| (position.epoch, position.offset, position.index);
        (self.source == other.source).then(|| place(self) > place(other))
    }

    pub(crate) fn stored(&self) -> StoredPosition {
        StoredPosition { source: self.source.clone(), epoch: self.epoch, offset: self.offset }
    }
}

impl StoredPosition {
    pub(crate) fn with_index(self, index: Option<u32>) -> Position {
        let Self { source, epoch, offset } = self;
        Position { source, epoch, offset, index }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.source, self.epoch, self.offset)?;
        self.index.map_or(Ok(()), |index| write!(f, ".{index}"))
    }
}
