//! What a broker queue does with a delivery that has failed, and which one it tries while its broker's breaker is half-open.
//!
//! Guarantees: a delivery that waits long for its own next attempt, or often while others wait for its place, holds none in
//! memory as long as there is room on disk for what is behind it; what says most of the broker is tried first: a load that
//! has never failed, if there is one in memory or on disk, and otherwise the one that has been tried least.

use std::sync::Arc;

use stages::{Gate, models::Delivery};
use tokio::time::Instant;

use super::{
    at::At,
    broker_queue::BrokerQueue,
    deferred::numbers_max,
    load_queues::{Backing, Item},
    spill_batch::{SpillBatch, cost},
};

/// After so many failed attempts a delivery does not keep its place in memory from others between two of them. Few fail so
/// often but those of loads that are refused for ever, so ordinary retries cost no writes.
const OFTEN: u32 = 8;

impl BrokerQueue {
    /// Puts a delivery back that has run and has to wait for another attempt: in front of its load, in memory if that is
    /// soon, and otherwise on disk with everything behind it. One that has failed often waits there however soon, while
    /// anyone waits for its place: where no wait is long, loads that are refused for ever would keep all places between
    /// them.
    pub(crate) fn put_back(&mut self, item: Item, at: At<'_>, batch: &mut SpillBatch) {
        let yields = item.delivery.history.attempts >= OFTEN && at.around.is_contended();
        let waits_long = |until: &Instant| until.saturating_duration_since(at.now) > at.limits.hold_min;
        match item.not_before.filter(|until| yields || waits_long(until)) {
            Some(until) => self.defer(item, until, at, batch),
            None => self.loads.push_front(item),
        }
    }

    fn defer(&mut self, item: Item, until: Instant, at: At<'_>, batch: &mut SpillBatch) {
        let (load, attempts) = (item.delivery.event().load_id.clone(), item.delivery.history.attempts);
        let mut items = self.loads.take_waiting_of(&load);
        items.push_front(item);
        let live = items.iter().filter(|item| matches!(item.backing, Backing::Source(_)));
        let room = self.spill.has_room(live.map(cost).sum());
        if !room || self.deferred.len() + items.len() > numbers_max(at.brokers) {
            for item in items {
                let kept = if room || item.rewrite { self.keep_on_disk(item, at, batch) } else { item };
                self.loads.push(kept);
            }
            return;
        }
        let numbers: Vec<_> = items.iter().map(|item| item.delivery.seq).collect();
        self.deferred.defer(&load, numbers, until, attempts);
        for item in items {
            self.spill(item, true, at, batch);
        }
    }

    /// A delivery of `load` has come to its end: the next one of it may come from disk, if it is there.
    pub(crate) fn finished(&mut self, load: &Arc<str>, now: Instant) {
        if !self.loads.has(load) {
            self.deferred.go_on(load, now, true);
        }
    }

    /// Looks after a broker that is held until `until`: held for long, what is in memory goes to disk, also what was read
    /// to probe with, whose places others need.
    pub(crate) fn hold(&mut self, until: Instant, at: At<'_>, batch: &mut SpillBatch) {
        if until.saturating_duration_since(at.now) <= at.limits.hold_min {
            return;
        }
        self.window = 1;
        // The probe under way is no reason to move what has just been moved.
        let anew = !std::mem::replace(&mut self.held, true);
        if anew || (self.loads.running() == 0 && self.loads.waiting() > 0) {
            self.set_aside(at, batch);
        }
    }

    /// Starts a delivery as the probe of a half-open breaker.
    pub(crate) fn start_probe(&mut self, at: At<'_>, batch: &mut SpillBatch) -> Option<Delivery> {
        let now = at.now;
        // One that waits for the quota, or for the process's lease, outlasts its deadline; a second one would only join it.
        if self.loads.runs_probe() {
            return None;
        }
        let fresh = self.loads.bring_forward(now, true) || self.offer_probe(now);
        if !fresh && !self.spill.reading && self.can_scan(at.brokers, &self.spill.readable()) {
            // Reading needs places, which those that have failed must not hold. What waits behind one of its load that is
            // under way stays: it would be read again at once, and again, for as long as that one takes.
            if self.loads.ready() > 0 || self.loads.next_unpark().is_some() {
                self.set_aside(at, batch);
            }
            return None;
        }
        if !(fresh || self.loads.bring_forward(now, false)) {
            return None;
        }
        // None if what was ready turned out to wait for its own next attempt.
        let item = self.loads.start(now)?;
        item.delivery.probe = true;
        Some(item.delivery.clone())
    }

    /// Sees to it that there is a delivery to probe with: while the broker is held nothing leaves the overflow for
    /// memory, so a broker all of whose deliveries wait there could never be tried again.
    fn offer_probe(&mut self, now: Instant) -> bool {
        if self.spill.unloaded > 0 {
            return false;
        }
        let waits = |item: &Item| {
            let load = &item.delivery.event().load_id;
            self.deferred.holds(load) || self.loads.has(load) || self.giving_up.holds(load)
        };
        let Some(at) = self.overflow.iter().position(|item| !waits(item)) else { return false };
        let Some(item) = self.overflow.remove(at) else { return false };
        self.loads.push(item);
        self.loads.bring_forward(now, true)
    }

    /// Lets nothing wait for its own next attempt any more if the broker has moved since it was last looked at, or takes
    /// nothing any more because it is disabled.
    pub(crate) fn release(&mut self, disabled: bool, at: At<'_>) {
        let moves = at.around.moves(&self.broker);
        if std::mem::replace(&mut self.moves, moves) != moves || disabled {
            self.deferred.release(at.now);
            self.loads.release();
        }
    }

    /// When it has to be looked at again, if nothing happens before.
    pub(crate) fn next_look(&self, gate: Gate, now: Instant) -> Option<Instant> {
        match gate {
            Gate::HeldUntil(until) => Some(until),
            _ => [self.loads.next_unpark(), self.deferred.next_due(now)].into_iter().flatten().min(),
        }
    }
}

#[cfg(test)]
#[path = "put_back_tests.rs"]
mod tests;
