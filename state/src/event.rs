//! A shipment event: its fields, its position, and its original bytes.

use std::sync::Arc;

use bincode::{Decode, Encode};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{clock::UnixMillis, position::Position, trace_parent::TraceParent};

/// A change of a load's status, with the original bytes that brokers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where the record stood in its source.
    pub position: Position,
    /// The producer's id of the event: the idempotency key, together with the broker.
    pub event_id: Arc<str>,
    /// The load that changed; events of one (broker, load) are delivered in log order.
    pub load_id: Arc<str>,
    /// The canonical name of the new status.
    pub status: Arc<str>,
    /// When the change happened, by the producer's clock, in milliseconds since the Unix epoch.
    pub occurred_at: UnixMillis,
    /// The producer's own count of the load's events, where it keeps one.
    pub sequence: Option<u64>,
    /// Its place in a distributed trace, where the producer names one.
    pub traceparent: Option<TraceParent>,
    /// When Loadline read the record.
    pub read_at: UnixMillis,
    /// The record exactly as it was read.
    pub body: Bytes,
    /// The digest of `body`: tells a duplicate from a conflict.
    pub digest: BodyDigest,
}

/// The first 128 bits of a body's SHA-256.
///
/// Two different bodies share one by accident with a chance of 2^-128, which stands for "never" here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct BodyDigest([u8; 16]);

impl BodyDigest {
    /// The digest of `body`.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let hash = Sha256::digest(body);
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        Self(first)
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Its bytes in hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }
}
