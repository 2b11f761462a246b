//! Dead letters: what could not be delivered, stored with reason, position and original bytes until an operator
//! decides.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::{
    attempt::History,
    clock::UnixMillis,
    codec::{self, Layout},
    fault::StateFault,
    position::{Position, StoredPosition},
};

const TREE: &str = "dead";

/// The stage at which a record or delivery failed.
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

/// The cause of letters made by a full disk queue. Their bytes are bounded, and therefore counted.
pub const QUEUE_FULL: &str = "queue-full";

/// A record or a delivery that is not retried automatically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the record stood in its source.
    pub position: Position,
    /// The broker it was for; none if it never became an event.
    pub broker: Option<Arc<str>>,
    /// The stage that failed.
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
    /// The row of a database's subscriptions that made the delivery; none if the config made it, or there was none.
    pub row: Option<i64>,
}

/// The version byte of a letter whose event is one of several of its record.
const INDEXED: u8 = 2;

/// The version byte of [`Subscribed`].
const SUBSCRIBED: u8 = 3;

/// A letter of a delivery that a row of a database made.
type Subscribed = (Stored, Option<u32>, i64);

/// A letter as it is stored: the first layout, and still that of a letter whose record is one event.
#[derive(Encode, Decode)]
struct Stored {
    position: StoredPosition,
    broker: Option<Arc<str>>,
    stage: StageName,
    cause: String,
    detail: String,
    at: UnixMillis,
    history: History,
    event_id: Option<String>,
    load_id: Option<String>,
    status: Option<String>,
    body: Vec<u8>,
    body_len: u64,
}

impl DeadLetter {
    /// The stored form, without its key.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`], which no letter can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateFault> {
        self.to_layout(TREE)
    }

    /// Decodes what [`to_bytes`](Self::to_bytes) has encoded.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`]: an unknown version, a cut value, or bytes left over.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateFault> {
        Self::from_layout(TREE, bytes)
    }
}

impl Layout for DeadLetter {
    fn to_layout(&self, tree: &'static str) -> Result<Vec<u8>, StateFault> {
        let letter = self.clone();
        let stored = Stored {
            position: letter.position.stored(),
            broker: letter.broker,
            stage: letter.stage,
            cause: letter.cause,
            detail: letter.detail,
            at: letter.at,
            history: letter.history,
            event_id: letter.event_id,
            load_id: letter.load_id,
            status: letter.status,
            body: letter.body,
            body_len: letter.body_len,
        };
        match (letter.position.index, letter.row) {
            (None, None) => codec::encode(tree, &stored),
            (Some(index), None) => codec::encode_as(INDEXED, tree, &(stored, index)),
            (index, Some(row)) => codec::encode_as::<Subscribed>(SUBSCRIBED, tree, &(stored, index, row)),
        }
    }

    fn from_layout(tree: &'static str, bytes: &[u8]) -> Result<Self, StateFault> {
        let (stored, index, row): (Stored, _, _) = match codec::version_of(bytes) {
            Some(INDEXED) => {
                let (stored, index): (Stored, u32) = codec::decode_as(INDEXED, tree, bytes)?;
                (stored, Some(index), None)
            }
            Some(SUBSCRIBED) => {
                let (stored, index, row): Subscribed = codec::decode_as(SUBSCRIBED, tree, bytes)?;
                (stored, index, Some(row))
            }
            _ => (codec::decode(tree, bytes)?, None, None),
        };
        Ok(Self {
            position: stored.position.with_index(index),
            broker: stored.broker,
            stage: stored.stage,
            cause: stored.cause,
            detail: stored.detail,
            at: stored.at,
            history: stored.history,
            event_id: stored.event_id,
            load_id: stored.load_id,
            status: stored.status,
            body: stored.body,
            body_len: stored.body_len,
            row,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::tests::letter;

    #[test]
    fn a_letter_keeps_its_index_and_its_row_and_without_them_the_layout_of_earlier_formats() {
        let whole = letter(7, "not-json");
        let nth = DeadLetter { position: whole.position.of_event(3), ..whole.clone() };
        let of_row = DeadLetter { row: Some(-4), ..whole.clone() };
        let both = DeadLetter { row: Some(i64::MAX), ..nth.clone() };
        let versions = [(whole, 1), (nth, INDEXED), (of_row, SUBSCRIBED), (both, SUBSCRIBED)];
        for (letter, version) in versions {
            let bytes = letter.to_bytes().unwrap();
            assert_eq!(bytes[0], version);
            assert_eq!(DeadLetter::from_bytes(&bytes).unwrap(), letter);
        }
    }
}
