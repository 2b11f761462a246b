//! One broker on its shard: its deliveries in memory and on disk, and whether it may be served now.
//!
//! The rules of order, for one (broker, load): what is in memory and vouched for by the source (live) comes after what
//! is on disk; a live delivery goes to disk only together with, or after, every earlier one of its load. So if the
//! process ends at any moment, what the next run finds on disk comes before what it reads from the source again. A dead
//! letter that is sent again is on disk from the start; its turn comes behind what its broker has, before what comes.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashSet;
use stages::{Broker, models::Delivery};
use state::{Spill, SpillSeq, SpilledDelivery};
use tokio::time::Instant;

use super::{
    at::At,
    completion_rate::CompletionRate,
    deferred::{Deferred, numbers_max},
    giving_up::GivingUp,
    load_queues::{Backing, Item, LoadQueues},
    moving::LeavingHere,
    spill_batch::{SpillBatch, cost, spilled},
    spill_index::SpillIndex,
    state_log::StateLog,
};

/// One broker on its shard.
#[derive(Debug)]
pub(crate) struct BrokerQueue {
    pub(crate) broker: Arc<Broker>,
    pub(crate) loads: LoadQueues,
    pub(crate) spill: SpillIndex,
    /// Live deliveries that belong behind the disk's, which has no room for them.
    pub(crate) overflow: VecDeque<Item>,
    /// Those of them that are being given up.
    pub(crate) giving_up: GivingUp,
    /// Deliveries on their way through the stages. Those whose verdict is being recorded still run for their load, but
    /// take no part of the window: a commit takes as long as many an answer.
    pub(crate) on_wire: usize,
    /// How many deliveries may be on the wire: grows from one with each success after a hold (slow start).
    pub(crate) window: usize,
    /// Loads that wait for their own next attempt on disk.
    pub(crate) deferred: Deferred,
    /// Partitions that are leaving.
    pub(crate) leaving: Vec<LeavingHere>,
    /// What was looked for on disk and had gone with one of them, before that was known here.
    pub(super) missed: FxHashSet<SpillSeq>,
    /// How often the broker had moved when it was last looked at.
    pub(crate) moves: u64,
    /// Whether the broker has been held for long: arrivals go to disk.
    pub(crate) held: bool,
    /// When to look at it again, as scheduled.
    pub(crate) wake: Option<Instant>,
    pub(crate) lagging: bool,
    /// Whether it counts as one of those who share the line and lag.
    pub(crate) counts_as_lagging: bool,
    /// Whether it counts as one of those who share the line and lag or are held.
    pub(crate) counts_as_behind: bool,
    pub(crate) completions: CompletionRate,
    /// Whether it was not idle when it was last looked at: what was written down then is out of date once it is.
    pub(crate) shown: bool,
    /// What the log says of it so far.
    pub(crate) log: StateLog,
}

impl BrokerQueue {
    pub(crate) fn new(broker: Arc<Broker>, spill: SpillIndex, now: Instant) -> Self {
        let window = broker.concurrency();
        Self {
            broker,
            loads: LoadQueues::default(),
            spill,
            overflow: VecDeque::new(),
            giving_up: GivingUp::default(),
            on_wire: 0,
            window,
            deferred: Deferred::default(),
            leaving: Vec::new(),
            missed: FxHashSet::default(),
            moves: 0,
            held: false,
            wake: None,
            lagging: false,
            counts_as_lagging: false,
            counts_as_behind: false,
            completions: CompletionRate::new(now),
            shown: false,
            log: StateLog::default(),
        }
    }

    /// Whether nothing is left to do in memory or on disk.
    pub(crate) fn is_idle(&self) -> bool {
        self.loads.running() == 0 && !self.has_more()
    }

    /// Whether anything is there that might be started, now or later.
    pub(crate) fn has_more(&self) -> bool {
        let waiting = self.loads.waiting() + self.overflow.len() + self.giving_up.len() + self.deferred.len();
        waiting > 0 || self.spill.unloaded > 0
    }

    /// How many deliveries may wait in memory.
    fn waiting_max(at: At<'_>) -> usize {
        at.limits.per_broker_max.max(at.limits.in_flight_max / at.brokers.max(1))
    }

    /// Whether as many wait in memory as may if the broker lags.
    pub(crate) fn is_full(&self, at: At<'_>) -> bool {
        self.loads.waiting() >= Self::waiting_max(at)
    }

