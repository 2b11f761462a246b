//! Partitions that are taken away while the shard runs: released, so that what waits of them goes to disk, or lost, so that
//! it is forgotten.
//!
//! One that is released is handed over first, if the line is told to: brokers that keep up go on taking what is in memory,
//! and nobody else has to wait for this process's disk then.
//!
//! Guarantees: nothing of a partition is started from the moment it is leaving until it has left, also nothing that was on
//! disk before; a live delivery goes to disk only together with, or after, every earlier one of its load, whoever's that
//! is; what finds no room, and what is behind it of its partition, is abandoned, and the others stay. Nothing here is paid
//! for while no partition is on its way.

use std::sync::Arc;

use state::Waiting;

use super::{
    at::At,
    core::Core,
    load_queues::{Backing, Item},
    moving::{LeavingHere, has_ticket, is_from},
    spill_batch::SpillBatch,
    step::Effect,
};
use crate::{partitions::Partition, reply::Reply, ticket::Tickets};

impl Core {
    /// A partition is about to leave: it leaves each broker at once that is not expected to take what waits for it, and at
    /// the others each load that waits for its own next attempt goes to disk.
    pub(super) fn hand_over(&mut self, partition: &Partition, at: At<'_>, out: &mut Vec<Effect>) {
        for index in 0..self.queues.len() {
            if !self.queues[index].keeps_up(at) {
                self.leave_one(index, partition, at, out);
                continue;
            }
            let (queue, mut batch) = (&mut self.queues[index], SpillBatch::default());
            for load in queue.loads.parked_with(|item| is_from(item.delivery.event(), &partition.source)) {
                queue.take_out(&load, at, &mut batch);
            }
            self.submit(index, batch, out);
            self.mark_dirty(index);
        }
    }

    /// From now on nothing of this partition is started, and what waits of it goes to disk.
    pub(super) fn leave(&mut self, partition: Partition, reply: Reply, at: At<'_>, out: &mut Vec<Effect>) {
        let mut running = 0;
        for index in 0..self.queues.len() {
            self.leave_one(index, &partition, at, out);
            let is_its = |item: &&mut Item| is_from(item.delivery.event(), &partition.source);
            running += self.queues[index].loads.running_mut().filter(is_its).count();
        }
        out.extend(self.moving.leave(partition, running, reply).map(Effect::Quiet));
    }

    /// The partition leaves one broker, unless it has left that already.
    fn leave_one(&mut self, index: usize, partition: &Partition, at: At<'_>, out: &mut Vec<Effect>) {
        let queue = &mut self.queues[index];
        if queue.leaving.iter().any(|here| here.partition.tickets.is(&partition.tickets)) {
            return;
        }
        queue.leaving.push(LeavingHere::new(partition.clone()));
        let waits = |item: &&mut Item| !item.recording && is_from(item.delivery.event(), &partition.source);
        let runs: Vec<_> =
            queue.loads.running_mut().filter(waits).map(|item| item.delivery.run.clone()).collect();
        if !runs.is_empty() {
            // What only waits for its quota, or for its next attempt, comes back at once.
            out.push(Effect::HaltEach { queue: index, runs });
        }
        self.clear_out(index, at, out);
    }

    /// `item` has come with a place beyond the bounds: its partition is leaving, or the line is, and the command that says so
    /// is on its way. Later ones with a place within them may not pass it.
    pub(super) fn leaves_by_now(&mut self, index: usize, item: &Item, at: At<'_>, out: &mut Vec<Effect>) {
        if let Backing::Source(share) = &item.backing {
            let (source, tickets) = (item.delivery.event().position.source.clone(), share.tickets());
            self.leave_one(index, &Partition { source, tickets }, at, out);
        }
    }

    /// Sends what waits in memory at a broker to disk, as far as it is of a partition that is leaving.
    pub(super) fn clear_out(&mut self, index: usize, at: At<'_>, out: &mut Vec<Effect>) {
        let (queue, mut batch) = (&mut self.queues[index], SpillBatch::default());
        if queue.clear_out(at, &mut batch) {
            self.submit(index, batch, out);
            self.mark_dirty(index);
        }
    }

    /// These have gone from disk: their partition is leaving, so none of them is in memory.
    pub(super) fn dropped(&mut self, dropped: &[Waiting], at: At<'_>) {
        for of_one in dropped.chunk_by(|one, other| one.broker == other.broker) {
            let broker = of_one.first().map(|first| &first.broker);
            let Some(index) = self.queues.iter().position(|queue| Some(&queue.broker.id) == broker) else {
                continue;
            };
            let queue = &mut self.queues[index];
            of_one.iter().for_each(|waiting| queue.dropped(waiting, at));
            self.mark_dirty(index);
        }
    }

    /// A partition has left: what is on disk of it is sent like everything else.
    pub(super) fn left(&mut self, partition: &Arc<str>) {
        self.moving.left(partition);
        for index in 0..self.queues.len() {
            let queue = &mut self.queues[index];
            queue.leaving.retain(|leaving| leaving.partition.source != *partition);
            if queue.leaving.is_empty() {
                queue.missed.clear();
            }
            if queue.deferred.thaw(partition) {
                self.mark_dirty(index);
            }
        }
    }

    /// Forgets what waits in memory and has one of these tickets. What is on the wire comes to its end.
    pub(super) fn lose(&mut self, tickets: Tickets, at: At<'_>, out: &mut Vec<Effect>) {
        // Its release, which is under way, keeps what is on disk of it until it has left.
        let leaves = self.moving.leaves(&tickets);
        for index in 0..self.queues.len() {
            let queue = &mut self.queues[index];
            let mut runs = Vec::new();
            for item in queue.loads.running_mut().filter(|item| has_ticket(item, &tickets) && !item.recording)
            {
                // It is not copied to disk: from there it would be sent again.
                item.recording = true;
                runs.push(item.delivery.run.clone());
            }
            if !runs.is_empty() {
                out.push(Effect::HaltEach { queue: index, runs });
            }
            if !leaves {
                queue.leaving.retain(|here| !here.partition.tickets.is(&tickets));
            }
            let forgotten = queue.forget(|item| has_ticket(item, &tickets), at);
            if !forgotten.is_empty() {
                out.push(Effect::Abandon(forgotten));
                self.mark_dirty(index);
            }
        }
        self.moving.lose(tickets);
    }
}

#[cfg(test)]
#[path = "leaving_tests.rs"]
mod tests;
