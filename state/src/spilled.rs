//! A delivery as it waits on disk: the event, the attempts so far, and when it may be tried again.

use std::sync::Arc;

use crate::{attempt::History, clock::UnixMillis, event::Event};

/// A delivery's place in its broker's spill: given out in arrival order, never reused.
pub type SpillSeq = u64;

/// One event waiting on disk for one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpilledDelivery {
    /// Who is to get it.
    pub broker: Arc<str>,
    /// Its place among that broker's spilled deliveries.
    pub seq: SpillSeq,
    /// The event.
    pub event: Event,
    /// The attempts so far.
    pub history: History,
    /// Not to be tried before this moment, by [`Clock::lived`](crate::Clock::lived); zero if nothing of its own holds it back.
    pub not_before: UnixMillis,
    /// Whether it was on the wire when it was spilled, so that after a crash the next attempt may be a repeat.
    pub may_repeat: bool,
}
