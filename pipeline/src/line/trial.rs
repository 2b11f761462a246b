//! What a slot does with a delivery that has failed, and which one it tries while its broker's breaker is half-open.
//!
//! Guarantees: a delivery that waits long for its own next attempt holds no place in memory as long as there is room on
//! disk for what is behind it; what says most of the broker is tried first: a load that has never failed, if there is
//! one in memory or on disk, and otherwise the one that has been tried least.

use std::{sync::Arc, time::Duration};

use stages::{Gate, models::Delivery};
use state::Clock;
use tokio::time::Instant;

use super::{
    deferred::numbers_max,
    limits::Limits,
    queue::{Item, Origin},
    slot::Slot,
    write::{Write, cost},
};

impl Slot {
    /// Puts a delivery back that has run and has to wait for another attempt: in front of its load, in memory if that is
    /// soon, and otherwise on disk with everything behind it.
    pub(super) fn put_back(
        &mut self,
        item: Item,
        now: Instant,
        (limits, brokers): (&Limits, usize),
        clock: &Clock,
        write: &mut Write,
    ) {
        match item.not_before.filter(|until| until.saturating_duration_since(now) > limits.hold_min) {
            Some(until) => self.defer(item, until, numbers_max(brokers), clock, write),
            None => self.queue.push_front(item),
        }
    }

    fn defer(&mut self, item: Item, until: Instant, numbers_max: usize, clock: &Clock, write: &mut Write) {
        let (load, attempts) = (item.delivery.event().load_id.clone(), item.delivery.history.attempts);
        let mut items = self.queue.take_waiting_of(&load);
        items.push_front(item);
        let live = items.iter().filter(|item| matches!(item.origin, Origin::Live(_)));
        let room = self.account.has_room(live.map(cost).sum());
        if !room || self.deferred.len() + items.len() > numbers_max {
            for item in items {
                let kept = if room || item.rewrite { self.keep_on_disk(item, clock, write) } else { item };
                self.queue.push(kept);
            }
            return;
        }
        let numbers: Vec<_> = items.iter().map(|item| item.delivery.seq).collect();
        self.deferred.defer(&load, numbers, until, attempts);
        for item in items {
            self.spill(item, true, clock, write);
        }
    }

    /// A delivery of `load` has come to its end: the next one of it may come from disk, if it is there.
    pub(super) fn went(&mut self, load: &Arc<str>, now: Instant) {
        if !self.queue.has(load) {
            self.deferred.go_on(load, now, true);
        }
    }

    /// Looks after a broker that is held until `until`: held for long, what is in memory goes to disk, also what was read
    /// to probe with, whose places others need.
    pub(super) fn hold(
        &mut self,
        until: Instant,
        now: Instant,
        hold_min: Duration,
        clock: &Clock,
        write: &mut Write,
    ) {
        if until.saturating_duration_since(now) <= hold_min {
            return;
        }
        self.window = 1;
        // The probe under way is no reason to move what has just been moved.
        let anew = !std::mem::replace(&mut self.held, true);
        if anew || (self.queue.running() == 0 && self.queue.waiting() > 0) {
            self.set_aside(clock, write);
        }
    }

    /// Starts a delivery as the probe of a half-open breaker.
    pub(super) fn start_probe(
        &mut self,
        now: Instant,
        brokers: usize,
        clock: &Clock,
        write: &mut Write,
    ) -> Option<Delivery> {
        let fresh = self.queue.bring_forward(now, true) || self.offer_probe(now);
        if !fresh && !self.account.loading && self.can_scan(brokers, &self.account.readable()) {
            // Reading needs places, which those that have failed must not hold.
            if self.queue.waiting() > 0 {
                self.set_aside(clock, write);
            }
            return None;
        }
        if !(fresh || self.queue.bring_forward(now, false)) || !self.broker.health.begin_probe(now) {
            return None;
        }
        let Some(item) = self.queue.start(now) else {
            // What was ready turned out to wait for its own next attempt.
            self.broker.health.release_probe(now);
            return None;
        };
        item.delivery.progress.set_probe(true);
        Some(item.delivery.clone())
    }

    /// Sees to it that there is a delivery to probe with: while the broker is held nothing leaves the overflow for
    /// memory, so a broker all of whose deliveries wait there could never be tried again.
    fn offer_probe(&mut self, now: Instant) -> bool {
        if self.account.unloaded > 0 {
            return false;
        }
        let waits = |item: &Item| {
            let load = &item.delivery.event().load_id;
            self.deferred.holds(load) || self.queue.has(load)
        };
        let Some(at) = self.overflow.iter().position(|item| !waits(item)) else { return false };
        let Some(item) = self.overflow.remove(at) else { return false };
        self.queue.push(item);
        self.queue.bring_forward(now, true)
    }

    /// Lets nothing wait for its own next attempt any more if the broker has moved since it was last looked at, or takes
    /// nothing any more because it is disabled.
    pub(super) fn release(&mut self, disabled: bool, now: Instant) {
        let moves = self.broker.health.moves();
        if std::mem::replace(&mut self.moves, moves) != moves || disabled {
            self.deferred.release(now);
            self.queue.release();
        }
    }

    /// When it has to be looked at again, if nothing happens before.
    pub(super) fn next_look(&self, gate: Gate, now: Instant) -> Option<Instant> {
        match gate {
            Gate::HeldUntil(until) => Some(until),
            _ => [self.queue.next_unpark(), self.deferred.next_due(now)].into_iter().flatten().min(),
        }
    }
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
