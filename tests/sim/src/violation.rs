//! A broken promise: which one, where and when.

use std::fmt;

use serde::Serialize;

/// What Loadline promises, as far as the simulation can see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// A run ends without a fault.
    NoFault,
    /// What is posted is an event of the log, for a broker that wants it, byte for byte.
    RightEvent,
    /// Two events of one (broker, load) never run together.
    OneAtATime,
    /// Events of one (broker, load) start in log order.
    InOrder,
    /// What was taken or refused, and what is on record, is never attempted again.
    Once,
    /// An attempt that may repeat an earlier one says so.
    RepeatsMarked,
    /// An attempt that may repeat an earlier one is counted.
    RepeatsCounted,
    /// No attempt begins of a partition that the group has given to another member.
    OwnPartition,
    /// Attempts never exceed the broker's quota.
    WithinQuota,
    /// Attempts under way never exceed their bounds.
    WithinBounds,
    /// `Retry-After` is honoured.
    PauseKept,
    /// Whatever the checkpoint has passed is on record, and what is on record is true.
    OnRecord,
    /// Everything ends as delivered or as a dead letter with its reason.
    NothingLost,
    /// Whatever a broker would take is delivered in bounded time; a line that is asked to stop does.
    GoesOn,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which one.
    pub promise: Promise,
    /// What was seen.
    pub detail: String,
    /// The last step of the simulation before it was seen.
    pub step: u64,
    /// When that was, in simulated milliseconds since the start.
    pub at: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, detail, step, at } = self;
        write!(f, "{promise:?} is broken at step {step} ({at} ms): {detail}")
    }
}