    /// Whether what waits in memory has waited, or will wait at the present pace, for longer than `spill_after`: a
    /// broker that keeps up with a burst does not lag, however long its queue is for a moment.
    pub(crate) fn lags(&self, at: At<'_>) -> bool {
        self.completions.time_for(self.loads.waiting(), at.now) > at.limits.spill_after
    }

    /// Whether the delivery that has been in memory longest has waited for longer than `spill_after`; visits every
    /// load.
    pub(crate) fn has_lagged(&self, at: At<'_>) -> bool {
        let oldest = self.loads.oldest();
        oldest.is_some_and(|since| at.now.saturating_duration_since(since) > at.limits.spill_after)
    }

    /// Whether it keeps a record of the source open for longer than `spill_after`, and could do without: the log's lag
    /// must not show one broker's trouble. Visits every load.
    pub(crate) fn holds_watermark(&self, at: At<'_>) -> bool {
        let since = self.loads.oldest_live();
        since.is_some_and(|since| at.now.saturating_duration_since(since) > at.limits.spill_after)
            && self.has_room_for_running()
    }

    /// Whether the disk has room for those on their way that the source vouches for.
    fn has_room_for_running(&self) -> bool {
        self.spill.has_room(self.loads.running_live().map(cost).sum())
    }

    /// Takes in a delivery from the source. What has to go to disk for it is added to `batch`.
    pub(crate) fn arrive(&mut self, item: Item, at: At<'_>, batch: &mut SpillBatch) {
        let full = self.is_full(at) && self.overflow.is_empty();
        if full && self.spill.unloaded == 0 && self.lags(at) {
            self.set_aside(at, batch);
        }
        // Asked only now: what was set aside may be there for want of room.
        if !self.overflow.is_empty() || self.giving_up.holds(&item.delivery.event().load_id) {
            self.overflow.push_back(item);
            return;
        }
        let waits = self.deferred.holds(&item.delivery.event().load_id);
        if self.held || self.spill.unloaded > 0 || waits {
            match self.fits_on_disk(&item) {
                true => self.spill(item, waits && self.spill.unloaded == 0, at, batch),
                false => self.overflow.push_back(item),
            }
        } else {
            self.loads.push(item);
        }
    }

    /// Empties memory to disk, in arrival order, as far as there is room: what runs is copied, what waits is moved,
    /// what finds no room waits in the overflow. What the disk vouches for needs no room: it is always moved, and
    /// written again if it has changed. If those that run find no room, nothing live goes to disk ahead of them.
    pub(crate) fn set_aside(&mut self, at: At<'_>, batch: &mut SpillBatch) {
        let room = self.has_room_for_running();
        self.spill.void_reads();
        let Self { loads, spill, .. } = self;
        for item in loads.running_mut() {
            if room && matches!(item.backing, Backing::Source(_)) && !item.recording {
                copy_running(item, spill, at, batch);
            }
        }
        let (mut refused, mut unlisted) = (VecDeque::new(), FxHashSet::default());
        for item in self.loads.take_waiting() {
            let live = matches!(item.backing, Backing::Source(_));
            if live && !(room && refused.is_empty() && self.spill.has_room(cost(&item))) {
                refused.push_back(item);
                continue;
            }
            let load = item.delivery.event().load_id.clone();
            let due = item.not_before.unwrap_or(item.since);
            let (seq, attempts) = (item.delivery.seq, item.delivery.history.attempts);
            // One that has failed before waits with those like it, who take turns: met in the order of the numbers, the
            // first of them would be the first to be tried each time. A dead letter that is sent again may have failed
            // and stand behind others of its load, which have not.
            let is_first = attempts > 0 && !unlisted.contains(&load);
            let takes_turns = is_first && self.deferred.len() < numbers_max(at.brokers);
            let waits = takes_turns || self.deferred.holds(&load);
            self.spill(item, waits, at, batch);
            if !waits {
                unlisted.insert(load);
            } else {
                self.deferred.tried(&load, seq, attempts);
                self.deferred.go_on(&load, due, false);
            }
        }
        refused.append(&mut self.overflow);
        self.overflow = refused;
    }

