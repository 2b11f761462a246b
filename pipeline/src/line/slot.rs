//! One broker on its shard: its deliveries in memory and on disk, and whether it may be served now.
//!
//! The rules of order, for one (broker, load): what is in memory and vouched for by the source (live) comes after what
//! is on disk; a live delivery goes to disk only together with, or after, every earlier one of its load. So if the
//! process ends at any moment, what the next run finds on disk comes before what it reads from the source again. A dead
//! letter that is sent again is on disk from the start; its turn comes behind what its broker has, before what comes.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashSet;
use stages::{
    Gate,
    models::{Broker, Delivery},
};
use state::{Clock, Spill, SpilledDelivery};
use tokio::time::Instant;

use super::{
    account::Account,
    deferred::Deferred,
    limits::Limits,
    meter::Meter,
    queue::{Item, Origin, Queue},
    surplus::Surplus,
    tell::Told,
    write::{Write, cost, spilled},
};

/// One broker on its shard.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) broker: Arc<Broker>,
    pub(super) queue: Queue,
    pub(super) account: Account,
    /// Live deliveries that belong behind the disk's, which has no room for them.
    pub(super) overflow: VecDeque<Item>,
    /// Those of them that are being given up.
    pub(super) surplus: Surplus,
    /// Deliveries on their way through the stages. Those whose verdict is being recorded still run for their load, but
    /// take no part of the window: a commit takes as long as many an answer.
    pub(super) on_wire: usize,
    /// How many deliveries may be on the wire: grows from one with each success after a hold (slow start).
    pub(super) window: usize,
    /// Loads that wait for their own next attempt on disk.
    pub(super) deferred: Deferred,
    /// How often the broker had moved when it was last looked at.
    pub(super) moves: u64,
    /// Whether what is due by its number comes second in the next read.
    pub(super) scan_first: bool,
    /// Whether the broker has been held for long: arrivals go to disk.
    pub(super) held: bool,
    /// When to look at it again, as scheduled.
    pub(super) wake: Option<Instant>,
    pub(super) lagging: bool,
    /// Whether it counts as one of those who share the line and lag.
    pub(super) counts_as_lagging: bool,
    /// Whether it counts as one of those who share the line and lag or are held.
    pub(super) counts_as_behind: bool,
    pub(super) meter: Meter,
    /// Whether it was not idle when it was last looked at: what was written down then is out of date once it is.
    pub(super) shown: bool,
    /// What the log says of it so far.
    pub(super) told: Told,
}

impl Slot {
    pub(super) fn new(broker: Arc<Broker>, account: Account) -> Self {
        let window = broker.concurrency();
        Self {
            broker,
            queue: Queue::default(),
            account,
            overflow: VecDeque::new(),
            surplus: Surplus::default(),
            on_wire: 0,
            window,
            deferred: Deferred::default(),
            moves: 0,
            scan_first: false,
            held: false,
            wake: None,
            lagging: false,
            counts_as_lagging: false,
            counts_as_behind: false,
            meter: Meter::new(Instant::now()),
            shown: false,
            told: Told::default(),
        }
    }

