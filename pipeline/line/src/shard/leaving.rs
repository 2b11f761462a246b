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

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashSet;
use stages::Gate;
use state::{Event, Waiting};

use super::{
    broker_queue::{BrokerQueue, copy_running},
    core::Core,
    deferred::numbers_max,
    load_queues::{Backing, Item},
    spill_batch::{SpillBatch, cost},
    step::{At, Effect},
};
use crate::{command::Told, partitions::Partition, ticket::Tickets};

/// A partition that is leaving, as one broker's queue knows it.
#[derive(Clone, Debug)]
pub(crate) struct LeavingHere {
    partition: Partition,
    /// Whether there was no room on disk for one of its deliveries. No later one goes there then: it would come before it.
    refused: bool,
}

impl LeavingHere {
    fn new(partition: Partition) -> Self {
        Self { partition, refused: false }
    }

    /// Whether this delivery is the partition's. One that the source vouches for may have come after the partition was
    /// lost, and came again.
    fn has(&self, item: &Item) -> bool {
        match &item.backing {
            Backing::Source(share) => share.is_of(&self.partition.tickets),
            Backing::Disk => is_from(item.delivery.event(), &self.partition.source),
        }
    }
}

/// The partitions that are on their way out of a shard.
#[derive(Debug, Default)]
pub(super) struct Moving {
    leaving: Vec<Leaving>,
    lost: Vec<Tickets>,
}

/// A partition that is leaving.
#[derive(Debug)]
struct Leaving {
    partition: Partition,
    /// Its deliveries that are on their way through the stages, or whose verdict is being recorded.
    running: usize,
    /// Who waits until there are none.
    told: Option<Told>,
}

impl Leaving {
    fn tell_if_quiet(&mut self, out: &mut Vec<Effect>) {
        if self.running == 0 {
            out.extend(self.told.take().map(Effect::Quiet));
        }
    }
}

impl Moving {
    /// A delivery has ended its run.
    pub(super) fn ended(&mut self, item: &Item, out: &mut Vec<Effect>) {
        for leaving in &mut self.leaving {
            if is_from(item.delivery.event(), &leaving.partition.source) {
                leaving.running = leaving.running.saturating_sub(1);
                leaving.tell_if_quiet(out);
            }
        }
    }

    /// Whether the partition of a delivery that the source vouches for is lost.
    pub(super) fn is_lost(&self, item: &Item) -> bool {
        is_of(item, &self.lost)
    }

    /// Nothing is under way any more that has one of these tickets.
    pub(super) fn gone(&mut self, tickets: &Tickets) {
        self.lost.retain(|lost| !lost.is(tickets));
    }

    /// Tells a new queue what is leaving.
    pub(super) fn tell(&self, queue: &mut BrokerQueue) {
        let here = |leaving: &Leaving| LeavingHere::new(leaving.partition.clone());
        queue.leaving.extend(self.leaving.iter().map(here));
    }
}

fn is_of(item: &Item, lost: &[Tickets]) -> bool {
    match &item.backing {
        Backing::Source(share) => lost.iter().any(|tickets| share.is_of(tickets)),
        Backing::Disk => false,
    }
}

impl Core {
    /// Whether the partition of this event is leaving.
    pub(super) fn is_leaving(&self, event: &Event) -> bool {
        self.moving.leaving.iter().any(|leaving| is_from(event, &leaving.partition.source))
    }

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
    pub(super) fn leave(&mut self, partition: Partition, told: Told, at: At<'_>, out: &mut Vec<Effect>) {
        let mut running = 0;
        for index in 0..self.queues.len() {
            self.leave_one(index, &partition, at, out);
            let is_its = |item: &&mut Item| is_from(item.delivery.event(), &partition.source);
            running += self.queues[index].loads.running_mut().filter(is_its).count();
        }
        let mut leaving = Leaving { partition, running, told: Some(told) };
        leaving.tell_if_quiet(out);
        self.moving.leaving.push(leaving);
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
        self.moving.leaving.retain(|leaving| leaving.partition.source != *partition);
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
        let lost = [tickets];
        for index in 0..self.queues.len() {
            let queue = &mut self.queues[index];
            let mut runs = Vec::new();
            for item in queue.loads.running_mut().filter(|item| is_of(item, &lost) && !item.recording) {
                // It is not copied to disk: from there it would be sent again.
                item.recording = true;
                runs.push(item.delivery.run.clone());
            }
            if !runs.is_empty() {
                out.push(Effect::HaltEach { queue: index, runs });
            }
            let forgotten = queue.forget(|item| is_of(item, &lost), at);
            if !forgotten.is_empty() {
                out.push(Effect::Abandon(forgotten));
                self.mark_dirty(index);
            }
        }
        self.moving.lost.extend(lost);
    }
}