    /// Lets deliveries out of the overflow: to disk as far as there is room, or to memory when the disk has been read.
    /// One whose load waits for its own next attempt, and for which the disk has no room, lets the others pass; so does one
    /// whose load has an earlier one that is being given up.
    pub(crate) fn relieve_overflow(&mut self, at: At<'_>, batch: &mut SpillBatch) {
        if self.overflow.is_empty() {
            return;
        }
        let (mut left, mut left_loads) = (VecDeque::new(), FxHashSet::default());
        while let Some(item) = self.overflow.pop_front() {
            let load = item.delivery.event().load_id.clone();
            let waits = self.deferred.holds(&load);
            let to_memory = self.spill.unloaded == 0 && !self.held;
            if left_loads.contains(&load) || self.giving_up.holds(&load) {
                left.push_back(item);
            } else if to_memory && !waits && self.loads.waiting() < Self::waiting_max(at) {
                self.loads.push(item);
            } else if self.fits_on_disk(&item) {
                self.spill(item, waits && self.spill.unloaded == 0, at, batch);
            } else if waits {
                left_loads.insert(load);
                left.push_back(item);
            } else {
                self.overflow.push_front(item);
                break;
            }
        }
        left.append(&mut self.overflow);
        self.overflow = left;
    }

    /// Takes in a dead letter's delivery, which has to be written to disk then; none if there is no room for it.
    pub(crate) fn take_back(&mut self, delivery: Delivery) -> Option<SpilledDelivery> {
        let bytes = Spill::cost_of(delivery.event());
        // What waits in memory for room on disk comes first.
        if !self.overflow.is_empty() || !self.spill.has_room_for_letter(bytes) {
            return None;
        }
        let seq = self.spill.number();
        self.spill.writing(seq);
        self.spill.add(bytes);
        self.spill.unload(seq);
        Some(delivery.into_spilled(seq))
    }

    /// Starts the next delivery that may be started. While there are others, those that have failed before have half of
    /// the window, and none of a window of one: after each pause they are the first to be due, and a broker that refuses
    /// them would get nothing else.
    pub(crate) fn start(&mut self, at: At<'_>) -> Option<Delivery> {
        if self.loads.running() == 0 {
            self.completions.resume(at.now);
        }
        // A window that never grows is theirs every other time.
        let in_turns = at.around.concurrency(&self.broker) == 1;
        self.loads.prefer_fresh(at.now, self.window / 2, in_turns);
        self.loads.start(at.now).map(|item| item.delivery.clone())
    }

    /// Whether a live delivery may go to disk: there is room, and none before it is vouched for by the source alone.
    fn fits_on_disk(&self, item: &Item) -> bool {
        self.spill.has_room(cost(item)) && !self.loads.holds_live(&item.delivery.event().load_id)
    }

    /// Moves a delivery from memory to disk: to be listed with what is there of its load, which waits for its own next
    /// attempt, or to be met by the next read.
    pub(crate) fn spill(&mut self, item: Item, listed: bool, at: At<'_>, batch: &mut SpillBatch) {
        if listed {
            self.deferred.list(&item.delivery.event().load_id, item.delivery.seq);
        } else {
            self.spill.unload(item.delivery.seq);
        }
        let mut item = self.copy_to_disk(item, at, batch);
        item.rewrite = false;
        batch.unloaded.push(item);
    }

    /// Writes a delivery to disk that stays in memory too, from where it is sent.
    pub(crate) fn keep_on_disk(&mut self, item: Item, at: At<'_>, batch: &mut SpillBatch) -> Item {
        let (seq, before) = (item.delivery.seq, batch.deliveries.len());
        let item = self.copy_to_disk(item, at, batch);
        if batch.deliveries.len() > before {
            batch.sent_below = batch.sent_below.max(self.spill.may_send(seq));
        }
        item
    }

    /// Writes a delivery to disk if it is not there as it should be, and gives it back, vouched for by the disk.
    pub(crate) fn copy_to_disk(&mut self, mut item: Item, at: At<'_>, batch: &mut SpillBatch) -> Item {
        let live = matches!(item.backing, Backing::Source(_));
        if live || item.rewrite {
            let spilled = spilled(&item, at);
            item.delivery.on_disk = true;
            batch.push(spilled, std::mem::replace(&mut item.backing, Backing::Disk), &mut self.spill);
            // Its history goes with it, so the attempts journal need not say any more that it may have arrived.
            batch.marks.extend(item.delivery.run.take_mark());
            item.rewrite = false;
        }
        item
    }
}

/// Writes a running delivery to disk, which vouches for it from then on.
pub(super) fn copy_running(item: &mut Item, spill: &mut SpillIndex, at: At<'_>, batch: &mut SpillBatch) {
    let spilled = spilled(item, at);
    batch.sent_below = batch.sent_below.max(spill.may_send(spilled.seq));
    item.delivery.on_disk = true;
    batch.push(spilled, std::mem::replace(&mut item.backing, Backing::Disk), spill);
}

#[cfg(test)]
#[path = "broker_queue_tests.rs"]
mod tests;
