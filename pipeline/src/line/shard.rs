//! One shard: a thread's share of the brokers. Deliveries arrive from the intake in log order, go through the stages
//! one at a time per (broker, load) and many at once otherwise, and are settled once their verdict is on record.
//!
//! Guarantees: a broker's trouble holds only its own deliveries; what is held for long goes to disk; everything that
//! arrived is settled, on disk, or still vouched for by its source when this returns.

mod happen;
mod relieve;

use std::{pin::pin, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use stages::{
    Ack, Gate, Stage,
    models::{Broker, Delivery, Fault, Receipt},
};
use state::{Clock, DeadLetter, SpilledDelivery};
use tokio::{
    sync::mpsc,
    task::unconstrained,
    time::{Instant, sleep_until},
};

use super::{
    admit::Newcomer,
    command::{Command, Replaying},
    ending::Ending,
    event::{self, Event},
    limits::{Limits, Shared},
    load,
    memory::Place,
    queue::{Item, Origin},
    slot::Slot,
    ticket::Share,
    timers::Timers,
    write::Write,
};
use crate::stop::{Level, Stop};

/// How many events, or arrivals, are taken together before anything else is looked at.
const TOGETHER_MAX: usize = 32;

/// A delivery on its way from the intake to its shard.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) delivery: Delivery,
    pub(super) share: Share,
    pub(super) permit: Place,
}

/// What a shard leaves behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShardReport {
    /// Deliveries that were on the wire when the grace period ended: they may repeat.
    pub(super) abandoned: usize,
}

/// One shard.
pub(super) struct Shard<Stages> {
    pub(super) stages: Arc<Stages>,
    pub(super) ack: Ack,
    clock: Clock,
    pub(super) limits: Limits,
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Vec<Slot>,
    /// Where each broker's slot is, by the broker's ordinal.
    slot_of: Vec<Option<usize>>,
    pub(super) events: FuturesUnordered<BoxFuture<'static, Event>>,
    /// Slots where something has happened since they were last advanced; each once.
    stirred: Vec<usize>,
    /// For each slot, whether time alone may change it or what is shown of it.
    active: Vec<bool>,
    /// How often they have been looked at.
    looks: usize,
    timers: Timers,
    pub(super) ending: Ending,
}

impl<Stages> Shard<Stages> {
    /// Where a broker's slot is, if this shard serves it.
    pub(super) fn place_of(&self, broker: &Broker) -> Option<usize> {
        self.slot_of.get(broker.ordinal).copied().flatten()
    }

    pub(super) fn slot_mut(&mut self, index: usize) -> &mut Slot {
        &mut self.slots[index]
    }

    /// Takes in a broker; gives the place of its slot.
    pub(super) fn give_place(&mut self, slot: Slot) -> usize {
        let (index, ordinal) = (self.slots.len(), slot.broker.ordinal);
        if self.slot_of.len() <= ordinal {
            self.slot_of.resize(ordinal + 1, None);
        }
        self.slot_of[ordinal] = Some(index);
        self.slots.push(slot);
        self.active.push(true);
        index
    }

    /// A slot for `newcomer`.
    pub(super) fn slot_for(&self, newcomer: Newcomer) -> Slot {
        newcomer.slot(&self.shared, &self.limits)
    }

    /// Whether nothing is started any more.
    pub(super) fn is_stopping(&self) -> bool {
        self.ending.is_stopping()
    }

    /// Sends dead letters' deliveries to disk, in this order.
    pub(super) fn put_back(
        &mut self,
        replaying: Replaying,
        deliveries: Vec<(SpilledDelivery, Option<DeadLetter>)>,
    ) {
        let proofs = self.ack.put_back(deliveries);
        self.events.push(Box::pin(async move { Event::Replayed { replaying, proofs: proofs.await } }));
    }
}

impl<Stages: Stage<In = Delivery, Out = Receipt>> Shard<Stages> {
    pub(super) fn new(
        stages: Arc<Stages>,
        ack: Ack,
        limits: Limits,
        shared: Arc<Shared>,
        slots: Vec<Slot>,
    ) -> Self {
        let clock = ack.clock().clone();
        let (events, timers, ending) = (FuturesUnordered::new(), Timers::new(), Ending::Not);
        let (slot_of, stirred) = (Vec::new(), Vec::with_capacity(TOGETHER_MAX));
        let no_slots = Vec::new();
        let mut shard = Self {
            stages,
            ack,
            clock,
            limits,
            shared,
            slots: no_slots,
            slot_of,
            events,
            stirred,
            active: Vec::new(),
            looks: 0,
            timers,
            ending,
        };
        for slot in slots {
            shard.give_place(slot);
        }
        shard
    }

