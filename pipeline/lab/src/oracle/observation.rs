//! What the simulated brokers saw and did: the only testimony the oracle hears besides the log itself.

use std::sync::Arc;

/// What one broker's receiver kept of a run.
#[derive(Clone, Debug, Default)]
pub struct ReceiverLog {
    /// What it took, in the order in which it took it.
    pub taken: Vec<Observation>,
    /// What it did not take, in the order of arrival.
    pub refused: Vec<RefusedRequest>,
}

/// A request whose event was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When, in milliseconds from the start of the run.
    pub at_ms: u64,
    /// The event whose bytes these are, by its place in [`Traffic::events`](crate::traffic::Traffic::events); none if
    /// nothing of the kind was ever issued.
    pub event: Option<u32>,
    /// The `webhook-id` it came with; none if it came without (the legacy service sends none).
    pub webhook_id: Option<Arc<str>>,
    /// What the sender was told; none if the sender gave up before, or was left hanging.
    pub told: Option<Answer>,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// When it was sent, in milliseconds from the start of the run.
    pub at_ms: u64,
}

/// A request that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedRequest {
    /// When, in milliseconds from the start of the run.
    pub at_ms: u64,
    /// Why.
    pub why: crate::receiver::Refusal,
}
