//! What a slot shows of itself: its queue, its disk and its oldest delivery go into its broker's gauges, where anyone may
//! read them; and whether an operator has turned its gate. A store or two for each delivery, nothing else.

use stages::Gate;
use state::Clock;
use tokio::time::Instant;

use super::{slot::Slot, tell::Told};

impl Slot {
    /// Writes down what waits, for whoever asks.
    pub(super) fn gauge(&self) {
        let gauges = &self.broker.tally.gauges;
        gauges.queued.set((self.queue.waiting() + self.overflow.len() + self.surplus.len()) as u64);
        gauges.on_wire.set(self.on_wire as u64);
        gauges.no_room.set((self.overflow.len() + self.surplus.len()) as u64);
        gauges.spilled.set(self.account.deliveries());
        gauges.spilled_bytes.set(self.account.bytes());
    }

    /// As [`gauge`](Self::gauge), and since when the oldest waits in memory; visits every load.
    pub(super) fn gauge_oldest(&self, now: Instant, clock: &Clock) {
        self.gauge();
        let overflow = self.overflow.front().map(|item| item.since);
        let oldest = [self.queue.oldest(), overflow].into_iter().flatten().min();
        let age = |since| u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
        let at = oldest.map_or(0, |since| clock.now().saturating_sub(age(since)).max(1));
        self.broker.tally.gauges.oldest_at.set(at);
    }

    /// Whether it has to be looked at in a while, whatever happens: what waits grows older, what has been written down or
    /// said of it may be out of date.
    pub(super) fn is_active(&self) -> bool {
        !self.is_idle() || self.shown || self.held || self.told != Told::default()
    }

    /// Whether the gate is other than it was when the broker was last looked at, with nothing to say so: an operator has
    /// turned it, or has sent it elsewhere.
    pub(super) fn was_turned(&self, now: Instant) -> bool {
        let wakes_after = |moment| self.wake.is_some_and(|wake| wake > moment);
        if self.moves != self.broker.health.moves() {
            return true;
        }
        match self.gate(now) {
            Gate::Open | Gate::Disabled => self.held,
            Gate::Probe => self.held && wakes_after(now),
            Gate::HeldUntil(_) if self.broker.health.is_paused() => !self.held,
            Gate::HeldUntil(until) => self.held && wakes_after(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use state::{SpillUsage, UnixMillis};

    use super::*;
    use crate::line::{
        account::Account,
        limits::Shared,
        testing::{broker, item, limits, tickets},
    };

    fn slot() -> Slot {
        let shared = Arc::new(Shared::new(&limits(), 1, tickets()));
        let usage = SpillUsage { deliveries: 3, bytes: 700, next_seq: 3 };
        Slot::new(broker(), Account::new(shared, &limits(), usage, 0))
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_told_with_the_age_of_its_oldest() {
        const START: UnixMillis = 1_000_000;
        let (mut slot, clock) = (slot(), Clock::simulated(START));
        slot.gauge_oldest(Instant::now(), &clock);
        assert_eq!(slot.broker.tally.gauges.oldest_at.get(), 0);
        slot.queue.push(item("a", 3));
        tokio::time::advance(std::time::Duration::from_secs(5)).await;
        slot.queue.push(item("b", 4));
        slot.overflow.push_back(item("c", 5));
        slot.gauge_oldest(Instant::now(), &clock);
        let gauges = &slot.broker.tally.gauges;
        assert_eq!((gauges.queued.get(), gauges.spilled.get(), gauges.spilled_bytes.get()), (3, 3, 700));
        assert_eq!(gauges.oldest_at.get(), START);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operators_turn_is_seen_once_and_a_breakers_own_is_not() {
        let (mut slot, now) = (slot(), Instant::now());
        assert!(!slot.was_turned(now));
        slot.broker.health.set_paused(true);
        assert!(slot.was_turned(now), "paused");
        // As the shard leaves it after a look.
        slot.held = true;
        slot.wake = match slot.gate(now) {
            Gate::HeldUntil(until) => Some(until),
            _ => None,
        };
        assert!(!slot.was_turned(now), "known to be paused");
        slot.broker.health.set_paused(false);
        assert!(slot.was_turned(now), "resumed");
        slot.broker.health.pause_until(now + std::time::Duration::from_secs(9));
        assert!(slot.was_turned(now), "resumed into a pause of its own that ends sooner");
        slot.wake = Some(now + std::time::Duration::from_secs(9));
        assert!(!slot.was_turned(now), "held by itself, as known");
        slot.broker.health.disable("gone");
        assert!(slot.was_turned(now), "disabled");
    }
}
