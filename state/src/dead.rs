//! Dead letters: what could not be delivered, kept with reason, position and original bytes until someone decides.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::{attempt::History, clock::UnixMillis, codec, fault::StateFault, position::Position};

/// The stage at which a record's way ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum StageName {
    /// The record is not an event: not UTF-8, not JSON, too large, or a field is missing or of the wrong type.
    Decode,
    /// The event breaks a rule.
    Validate,
    /// The event id came again with another body.
    Dedupe,
    /// The broker refused the event, or attempts or age ran out.
    Deliver,
}

impl StageName {
    /// The stage's name as it stands in logs and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Validate => "validate",
            Self::Dedupe => "dedupe",
            Self::Deliver => "deliver",
        }
    }
}

/// The cause of letters that a full disk queue has made: their bytes are bounded, and so kept count of.
pub const QUEUE_FULL: &str = "queue-full";

/// A record or a delivery that will not be tried again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeadLetter {
    /// Where the record stood in its source.
    pub position: Position,
    /// The broker it was for; none if it never became an event.
    pub broker: Option<Arc<str>>,
    /// Where its way ended.
    pub stage: StageName,
    /// The kind of reason, a bounded set of kebab-case codes such as `not-json` or `refused`.
    pub cause: String,
    /// The reason in words, for a person.
    pub detail: String,
    /// When it became a dead letter.
    pub at: UnixMillis,
    /// The attempts made, if any.
    pub history: History,
    /// The event's id, load and status, as far as they could be read.
    pub event_id: Option<String>,
    /// The load, if it could be read.
    pub load_id: Option<String>,
    /// The status, if it could be read.
    pub status: Option<String>,
    /// The original bytes; a record longer than the limit is kept up to the limit.
    pub body: Vec<u8>,
    /// The record's full length in bytes.
    pub body_len: u64,
}

impl DeadLetter {
    /// The letter as it is kept.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`], which no letter can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateFault> {
        codec::encode("dead", self)
    }

    /// The letter that [`to_bytes`](Self::to_bytes) has made bytes of.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`]: an unknown version, a cut value, or bytes left over.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateFault> {
        codec::decode("dead", bytes)
    }
}
