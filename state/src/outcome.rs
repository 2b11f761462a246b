//! A ledger entry and its key: the outcome of one event at one broker, and the digest that distinguishes a duplicate
//! from a conflict.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::{clock::UnixMillis, codec, event::BodyDigest, fault::StateFault};

/// The outcome of an event at a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Outcome {
    /// The broker took it.
    Delivered,
    /// It waits on disk and will be tried again.
    Spilled,
    /// It is a dead letter.
    DeadLettered,
}

/// A ledger entry: the value under the key (broker, event id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LedgerEntry {
    /// What became of it.
    pub outcome: Outcome,
    /// The digest of the body that was, or will be, delivered.
    pub digest: BodyDigest,
    /// How many attempts failed.
    pub failed_attempts: u32,
    /// When this was recorded.
    pub at: UnixMillis,
}

impl LedgerEntry {
    /// The stored form, without its key.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`], which no entry can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateFault> {
        codec::encode("ledger", self)
    }

    /// Decodes what [`to_bytes`](Self::to_bytes) has encoded.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`]: an unknown version, a cut value, or bytes left over.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateFault> {
        codec::decode("ledger", bytes)
    }
}

/// The key of the ledger: one event at one broker.
///
/// The bytes are the event id, a zero byte and the broker's name. The event id comes first so that the deliveries of
/// one event, and of events whose ids grow with time, are neighbours in the tree: that is the cheap order. A broker's
/// name holds no zero byte, so the last one parts the two and no two pairs share a key. Clones share them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LedgerKey(Arc<[u8]>);

impl LedgerKey {
    /// The key of `event_id` at `broker`.
    #[must_use]
    pub fn new(broker: &str, event_id: &str) -> Self {
        let mut key = Vec::with_capacity(event_id.len() + 1 + broker.len());
        key.extend_from_slice(event_id.as_bytes());
        key.push(0);
        key.extend_from_slice(broker.as_bytes());
        Self(key.into())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The event's id and the broker's name, as text.
    pub(crate) fn parts(&self) -> (String, String) {
        let end = self.0.iter().rposition(|byte| *byte == 0).unwrap_or(self.0.len());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&self.0[..end]), text(self.0.get(end + 1..).unwrap_or_default()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
