//! The core of a shard: which delivery of which broker is started, written, read or settled, and when it is looked at
//! again. A pure state machine: no I/O, no clock, no tasks. The driver carries its effects out in real life, the model in
//! `model/` in the tests; both run this code.
//!
//! Guarantees: one delivery of a (broker, load) at a time, in log order; a broker's trouble holds only its own
//! deliveries; nothing that arrived leaves the core but with the proof that its end is on record, or that it is on disk.

use std::sync::Arc;

use stages::{Broker, Gate};
use tokio::time::Instant;

use super::{
    at::At,
    broker_queue::BrokerQueue,
    load_queues::{Backing, Item},
    moving::Moving,
    shutdown_phase::ShutdownPhase,
    spill_batch::SpillBatch,
    step::{Arrival, Effect, Input, ReadAsked},
    timers::Timers,
};
use crate::{
    command::{Replay, Replayed},
    counters::Counters,
    limits::Limits,
    stop::Level,
};

/// How many queues are expected to be dirty at once.
const DIRTY_MOST: usize = 32;

/// The core of one shard.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) queues: Vec<BrokerQueue>,
    /// Where each broker's queue is, by the broker's ordinal.
    queue_of: Vec<Option<usize>>,
    /// What all shards count together.
    pub(super) counters: Arc<Counters>,
    /// Queues where something has happened since they were last advanced; each once. So between two times that effects
    /// are carried out no queue is advanced twice, and what it asks for is known before it is asked again.
    dirty: Vec<usize>,
    /// For each queue, whether it is one of them.
    is_dirty: Vec<bool>,
    /// For each queue, whether time alone may change it or what is shown of it.
    pub(super) active: Vec<bool>,
    /// How many ticks there have been.
    pub(super) ticks: usize,
    pub(super) timers: Timers,
    pub(super) phase: ShutdownPhase,
    /// Partitions that are taken away.
    pub(super) moving: Moving,
}

impl Core {
    /// A core over these queues.
    pub(crate) fn new(counters: Arc<Counters>, queues: Vec<BrokerQueue>, now: Instant) -> Self {
        let mut core = Self {
            queues: Vec::with_capacity(queues.len()),
            queue_of: Vec::new(),
            counters,
            dirty: Vec::with_capacity(DIRTY_MOST),
            is_dirty: Vec::new(),
            active: Vec::new(),
            ticks: 0,
            timers: Timers::new(now),
            phase: ShutdownPhase::Running,
            moving: Moving::default(),
        };
        for queue in queues {
            core.add_queue(queue);
        }
        core
    }