    /// Serves its brokers until the input has ended and nothing is left, or until it is stopped.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Arrival>,
        mut commands: mpsc::Receiver<Command>,
        mut stop: Stop,
    ) -> Result<ShardReport, Fault> {
        let mut arriving = true;
        for slot in 0..self.slots.len() {
            self.advance(slot);
        }
        // Moved only when its time changes: registering a timer for every event would cost more than the event.
        let mut wake = pin!(sleep_until(Instant::now()));
        while arriving || !self.is_done() {
            let deadline = self.ending.deadline(&self.limits);
            let next_wake = self.timers.next_wake(deadline);
            if wake.deadline() != next_wake {
                wake.as_mut().reset(next_wake);
            }
            tokio::select! {
                Some(event) = self.events.next(), if !self.events.is_empty() => self.on_events(event)?,
                arrival = inbox.recv(), if arriving => match arrival {
                    Some(arrival) => self.arrive_all(arrival, &mut inbox),
                    None => {
                        arriving = false;
                        self.ending.input_ended(Instant::now());
                    }
                },
                Some(command) = commands.recv() => if let Some(index) = self.obey(command) {
                    self.advance(index);
                },
                level = stop.changed() => self.stop(level),
                () = &mut wake => self.on_wake(),
            }
            if !arriving && deadline.is_some_and(|at| at <= Instant::now()) {
                if self.ending.is_stopping() {
                    self.take_back()?;
                    break;
                }
                // What finds no room on disk stays with the source: nobody's defect.
                self.shared.partitions.stopping();
                self.stop(Level::Drain);
            }
        }
        let abandoned = self.slots.iter().map(|slot| slot.queue.running()).sum();
        Ok(ShardReport { abandoned })
    }

    fn is_done(&self) -> bool {
        if self.ending.is_stopping() {
            // A read is not waited for: it may itself wait for a place in memory.
            let reads = self.slots.iter().filter(|slot| slot.account.loading).count();
            return self.events.len() == reads && self.slots.iter().all(|slot| slot.queue.running() == 0);
        }
        self.events.is_empty() && self.slots.iter().all(Slot::is_idle)
    }

    /// From now on nothing is started: what waits goes to disk, what runs may finish.
    fn stop(&mut self, level: Level) {
        self.ending.stop(level, &self.limits, Instant::now());
        for index in 0..self.slots.len() {
            let mut write = Write::default();
            let slot = &mut self.slots[index];
            slot.held = true;
            // What only waits for its quota, or for its next attempt, comes back at once.
            slot.broker.halt.ask();
            slot.set_aside(&self.clock, &mut write);
            slot.relieve_overflow(&self.limits, self.shared.brokers(), &self.clock, &mut write);
            self.submit(index, write);
        }
    }

    /// Takes in what has ended by now: what never was on the wire must not count as if it had been.
    fn take_back(&mut self) -> Result<(), Fault> {
        let ended = |events: &mut FuturesUnordered<_>| unconstrained(events.next()).now_or_never().flatten();
        while let Some(event) = ended(&mut self.events) {
            self.on_events(event)?;
        }
        Ok(())
    }

    /// Takes in an arrival, and those that have come with it.
    fn arrive_all(&mut self, first: Arrival, inbox: &mut mpsc::Receiver<Arrival>) {
        self.arrive(first);
        for _ in 1..TOGETHER_MAX {
            match inbox.try_recv() {
                Ok(arrival) => self.arrive(arrival),
                Err(_) => break,
            }
        }
        self.advance_stirred();
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Arrival { mut delivery, share, permit } = arrival;
        let Some(index) = self.place_of(&delivery.broker) else {
            // Cannot happen: the intake sends by the broker's own shard. Dropping the share stops the line.
            tracing::error!(broker = %delivery.broker.id, "a delivery reached a shard that does not serve its broker");
            return;
        };
        // What came together has not been started yet: a broker that could take it must not look as if it lagged.
        if self.stirred.contains(&index) && self.slots[index].is_full(&self.limits, self.shared.brokers()) {
            self.advance(index);
        }
        let slot = &mut self.slots[index];
        delivery.seq = slot.account.number();
        let origin = Origin::Live(share);
        let item = Item {
            delivery,
            origin,
            _permit: permit,
            since: Instant::now(),
            not_before: None,
            rewrite: false,
            by_number: false,
        };
        let mut write = Write::default();
        slot.arrive(item, &self.limits, self.shared.brokers(), &self.clock, &mut write);
        self.submit(index, write);
        self.stir(index);
    }

    /// Notes that something has happened at a slot, so that it is advanced.
    fn stir(&mut self, index: usize) {
        if !self.stirred.contains(&index) {
            self.stirred.push(index);
        }
    }

    fn advance_stirred(&mut self) {
        while let Some(index) = self.stirred.pop() {
            self.advance(index);
        }
    }

    /// Starts whatever may be started at a broker, and sees to it that it is looked at again.
    fn advance(&mut self, index: usize) {
        if self.ending.is_stopping() {
            self.active[index] = true;
            return;
        }
        let now = Instant::now();
        let mut write = Write::default();
        let slot = &mut self.slots[index];
        slot.queue.unpark(now);
        let gate = slot.gate(now);
        slot.release(gate == Gate::Disabled, now);
        match gate {
            Gate::Open | Gate::Disabled => {
                slot.held = false;
                let most = slot.broker.concurrency();
                // It may have been lowered since.
                slot.window = slot.window.min(most);
                let window = if gate == Gate::Disabled { most } else { slot.window };
                while self.slots[index].on_wire < window {
                    // First, since what comes out of the overflow may be all there is to start.
                    self.relieve_overflow(index, &mut write);
                    if !self.start(index, now) {
                        break;
                    }
                }
            }
            Gate::Probe => {
                let brokers = self.shared.brokers();
                if let Some(delivery) = slot.start_probe(now, brokers, &self.clock, &mut write) {
                    self.carry(index, delivery);
                }
            }
            Gate::HeldUntil(until) => slot.hold(until, now, self.limits.hold_min, &self.clock, &mut write),
        }
        self.relieve_overflow(index, &mut write);
        self.give_up_surplus(index, now);
        let slot = &mut self.slots[index];
        let wake = slot.next_look(gate, now);
        self.timers.set(index, &mut slot.wake, wake);
        slot.gauge();
        self.active[index] = gate != Gate::Open || slot.is_active();
        self.submit(index, write);
        self.refill(index, gate, now);
    }

    fn relieve_overflow(&mut self, index: usize, write: &mut Write) {
        self.slots[index].relieve_overflow(&self.limits, self.shared.brokers(), &self.clock, write);
    }

    /// Sends the next ready delivery of a broker through the stages; false if there is none.
    fn start(&mut self, index: usize, now: Instant) -> bool {
        let Some(delivery) = self.slots[index].start(now) else { return false };
        self.carry(index, delivery);
        true
    }

    /// Sends a delivery through the stages and puts its end on record.
    fn carry(&mut self, index: usize, delivery: Delivery) {
        self.slots[index].on_wire += 1;
        self.events.push(event::run(self.stages.clone(), index, delivery));
    }

    /// Reads more of a broker's deliveries from disk if it can be served, and memory has run low or some have come due.
    fn refill(&mut self, index: usize, gate: Gate, now: Instant) {
        let slot = &mut self.slots[index];
        let wanted = slot.wanted(gate, self.shared.brokers(), now);
        if wanted.is_empty() {
            return;
        }
        slot.scan_first = !slot.scan_first;
        let range = slot.account.readable();
        let generation = slot.account.begin_load();
        let request = load::Request {
            broker: slot.broker.id.clone(),
            range,
            wanted,
            mean: slot.account.mean(),
            scan_first: slot.scan_first,
            passing: slot.deferred.names(),
            now: self.clock.lived(),
            horizon: slot.account.horizon,
            memory: self.shared.memory.clone(),
        };
        let ledger = self.ack.ledger().clone();
        self.events.push(Box::pin(async move {
            let read = load::load(&ledger, request).await;
            Event::Loaded { slot: index, generation, read }
        }));
    }

    /// Sends deliveries to disk, in the order in which they were added.
    fn submit(&mut self, index: usize, mut write: Write) {
        if write.deliveries.is_empty() {
            // What only left memory gives its permits back here.
            return;
        }
        self.slots[index].broker.tally.spilled.add(write.shares.iter().flatten().count() as u64);
        let deliveries: Vec<SpilledDelivery> = write.deliveries.clone();
        write.deliveries.iter_mut().for_each(|delivery| delivery.event.body.clear());
        let proofs = self.ack.settle_spilled(deliveries, write.sent_below);
        self.events
            .push(Box::pin(async move { Event::Written { slot: index, proofs: proofs.await, write } }));
    }
}

#[cfg(test)]
mod tests;
