//! Everything that can be wrong with a record's form, each with its code and its message.

use super::{rfc3339::BadTime, walk::Kind};
use crate::models::Unreadable;

/// One thing that is wrong with a record.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{}", .0.detail())]
    OfSource(Box<Unreadable>),
    #[error(
        "the record has {full_len} bytes and was cut after {read}: send smaller ones, or raise the limit"
    )]
    TooLarge { full_len: u64, read: usize },
    #[error("the record is not UTF-8 from byte {valid} on")]
    NotUtf8 { valid: usize },
    #[error("the record has a NUL byte at byte {at}")]
    NulByte { at: usize },
    #[error("the record is nested more than {max} deep")]
    TooDeep { max: usize },
    #[error("the record is empty")]
    Empty,
    #[error("the record is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("the record has more after its object: {0}")]
    TrailingData(serde_json::Error),
    #[error("a key or a value that is read has no value here: {0}")]
    Unreadable(serde_json::Error),
    #[error("the record has more than {max} events: send fewer at once, or raise schema.events_max")]
    TooManyEvents { max: usize },
    #[error(
        "the record's events would have more than {max} bytes with what stands around them: send fewer at once, or put less around them"
    )]
    TooMuchAround { max: usize },
    #[error("the record was read as one event, because schema.events, {pointer}, {found}")]
    NoEvents { pointer: String, found: &'static str },
    #[error("the record is {found}, not an object")]
    NotAnObject { found: Kind },
    #[error("the key {key} occurs more than once in {object}")]
    DuplicateKey { key: String, object: String },
    #[error("{pointer} is missing")]
    Missing { pointer: String },
    #[error("{pointer} must be {wanted}, not {found}")]
    WrongType { pointer: String, wanted: &'static str, found: Kind },
    #[error("{pointer} must be {wanted}, not the number {value}")]
    IsNumber { pointer: String, wanted: &'static str, value: u64 },
    #[error("{pointer} {text} {why}")]
    Time { pointer: String, text: String, why: BadTime },
    #[error("{pointer} must be \"1.0\", not {text}")]
    SpecVersion { pointer: String, text: String },
}

impl Problem {
    /// The code for dead letters and metrics.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::OfSource(unreadable) => unreadable.cause(),
            Self::TooLarge { .. } => "too-large",
            Self::NotUtf8 { .. } => "not-utf8",
            Self::NulByte { .. } => "nul-byte",
            Self::TooDeep { .. } => "too-deep",
            Self::Empty | Self::NotJson(_) => "not-json",
            Self::TrailingData(_) => "trailing-data",
            Self::Unreadable(_) => "unreadable-value",
            Self::TooManyEvents { .. } | Self::TooMuchAround { .. } => "too-many-events",
            // It goes with what the record lacks as one event.
            Self::NoEvents { .. } => "missing-field",
            Self::NotAnObject { .. } => "not-an-object",
            Self::DuplicateKey { .. } => "duplicate-key",
            Self::Missing { .. } => "missing-field",
            Self::WrongType { .. } | Self::IsNumber { .. } => "wrong-type",
            Self::Time { .. } => "bad-time",
            Self::SpecVersion { .. } => "unknown-specversion",
        }
    }
}