fn is_from(event: &Event, partition: &Arc<str>) -> bool {
    event.position.source == *partition
}

impl BrokerQueue {
    /// Whether the broker is expected to take what waits for it before a partition leaves: nothing holds it, and nothing has
    /// waited for long. Not by its pace: what is measured in a moment says too little where the processor is busy.
    fn keeps_up(&self, at: At<'_>) -> bool {
        let takes = matches!(at.around.gate(&self.broker, at.now), Gate::Open | Gate::Disabled);
        let has_room = self.overflow.is_empty() && self.giving_up.len() == 0;
        takes && has_room && !self.held && !self.has_lagged(at)
    }

    /// The partition of `event`, if that is leaving.
    pub(super) fn leaving_partition(&self, event: &Event) -> Option<Arc<str>> {
        let mut names = self.leaving.iter().map(|here| &here.partition.source);
        names.find(|name| is_from(event, name)).cloned()
    }

    /// Whether the partition of this delivery is leaving.
    pub(super) fn is_leaving(&self, item: &Item) -> bool {
        self.leaving.iter().any(|here| here.has(item))
    }

    /// Takes in a delivery of a partition that is leaving, or one that has come to go to disk.
    pub(super) fn arrive_leaving(&mut self, item: Item, at: At<'_>, batch: &mut SpillBatch) {
        let load = item.delivery.event().load_id.clone();
        let is_behind = self.overflow.iter().any(|other| other.delivery.event().load_id == load);
        self.put_on_disk(item, is_behind, at, batch);
    }

    /// Puts a delivery of a partition that is leaving back, which has run and has to wait for another attempt.
    pub(super) fn put_back_leaving(&mut self, item: Item, at: At<'_>, batch: &mut SpillBatch) {
        let load = item.delivery.event().load_id.clone();
        self.loads.push_front(item);
        self.take_out(&load, at, batch);
    }

    /// Sends what waits in memory to disk, as far as it is of a partition that is leaving. Whether there was any.
    fn clear_out(&mut self, at: At<'_>, batch: &mut SpillBatch) -> bool {
        if self.leaving.is_empty() {
            return false;
        }
        let loads = self.loads.loads_with(|item| self.is_leaving(item));
        for load in &loads {
            self.take_out(load, at, batch);
        }
        let overflows = self.overflow.iter().any(|item| self.is_leaving(item));
        if overflows {
            let (mut left, mut left_loads) = (VecDeque::new(), FxHashSet::default());
            while let Some(item) = self.overflow.pop_front() {
                let load = item.delivery.event().load_id.clone();
                if self.is_leaving(&item) {
                    self.put_on_disk(item, left_loads.contains(&load), at, batch);
                } else {
                    left_loads.insert(load);
                    left.push_back(item);
                }
            }
            self.overflow = left;
        }
        overflows || !loads.is_empty()
    }

    /// Sends what waits in memory of a load to disk, with a copy of what runs. What finds no room is abandoned if it is of a
    /// partition that is leaving, and goes in front of the overflow if not. Whether everything has found room.
    fn take_out(&mut self, load: &Arc<str>, at: At<'_>, batch: &mut SpillBatch) -> bool {
        let mut is_behind = !self.vouch_for_running(load, at, batch);
        let (mut to_disk, mut kept) = (VecDeque::new(), VecDeque::new());
        let mut bytes = 0;
        for item in self.loads.take_waiting_of(load) {
            let is_live = matches!(item.backing, Backing::Source(_));
            let cost = if is_live { cost(&item) } else { 0 };
            if !is_live || (!is_behind && self.spill.has_room(bytes + cost)) {
                bytes += cost;
                to_disk.push_back(item);
                continue;
            }
            is_behind = true;
            if self.is_leaving(&item) {
                self.abandon(item, batch);
            } else {
                kept.push_back(item);
            }
        }
        kept.append(&mut self.overflow);
        self.overflow = kept;
        self.list(load, to_disk, at, batch);
        !is_behind
    }