    /// Whether nothing is left to do in memory or on disk.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.running() == 0 && !self.has_more()
    }

    /// Whether anything is there that might be started, now or later.
    pub(super) fn has_more(&self) -> bool {
        let waiting = self.queue.waiting() + self.overflow.len() + self.surplus.len() + self.deferred.len();
        waiting > 0 || self.account.unloaded > 0
    }

    /// What the broker may be given now.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        self.broker.health.gate(now)
    }

    /// How many deliveries may wait in memory.
    fn waiting_max(&self, limits: &Limits, brokers: usize) -> usize {
        limits.per_broker_max.max(limits.in_flight_max / brokers.max(1))
    }

    /// Whether as many wait in memory as may if the broker lags.
    pub(super) fn is_full(&self, limits: &Limits, brokers: usize) -> bool {
        self.queue.waiting() >= self.waiting_max(limits, brokers)
    }

    /// Whether what waits in memory has waited, or will wait at the present pace, for longer than `spill_after`: a
    /// broker that keeps up with a burst does not lag, however long its queue is for a moment.
    pub(super) fn lags(&self, limits: &Limits, now: Instant) -> bool {
        self.meter.time_for(self.queue.waiting(), now) > limits.spill_after
    }

    /// Whether the delivery that has been in memory longest has waited for longer than `spill_after`; visits every
    /// load.
    pub(super) fn has_lagged(&self, limits: &Limits, now: Instant) -> bool {
        self.queue.oldest().is_some_and(|since| now.saturating_duration_since(since) > limits.spill_after)
    }

    /// Whether it keeps a record of the source open for longer than `spill_after`, and could do without: the log's lag
    /// must not show one broker's trouble. Visits every load.
    pub(super) fn holds_watermark(&self, limits: &Limits, now: Instant) -> bool {
        let since = self.queue.oldest_live();
        since.is_some_and(|since| now.saturating_duration_since(since) > limits.spill_after)
            && self.has_room_for_running()
    }

    /// Whether the disk has room for those on their way that the source vouches for.
    fn has_room_for_running(&self) -> bool {
        self.account.has_room(self.queue.running_live().map(cost).sum())
    }

    /// Takes in a delivery from the source. What has to go to disk for it is added to `write`.
    pub(super) fn arrive(
        &mut self,
        item: Item,
        limits: &Limits,
        brokers: usize,
        clock: &Clock,
        write: &mut Write,
    ) {
        let full = self.is_full(limits, brokers) && self.overflow.is_empty();
        if full && self.account.unloaded == 0 && self.lags(limits, item.since) {
            self.set_aside(clock, write);
        }
        // Asked only now: what was set aside may be there for want of room.
        if !self.overflow.is_empty() {
            self.overflow.push_back(item);
            return;
        }
        let waits = self.deferred.holds(&item.delivery.event().load_id);
        if self.held || self.account.unloaded > 0 || waits {
            match self.fits_on_disk(&item) {
                true => self.spill(item, waits && self.account.unloaded == 0, clock, write),
                false => self.overflow.push_back(item),
            }
        } else {
            self.queue.push(item);
        }
    }

    /// Empties memory to disk, in arrival order, as far as there is room: what runs is copied, what waits is moved,
    /// what finds no room waits in the overflow. What the disk vouches for needs no room: it is always moved, and
    /// written again if it has changed. If those that run find no room, nothing live goes to disk ahead of them.
    pub(super) fn set_aside(&mut self, clock: &Clock, write: &mut Write) {
        let room = self.has_room_for_running();
        self.account.void_loads();
        let Self { queue, account, .. } = self;
        for item in queue.running_mut() {
            if room && matches!(item.origin, Origin::Live(_)) && item.delivery.progress.spill() {
                let spilled = spilled(item, clock);
                write.sent_below = write.sent_below.max(account.may_send(spilled.seq));
                write.push(spilled, std::mem::replace(&mut item.origin, Origin::Disk), account);
            }
        }
        let mut refused = VecDeque::new();
        for item in self.queue.take_waiting() {
            let live = matches!(item.origin, Origin::Live(_));
            if live && !(room && refused.is_empty() && self.account.has_room(cost(&item))) {
                refused.push_back(item);
                continue;
            }
            let load = item.delivery.event().load_id.clone();
            let (waits, at) = (self.deferred.holds(&load), item.not_before.unwrap_or(item.since));
            self.spill(item, waits, clock, write);
            if waits {
                self.deferred.go_on(&load, at, false);
            }
        }
        refused.append(&mut self.overflow);
        self.overflow = refused;
    }

    /// Lets deliveries out of the overflow: to disk as far as there is room, or to memory when the disk has been read.
    /// One whose load waits for its own next attempt, and for which the disk has no room, lets the others pass.
    pub(super) fn relieve_overflow(
        &mut self,
        limits: &Limits,
        brokers: usize,
        clock: &Clock,
        write: &mut Write,
    ) {
        let (mut left, mut left_loads) = (VecDeque::new(), FxHashSet::default());
        while let Some(item) = self.overflow.pop_front() {
            let load = item.delivery.event().load_id.clone();
            let waits = self.deferred.holds(&load);
            let to_memory = self.account.unloaded == 0 && !self.held;
            if left_loads.contains(&load) {
                left.push_back(item);
            } else if to_memory && !waits && self.queue.waiting() < self.waiting_max(limits, brokers) {
                self.queue.push(item);
            } else if self.fits_on_disk(&item) {
                self.spill(item, waits && self.account.unloaded == 0, clock, write);
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
    pub(super) fn take_back(&mut self, delivery: Delivery) -> Option<SpilledDelivery> {
        let bytes = Spill::cost_of(delivery.event());
        // What waits in memory for room on disk comes first.
        if !self.overflow.is_empty() || !self.account.has_room_for_letter(bytes) {
            return None;
        }
        let seq = self.account.number();
        self.account.writing(seq);
        self.account.add(bytes);
        self.account.unload(seq);
        Some(delivery.into_spilled(seq))
    }

    /// Starts the next delivery that may be started. While there are others, those that have failed before have half of
    /// the window, and none of a window of one: after each pause they are the first to be due, and a broker that refuses
    /// them would get nothing else.
    pub(super) fn start(&mut self, now: Instant) -> Option<Delivery> {
        if self.queue.running() == 0 {
            self.meter.resume(now);
        }
        // A window that never grows is theirs every other time.
        self.queue.prefer_fresh(now, self.window / 2, self.broker.concurrency() == 1);
        self.queue.start(now).map(|item| item.delivery.clone())
    }

    /// Whether a live delivery may go to disk: there is room, and none before it is vouched for by the source alone.
    fn fits_on_disk(&self, item: &Item) -> bool {
        self.account.has_room(cost(item)) && !self.queue.holds_live(&item.delivery.event().load_id)
    }

    /// Moves a delivery from memory to disk: to be listed with what is there of its load, which waits for its own next
    /// attempt, or to be met by the next read.
    pub(super) fn spill(&mut self, item: Item, listed: bool, clock: &Clock, write: &mut Write) {
        if listed {
            self.deferred.list(&item.delivery.event().load_id, item.delivery.seq);
        } else {
            self.account.unload(item.delivery.seq);
        }
        let mut item = self.copy_to_disk(item, clock, write);
        item.rewrite = false;
        write.unloaded.push(item);
    }

    /// Writes a delivery to disk that stays in memory too, from where it is sent.
    pub(super) fn keep_on_disk(&mut self, item: Item, clock: &Clock, write: &mut Write) -> Item {
        let (seq, before) = (item.delivery.seq, write.deliveries.len());
        let item = self.copy_to_disk(item, clock, write);
        if write.deliveries.len() > before {
            write.sent_below = write.sent_below.max(self.account.may_send(seq));
        }
        item
    }

    /// Writes a delivery to disk if it is not there as it should be, and gives it back, vouched for by the disk.
    pub(super) fn copy_to_disk(&mut self, mut item: Item, clock: &Clock, write: &mut Write) -> Item {
        let live = matches!(item.origin, Origin::Live(_));
        if (live && item.delivery.progress.spill()) || item.rewrite {
            let spilled = spilled(&item, clock);
            write.push(spilled, std::mem::replace(&mut item.origin, Origin::Disk), &mut self.account);
            // Its history goes with it, so the attempts journal need not say any more that it may have arrived.
            write.marks.extend(item.delivery.progress.take_mark());
            item.rewrite = false;
        }
        item
    }
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
