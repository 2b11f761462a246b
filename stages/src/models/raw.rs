//! A record as a source gives it: bytes and where they stood.

use bytes::Bytes;
use state::{Position, UnixMillis};

/// A record nobody has looked into yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Where the record stood.
    pub position: Position,
    /// The record's bytes, without its line ending; only the beginning if `full_len` is larger.
    pub bytes: Bytes,
    /// How many bytes the record has in the source. A source reads no more than its limit of a longer one.
    pub full_len: u64,
    /// When it was read.
    pub read_at: UnixMillis,
    /// Why the source could not read it, if it could not: `bytes` are then not a record but what it stood in.
    pub unreadable: Option<Box<str>>,
}

impl RawRecord {
    /// Whether the source had to cut the record at its limit.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.full_len > self.bytes.len() as u64
    }
}
