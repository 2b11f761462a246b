//! What the ledger knows of one (broker, event): its outcome, and the digest that tells a duplicate from a conflict.

use bincode::{Decode, Encode};

use crate::{clock::UnixMillis, event::BodyDigest};

/// What became of an event at a broker.
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