    /// Takes in what has happened. Queues that it changes are marked; [`Core::advance_dirty`] starts what may be started,
    /// after as many inputs as came together.
    pub(crate) fn step(&mut self, input: Input, at: At<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Arrived(arrival) => self.arrive(arrival, at, out),
            Input::AttemptDone { queue, load, end } => self.on_attempt_done(queue, &load, end, at, out),
            Input::Recorded { queue, load, succeeded, proof } => {
                self.on_recorded(queue, &load, succeeded, proof, at, out);
            }
            Input::GivenUp { queue, seq, end } => self.on_given_up(queue, seq, end, at, out),
            Input::Written { queue, batch, proofs } => self.on_written(queue, *batch, proofs, out),
            Input::ReplayWritten { placed } => {
                for (queue, seq) in placed {
                    self.queues[queue].spill.written(seq);
                    self.mark_dirty(queue);
                }
            }
            Input::ReadDone { queue, generation, read } => {
                self.queues[queue].take_in(read, generation, at);
                self.mark_dirty(queue);
            }
            Input::Replay(replays) => self.replay(replays, out),
            Input::BrokerAdded(queue) => {
                let queue = self.add_queue(*queue);
                self.mark_dirty(queue);
            }
            Input::Forgotten => {}
            Input::HandOver(partition) => self.hand_over(&partition, at, out),
            Input::Leave { partition, reply } => self.leave(partition, reply, at, out),
            Input::Dropped(dropped) => self.dropped(&dropped, at),
            Input::Left { partition } => self.left(&partition),
            Input::Lost(tickets) => self.lose(tickets, at, out),
            Input::Gone(tickets) => self.moving.gone(&tickets),
            Input::ArrivalsEnded => self.phase.input_ended(at.now),
            Input::Stop(level) => self.stop(level, at, out),
            Input::TimeReached => self.on_time_reached(at, out),
        }
    }

    /// Advances the queues where something has happened.
    pub(crate) fn advance_dirty(&mut self, at: At<'_>, out: &mut Vec<Effect>) {
        while let Some(queue) = self.dirty.pop() {
            self.is_dirty[queue] = false;
            self.advance(queue, at, out);
        }
    }

    /// Advances every queue: there may be something on disk to begin with.
    pub(crate) fn advance_all(&mut self, at: At<'_>, out: &mut Vec<Effect>) {
        (0..self.queues.len()).for_each(|queue| self.advance(queue, at, out));
    }

    /// When to give [`Input::TimeReached`] at the latest.
    pub(crate) fn next_wake(&self, deadline: Option<Instant>) -> Instant {
        self.timers.next_wake(deadline)
    }

    /// When patience ends: see [`ShutdownPhase::deadline`].
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        self.phase.deadline(limits)
    }

    /// Whether nothing is started any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.phase.is_stopping()
    }

    /// Whether nothing is left to do in memory or on disk.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues.iter().all(BrokerQueue::is_idle)
    }

    /// Deliveries whose run, or whose record, is under way.
    pub(crate) fn running_count(&self) -> usize {
        self.queues.iter().map(|queue| queue.loads.running()).sum()
    }

    /// Reads under way.
    pub(crate) fn reads(&self) -> usize {
        self.queues.iter().filter(|queue| queue.spill.reading).count()
    }

    /// The broker of a queue.
    pub(crate) fn broker(&self, queue: usize) -> &Arc<Broker> {
        &self.queues[queue].broker
    }

    /// Where a broker's queue is, if this shard serves it.
    fn queue_of(&self, broker: &Broker) -> Option<usize> {
        self.queue_of.get(broker.ordinal).copied().flatten()
    }

    fn add_queue(&mut self, queue: BrokerQueue) -> usize {
        let (index, ordinal) = (self.queues.len(), queue.broker.ordinal);
        if self.queue_of.len() <= ordinal {
            self.queue_of.resize(ordinal + 1, None);
        }
        self.queue_of[ordinal] = Some(index);
        self.queues.push(queue);
        self.queues[index].leaving.extend(self.moving.here());
        self.active.push(true);
        self.is_dirty.push(false);
        index
    }

    /// Notes that something has happened at a queue, so that it is advanced.
    pub(super) fn mark_dirty(&mut self, queue: usize) {
        if !std::mem::replace(&mut self.is_dirty[queue], true) {
            self.dirty.push(queue);
        }
    }

    fn arrive(&mut self, arrival: Arrival, at: At<'_>, out: &mut Vec<Effect>) {
        let Arrival { mut delivery, share, permit } = arrival;
        let Some(index) = self.queue_of(&delivery.broker) else {
            // Cannot happen: the intake sends by the broker's own shard. Dropping the share stops the line.
            tracing::error!(broker = %delivery.broker.id, "a delivery reached a shard that does not serve its broker");
            return;
        };
        // What came together has not been started yet: a broker that could take it must not look as if it lagged.
        if self.is_dirty[index] && self.queues[index].is_full(at) {
            self.advance(index, at, out);
        }
        delivery.seq = self.queues[index].spill.number();
        let item = Item {
            delivery,
            backing: Backing::Source(share),
            permit,
            since: at.now,
            not_before: None,
            recording: false,
            rewrite: false,
            by_number: false,
        };
        if self.moving.is_lost(&item) {
            out.push(Effect::Abandon(vec![item]));
            return;
        }
        if item.permit.is_beyond() {
            self.leaves_by_now(index, &item, at, out);
        }
        let (queue, mut batch) = (&mut self.queues[index], SpillBatch::default());
        if queue.is_leaving(&item) {
            queue.arrive_leaving(item, at, &mut batch);
        } else {
            queue.arrive(item, at, &mut batch);
        }
        self.submit(index, batch, out);
        self.mark_dirty(index);
    }

    /// From now on nothing is started: what waits goes to disk, what runs may finish.
    fn stop(&mut self, level: Level, at: At<'_>, out: &mut Vec<Effect>) {
        self.phase.stop(level, at.limits, at.now);
        for index in 0..self.queues.len() {
            let mut batch = SpillBatch::default();
            let queue = &mut self.queues[index];
            queue.held = true;
            // What only waits for its quota, or for its next attempt, comes back at once.
            out.push(Effect::Halt { queue: index });
            queue.set_aside(at, &mut batch);
            queue.relieve_overflow(at, &mut batch);
            self.submit(index, batch, out);
        }
    }

    /// Starts whatever may be started at a broker, and sees to it that it is looked at again.
    pub(super) fn advance(&mut self, index: usize, at: At<'_>, out: &mut Vec<Effect>) {
        if self.is_stopping() {
            self.active[index] = true;
            return;
        }
        let mut batch = SpillBatch::default();
        let queue = &mut self.queues[index];
        queue.loads.unpark(at.now);
        let gate = at.around.gate(&queue.broker, at.now);
        queue.release(gate == Gate::Disabled, at);
        match gate {
            Gate::Open | Gate::Disabled => {
                queue.held = false;
                let most = at.around.concurrency(&queue.broker);
                // It may have been lowered since, or raised from nothing.
                queue.window = queue.window.clamp(most.min(1), most);
                let window = if gate == Gate::Disabled { most } else { queue.window };
                while queue.on_wire < window {
                    // First, since what comes out of the overflow may be all there is to start.
                    queue.relieve_overflow(at, &mut batch);
                    let Some(delivery) = queue.start(at) else { break };
                    queue.on_wire += 1;
                    out.push(Effect::Start { queue: index, delivery });
                }
            }
            Gate::Probe => {
                if let Some(delivery) = queue.start_probe(at, &mut batch) {
                    queue.on_wire += 1;
                    out.push(Effect::Start { queue: index, delivery });
                }
            }
            Gate::HeldUntil(until) => queue.hold(until, at, &mut batch),
        }
        queue.relieve_overflow(at, &mut batch);
        // Before anything is given up: what is earlier of its load must be on record by then.
        self.submit(index, batch, out);
        self.give_up_overflow(index, at, out);
        let queue = &mut self.queues[index];
        let wake = queue.next_look(gate, at.now);
        self.timers.set(index, &mut queue.wake, wake);
        out.push(Effect::Show { queue: index, gauges: queue.gauges() });
        self.active[index] = gate != Gate::Open || queue.is_active();
        self.refill(index, gate, at, out);
    }

    /// Reads more of a broker's deliveries from disk if it can be served, and memory has run low or some have come due.
    fn refill(&mut self, index: usize, gate: Gate, at: At<'_>, out: &mut Vec<Effect>) {
        let queue = &mut self.queues[index];
        let wanted = queue.wanted(gate, at);
        if wanted.is_empty() {
            return;
        }
        let asked = ReadAsked {
            range: queue.spill.readable(),
            generation: queue.spill.begin_read(),
            wanted,
            // In turns with what was started last: where there is room for one, neither kind takes it each time.
            scan_first: !queue.loads.last_was_fresh(),
            passing: queue.deferred.names(),
            mean: queue.spill.mean(),
            horizon: queue.spill.horizon,
        };
        out.push(Effect::Read { queue: index, asked: Box::new(asked) });
    }

    /// Sends deliveries to disk, in the order in which they were added.
    pub(super) fn submit(&mut self, index: usize, mut batch: SpillBatch, out: &mut Vec<Effect>) {
        if !batch.abandoned.is_empty() {
            out.push(Effect::Abandon(std::mem::take(&mut batch.abandoned)));
        }
        if !batch.deliveries.is_empty() {
            out.push(Effect::Write { queue: index, batch: Box::new(batch) });
        } else if !batch.unloaded.is_empty() {
            // What only left memory gives back what it holds here.
            out.extend(batch.unloaded.into_iter().map(|item| Effect::Free(item.permit)));
        }
    }

    /// Finds dead letters' deliveries places on disk, as far as there is room.
    fn replay(&mut self, replays: Vec<Replay>, out: &mut Vec<Effect>) {
        let (mut placed, mut outcomes) = (Vec::new(), Vec::new());
        let (mut full, mut deliveries) = (Vec::new(), Vec::new());
        for Replay { delivery, letter } in replays {
            let Some(index) = self.queue_of(&delivery.broker).filter(|_| !self.is_stopping()) else {
                outcomes.push(Replayed::Stopping);
                continue;
            };
            let room = if full.contains(&index) { None } else { self.queues[index].take_back(delivery) };
            outcomes.push(if room.is_some() { Replayed::Placed } else { Replayed::Full });
            match room {
                Some(delivery) => {
                    placed.push((index, delivery.seq));
                    deliveries.push((delivery, letter));
                }
                None => full.push(index),
            }
        }
        out.push(Effect::WriteReplayed { deliveries, placed, outcomes });
    }
}
