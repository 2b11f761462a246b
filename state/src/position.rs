//! Where a record stands in its source: enters from a source, leaves in every record, dead letter and checkpoint.

use std::{fmt, sync::Arc};

use bincode::{Decode, Encode};

/// A record's place: which source, which incarnation of it, and where in that.
///
/// Positions of one source are ordered by (`epoch`, `offset`); positions of different sources are not comparable
/// in any meaningful way, which is why the type has no `Ord`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Position {
    /// The source's stable name, such as `stdin` or `file:events.ndjson`.
    pub source: Arc<str>,
    /// The incarnation of the source: a new one for each file after a rotation, or for each run over stdin.
    pub epoch: u64,
    /// The place within the epoch, in the source's own unit: bytes for a file, records for a log.
    pub offset: u64,
}

impl Position {
    /// A position; nothing is checked, because a source may number its records as it likes.
    #[must_use]
    pub fn new(source: Arc<str>, epoch: u64, offset: u64) -> Self {
        Self { source, epoch, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.source, self.epoch, self.offset)
    }
}