    /// Moves deliveries of a load, which were the first in memory, to disk. They are frozen if one of them is of a partition
    /// that is leaving.
    fn list(&mut self, load: &Arc<str>, items: VecDeque<Item>, at: At<'_>, batch: &mut SpillBatch) {
        let Some(first) = items.front() else { return };
        let (due, attempts) = (first.not_before.unwrap_or(at.now), first.delivery.history.attempts);
        let room = numbers_max(at.brokers).saturating_sub(self.deferred.len());
        let listed = items.iter().take(room).map(|item| item.delivery.seq);
        if room > 0 {
            self.deferred.defer(load, listed, due, attempts);
        }
        for (number, item) in items.into_iter().enumerate() {
            if let Some(partition) = self.leaving_partition(item.delivery.event()) {
                self.deferred.freeze(&partition, load);
            }
            self.spill(item, number < room, at, batch);
        }
    }

    /// Moves a delivery of a partition that is leaving, which is the last of its load, to disk; it is abandoned if there is
    /// no room, or if it is behind one that is not there.
    fn put_on_disk(&mut self, item: Item, is_behind: bool, at: At<'_>, batch: &mut SpillBatch) {
        let load = item.delivery.event().load_id.clone();
        let is_behind = !self.take_out(&load, at, batch) || is_behind || self.giving_up.holds(&load);
        let refused = self.leaving.iter().any(|here| here.refused && here.has(&item));
        if is_behind || refused || !self.spill.has_room(cost(&item)) {
            self.abandon(item, batch);
            return;
        }
        let (seq, partition) = (item.delivery.seq, self.leaving_partition(item.delivery.event()));
        // What is on disk and has not been passed by comes before it.
        let listed = self.spill.unloaded == 0 && self.deferred.len() < numbers_max(at.brokers);
        if listed && !self.deferred.holds(&load) {
            self.deferred.defer(&load, [seq], at.now, 0);
        }
        self.spill(item, listed, at, batch);
        if let Some(partition) = partition {
            self.deferred.freeze(&partition, &load);
        }
    }

    /// Sees to it that the disk vouches for the running delivery of a load, so that others may follow it there; false if
    /// there is no room. What is being recorded needs no copy.
    fn vouch_for_running(&mut self, load: &Arc<str>, at: At<'_>, batch: &mut SpillBatch) -> bool {
        let Self { loads, spill, .. } = self;
        match loads.running_item(load) {
            Some(item) if matches!(item.backing, Backing::Source(_)) && !item.recording => {
                let has_room = spill.has_room(cost(item));
                if has_room {
                    copy_running(item, spill, at, batch);
                }
                has_room
            }
            _ => true,
        }
    }

    /// Gives up a delivery of a partition that is leaving: its record is read again.
    fn abandon(&mut self, item: Item, batch: &mut SpillBatch) {
        for here in &mut self.leaving {
            here.refused |= here.has(&item);
        }
        batch.abandoned.push(item);
    }

    /// A delivery has gone from disk that was not in memory.
    fn dropped(&mut self, Waiting { seq, load_id, cost, .. }: &Waiting, at: At<'_>) {
        if self.deferred.lists(load_id, *seq) {
            self.deferred.forget((load_id, *seq));
            // What is left of its load is another partition's, and may have its turn.
            self.finished(load_id, at.now);
        } else if !self.missed.remove(seq) {
            self.spill.unloaded = self.spill.unloaded.saturating_sub(1);
        }
        self.spill.remove(*seq, *cost);
    }

    /// Takes out what waits and `is` says yes to.
    fn forget(&mut self, is: impl Fn(&Item) -> bool, at: At<'_>) -> Vec<Item> {
        let mut forgotten = Vec::new();
        for load in self.loads.loads_with(&is) {
            for item in self.loads.take_waiting_of(&load) {
                if is(&item) {
                    forgotten.push(item);
                } else {
                    self.loads.push(item);
                }
            }
            self.finished(&load, at.now);
        }
        if self.overflow.iter().any(&is) {
            let (gone, left) = std::mem::take(&mut self.overflow).into_iter().partition::<VecDeque<_>, _>(is);
            forgotten.extend(gone);
            self.overflow = left;
        }
        forgotten
    }
}

#[cfg(test)]
#[path = "leaving_tests.rs"]
mod tests;
