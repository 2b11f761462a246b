//! A record as a source reads it: bytes and their position.

use bytes::Bytes;
use state::{Position, TraceParent, UnixMillis};

/// A record that has not been decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Its position.
    pub position: Position,
    /// The record's bytes, without its line ending; only the beginning if `full_len` is larger.
    pub bytes: Bytes,
    /// How many bytes the record has in the source. A source reads no more than its limit of a longer one.
    pub full_len: u64,
    /// When it was read.
    pub read_at: UnixMillis,
    /// Why the source could not read it, if it could not; then `bytes` are no event, but what the source has of it.
    pub unreadable: Option<Box<Unreadable>>,
    /// The event's id, if the source has found it beside the bytes.
    pub id: Option<Box<str>>,
    /// Its place in a trace, if the source has read that beside the bytes. One that the bytes have themselves counts more.
    pub traceparent: Option<Box<TraceParent>>,
}

/// Why a source could not read a record, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The batch that contains it; the bytes are those of the batch.
    Batch(Box<str>),
    /// It has no value.
    NoValue(Box<str>),
    /// A schema registry's frame stands around it, and none was expected.
    Framed(Box<str>),
    /// It is compressed in a way that is not read, or damaged.
    Encoded(Box<str>),
}

impl Unreadable {
    /// The code for dead letters and metrics.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Batch(_) => "unreadable-batch",
            Self::NoValue(_) => "no-value",
            Self::Framed(_) => "schema-registry-frame",
            Self::Encoded(_) => "content-encoding",
        }
    }

    /// What went wrong, in words.
    #[must_use]
    pub fn detail(&self) -> &str {
        let (Self::Batch(detail) | Self::NoValue(detail) | Self::Framed(detail) | Self::Encoded(detail)) =
            self;
        detail
    }

    /// What a dead letter with this cause and detail tells of; none if the source had read its record.
    #[must_use]
    pub fn of_cause(cause: &str, detail: &str) -> Option<Self> {
        [Self::Batch, Self::NoValue, Self::Framed, Self::Encoded]
            .into_iter()
            .map(|of| of(detail.into()))
            .find(|unreadable| unreadable.cause() == cause)
    }
}

impl RawRecord {
    /// A record that was read whole, with nothing beside its bytes.
    #[must_use]
    pub fn whole(position: Position, bytes: Bytes, read_at: UnixMillis) -> Self {
        let full_len = bytes.len() as u64;
        Self { position, bytes, full_len, read_at, unreadable: None, id: None, traceparent: None }
    }

    /// Whether the source had to cut the record at its limit.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.full_len > self.bytes.len() as u64
    }
}
