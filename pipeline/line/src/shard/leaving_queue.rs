//! What one broker's queue does with the deliveries of a partition that is leaving.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashSet;
use stages::Gate;
use state::{Event, Waiting};

use super::{
    at::At,
    broker_queue::{BrokerQueue, copy_running},
    deferred::numbers_max,
    load_queues::{Backing, Item},
    moving::is_from,
    spill_batch::{SpillBatch, cost},
};

impl BrokerQueue {
    /// Whether the broker is expected to take what waits for it before a partition leaves: nothing holds it, and nothing has
    /// waited for long. Not by its pace: what is measured in a moment says too little where the processor is busy.
    pub(super) fn keeps_up(&self, at: At<'_>) -> bool {
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
    pub(super) fn clear_out(&mut self, at: At<'_>, batch: &mut SpillBatch) -> bool {
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
    pub(super) fn take_out(&mut self, load: &Arc<str>, at: At<'_>, batch: &mut SpillBatch) -> bool {
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
    pub(super) fn dropped(&mut self, Waiting { seq, load_id, cost, .. }: &Waiting, at: At<'_>) {
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
    pub(super) fn forget(&mut self, is: impl Fn(&Item) -> bool, at: At<'_>) -> Vec<Item> {
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
#[path = "leaving_queue_tests.rs"]
mod tests;
