//! How a shard comes to its end: the input ends and what can still move is waited for, or it is told to stop and what
//! is on the wire is.

use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;
use crate::stop::Level;

/// Where a shard is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Deliveries still arrive.
    Not,
    /// No more will arrive; it ends when nothing is left, or when nothing has moved for the limit `drain`.
    Draining {
        /// When a delivery last came to its end, or the input did.
        moved: Instant,
    },
    /// Nothing is started any more; it ends when nothing is on the wire, or at `until`.
    Stopping {
        /// The end of the grace period.
        until: Instant,
    },
}

impl Ending {
    /// The input has ended.
    pub(super) fn input_ended(&mut self, now: Instant) {
        if *self == Self::Not {
            *self = Self::Draining { moved: now };
        }
    }

    /// A delivery has come to its end.
    pub(super) fn moved(&mut self, now: Instant) {
        if let Self::Draining { moved } = self {
            *moved = now;
        }
    }

    /// It is to stop: at once, or within the grace period.
    pub(super) fn stop(&mut self, level: Level, limits: &Limits, now: Instant) {
        let grace = if level == Level::Now { Duration::ZERO } else { limits.grace };
        *self = Self::Stopping { until: now + grace };
    }

    pub(super) fn is_stopping(self) -> bool {
        matches!(self, Self::Stopping { .. })
    }

    /// When patience ends, if nothing happens before.
    pub(super) fn deadline(self, limits: &Limits) -> Option<Instant> {
        match self {
            Self::Not => None,
            Self::Draining { moved } => Some(moved + limits.drain),
            Self::Stopping { until } => Some(until),
        }
    }
}
