//! How a shard comes to its end: the input ends and what can still move is waited for, or it is told to stop and what
//! is on the wire is.

use std::time::Duration;

use tokio::time::Instant;

use crate::{limits::Limits, stop::Level};

/// Where a shard is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShutdownPhase {
    /// Deliveries still arrive.
    Running,
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

impl ShutdownPhase {
    /// The input has ended.
    pub(crate) fn input_ended(&mut self, now: Instant) {
        if *self == Self::Running {
            *self = Self::Draining { moved: now };
        }
    }

    /// A delivery has come to its end.
    pub(crate) fn progressed(&mut self, now: Instant) {
        if let Self::Draining { moved } = self {
            *moved = now;
        }
    }

    /// It is to stop: at once, or within the grace period.
    pub(crate) fn stop(&mut self, level: Level, limits: &Limits, now: Instant) {
        let grace = if level == Level::Now { Duration::ZERO } else { limits.grace };
        *self = Self::Stopping { until: now + grace };
    }

    pub(crate) fn is_stopping(self) -> bool {
        matches!(self, Self::Stopping { .. })
    }

    /// When patience ends, if nothing happens before.
    pub(crate) fn deadline(self, limits: &Limits) -> Option<Instant> {
        match self {
            Self::Running => None,
            Self::Draining { moved } => Some(moved + limits.drain),
            Self::Stopping { until } => Some(until),
        }
    }
}
