//! What a broker queue shows of itself, and whether an operator has changed what its broker may be given.

use stages::Gate;
use tokio::time::Instant;

use super::{at::At, broker_queue::BrokerQueue, state_log::StateLog, step::Gauges};

impl BrokerQueue {
    /// What waits, for whoever asks.
    pub(super) fn gauges(&self) -> Gauges {
        let no_room = (self.overflow.len() + self.giving_up.len()) as u64;
        Gauges {
            queued: self.loads.waiting() as u64 + no_room,
            on_wire: self.on_wire as u64,
            no_room,
            spilled: self.spill.deliveries(),
            spilled_bytes: self.spill.bytes(),
        }
    }

    /// Since when the oldest delivery waits in memory; visits every load.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let overflow = self.overflow.front().map(|item| item.since);
        [self.loads.oldest(), overflow].into_iter().flatten().min()
    }

    /// Whether it has to be looked at in a while, whatever happens: what waits grows older, what has been written down or
    /// said of it may be out of date.
    pub(super) fn is_active(&self) -> bool {
        !self.is_idle() || self.shown || self.held || self.log != StateLog::default()
    }

    /// Whether the gate is other than it was when the broker was last looked at, with nothing to say so: an operator has
    /// changed it, or has sent the broker elsewhere.
    pub(super) fn operator_changed(&self, at: At<'_>) -> bool {
        let wakes_after = |moment| self.wake.is_some_and(|wake| wake > moment);
        if self.moves != at.around.moves(&self.broker) {
            return true;
        }
        match at.around.gate(&self.broker, at.now) {
            // A window of nothing grows by no success.
            Gate::Open if self.window == 0 => self.held || at.around.concurrency(&self.broker) > 0,
            Gate::Open | Gate::Disabled => self.held,
            Gate::Probe => self.held && wakes_after(at.now),
            Gate::HeldUntil(_) if at.around.is_paused(&self.broker) => !self.held,
            Gate::HeldUntil(until) => self.held && wakes_after(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use state::SpillUsage;

    use super::*;
    use crate::{
        limits::Limits,
        shard::spill_index::SpillIndex,
        testing::{at, broker, item, limits},
    };

    fn queue(limits: &Limits, now: Instant) -> BrokerQueue {
        let usage = SpillUsage { deliveries: 3, bytes: 700, next_seq: 3 };
        BrokerQueue::new(broker(), SpillIndex::new(Arc::default(), limits, usage, 0), now)
    }

    #[test]
    fn what_waits_is_shown_with_the_time_of_its_oldest() {
        let (limits, now) = (limits(), Instant::now());
        let mut queue = queue(&limits, now);
        assert_eq!(queue.oldest(), None);
        let first = item("a", 3);
        let since = first.since;
        queue.loads.push(first);
        queue.loads.push(item("b", 4));
        queue.overflow.push_back(item("c", 5));
        assert_eq!(queue.oldest(), Some(since));
        let shown = Gauges { queued: 3, on_wire: 0, no_room: 1, spilled: 3, spilled_bytes: 700 };
        assert_eq!(queue.gauges(), shown);
    }

    #[test]
    fn an_operators_change_is_seen_once_and_a_breakers_own_is_not() {
        let (limits, now) = (limits(), Instant::now());
        let mut queue = queue(&limits, now);
        let broker = queue.broker.clone();
        let changed = |queue: &BrokerQueue| queue.operator_changed(at(&limits, 1, now));
        assert!(!changed(&queue));
        broker.health.set_paused(true);
        assert!(changed(&queue), "paused");
        // As the core leaves it after a look.
        queue.held = true;
        queue.wake = match broker.health.gate(now) {
            Gate::HeldUntil(until) => Some(until),
            _ => None,
        };
        assert!(!changed(&queue), "known to be paused");
        broker.health.set_paused(false);
        assert!(changed(&queue), "resumed");
        broker.health.pause_until(now + Duration::from_secs(9));
        assert!(changed(&queue), "resumed into a pause of its own that ends sooner");
        queue.wake = Some(now + Duration::from_secs(9));
        assert!(!changed(&queue), "held by itself, as known");
        broker.health.disable("gone");
        assert!(changed(&queue), "disabled");
    }
}
