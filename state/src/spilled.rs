//! A delivery that waits on disk: the event, the attempts so far, and when it may be tried again.

use std::sync::Arc;

use crate::{
    attempt::History,
    clock::{Clock, UnixMillis},
    event::Event,
};

/// A delivery's number in its broker's spill: assigned in log order, never reused.
pub type SpillSeq = u64;

/// The name of a spilled delivery: its broker and its number.
pub type SpillRef = (Arc<str>, SpillSeq);

/// One event waiting on disk for one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpilledDelivery {
    /// The broker it is for.
    pub broker: Arc<str>,
    /// Its number among that broker's spilled deliveries.
    pub seq: SpillSeq,
    /// The event.
    pub event: Event,
    /// The attempts so far.
    pub history: History,
    /// Not to be tried before this time, by [`Clock::monotonic`](crate::Clock::monotonic); zero if it may be tried at
    /// once.
    pub not_before: UnixMillis,
    /// Whether it was on the wire when it was spilled, so that after a crash the next attempt may be a repeat.
    pub may_repeat: bool,
    /// The row of a database's subscriptions that made it; none if the config made it.
    pub row: Option<i64>,
}

impl SpilledDelivery {
    /// An event that waits for its first attempt, with nothing to wait for.
    #[must_use]
    pub fn untried(broker: Arc<str>, seq: SpillSeq, event: Event) -> Self {
        let history = History::default();
        Self { broker, seq, event, history, not_before: 0, may_repeat: false, row: None }
    }

    /// Gives its times by the wall clock: another directory has another monotonic time.
    pub(crate) fn keep_by_wall(&mut self, clock: &Clock) {
        self.change_times(|time| clock.to_wall(time));
    }

    /// Gives its times, which are by the wall clock, by this directory's monotonic time.
    pub(crate) fn keep_by_monotonic(&mut self, clock: &Clock) {
        self.change_times(|time| clock.to_monotonic(time));
    }

    fn change_times(&mut self, change: impl Fn(UnixMillis) -> UnixMillis) {
        self.event.read_at = change(self.event.read_at);
        // Zero is no time.
        if self.not_before > 0 {
            self.not_before = change(self.not_before);
        }
    }
}
