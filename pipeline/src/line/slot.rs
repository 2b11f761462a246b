//! One broker on its shard: its deliveries in memory and on disk, and whether it may be served now.
//!
//! The rules of order, for one (broker, load): what is in memory and vouched for by the source (live) comes after what
//! is on disk; a live delivery goes to disk only together with, or after, every earlier one of its load. So if the
//! process ends at any moment, what the next run finds on disk comes before what it reads from the source again. A dead
//! letter that is sent again is on disk from the start; its turn comes behind what its broker has, before what comes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use stages::{
    Gate,
    models::{Broker, Delivery},
};
use state::{Clock, Spill, SpilledDelivery};
use tokio::time::Instant;

use super::{
    account::Account,
    limits::Limits,
    load::Loaded,
    meter::Meter,
    queue::{Item, Origin, Queue},
    surplus::Surplus,
    tell::Told,
    write::{Write, cost, spilled},
};

/// The fewest deliveries read from disk at once, so that a read is worth its cost.
const READ_MIN: usize = 8;

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
    /// How many probes have been sent: each takes the next load, so that one bad event can't keep a breaker open.
    probes: usize,
    /// Whether the broker has been held for long: arrivals go to disk.
    pub(super) held: bool,
    /// Held by the line itself, because too many of its loads wait for their own next attempt.
    pub(super) hold_until: Option<Instant>,
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
            probes: 0,
            held: false,
            hold_until: None,
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
        self.queue.waiting() + self.overflow.len() + self.surplus.len() > 0 || self.account.unloaded > 0
    }

    /// What the broker may be given now.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        match self.hold_until {
            Some(until) if until > now => Gate::HeldUntil(until),
            _ => self.broker.health.gate(now),
        }
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
        let parked = || self.queue.is_parked(&item.delivery.event().load_id);
        let fits = || self.fits_on_disk(&item);
        if self.held || self.account.unloaded > 0 {
            match fits() {
                true => self.spill(item, clock, write),
                false => self.overflow.push_back(item),
            }
        } else if parked() && fits() {
            let kept = self.keep_on_disk(item, clock, write);
            self.queue.push(kept);
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
            } else {
                self.spill(item, clock, write);
            }
        }
        refused.append(&mut self.overflow);
        self.overflow = refused;
    }

    /// Lets deliveries out of the overflow: to disk as far as there is room, or to memory when the disk is empty.
    pub(super) fn relieve_overflow(
        &mut self,
        limits: &Limits,
        brokers: usize,
        clock: &Clock,
        write: &mut Write,
    ) {
        while let Some(item) = self.overflow.pop_front() {
            if self.account.unloaded == 0
                && !self.held
                && self.queue.waiting() < self.waiting_max(limits, brokers)
            {
                self.queue.push(item);
            } else if self.fits_on_disk(&item) {
                self.spill(item, clock, write);
            } else {
                self.overflow.push_front(item);
                return;
            }
        }
    }

    /// Sees to it that there is a delivery to probe with: while the broker is held nothing leaves the overflow for
    /// memory, so a broker all of whose deliveries wait there could never be tried again.
    fn offer_probe(&mut self) {
        if self.queue.waiting() == 0
            && self.account.unloaded == 0
            && let Some(item) = self.overflow.pop_front()
        {
            self.queue.push(item);
        }
    }

    /// A delivery that has been tried waits for its own next attempt: it goes to disk with everything that waits
    /// behind it for its load, and stays in memory too.
    pub(super) fn park(&mut self, item: Item, clock: &Clock, write: &mut Write) {
        let behind = self.queue.take_waiting_of(&item.delivery.event().load_id);
        let live =
            std::iter::once(&item).chain(&behind).filter(|item| matches!(item.origin, Origin::Live(_)));
        let room = self.account.has_room(live.map(cost).sum());
        for item in std::iter::once(item).chain(behind) {
            let kept = if room || item.rewrite { self.keep_on_disk(item, clock, write) } else { item };
            self.queue.push(kept);
        }
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

    /// Takes in deliveries that were read from disk, unless memory has been emptied since the read began.
    pub(super) fn take_in(&mut self, read: Loaded, generation: u64, clock: &Clock) {
        let Loaded { deliveries, permits, cursor, horizon } = read;
        self.account.horizon = self.account.horizon.max(horizon);
        let Some(gone) = self.account.end_load(generation, cursor) else { return };
        let mut permits = permits.into_iter();
        let (now, wall) = (Instant::now(), clock.now());
        // From the cursor on the next read looks again: a read is no snapshot, so of what came to disk meanwhile it may
        // have met the later and missed the earlier.
        let end = self.account.cursor;
        for spilled in deliveries.into_iter().take_while(|spilled| spilled.seq < end) {
            if gone.contains(&spilled.seq) || self.queue.holds(&spilled.event.load_id, spilled.seq) {
                continue;
            }
            let Some(permit) = permits.next() else { return };
            self.account.unloaded = self.account.unloaded.saturating_sub(1);
            let wait = spilled.not_before.saturating_sub(wall);
            let not_before = (wait > 0).then(|| now + Duration::from_millis(wait));
            let may_repeat = spilled.seq < self.account.in_doubt_below;
            let delivery = Delivery::from_spill(spilled, self.broker.clone(), may_repeat);
            self.queue.push(Item {
                delivery,
                origin: Origin::Disk,
                _permit: permit,
                since: now,
                not_before,
                rewrite: false,
            });
        }
    }

    /// How many deliveries to read from disk now: enough to keep the window busy, one for a probe, none if the broker
    /// cannot be served or memory still has enough.
    pub(super) fn wanted(&self, gate: Gate) -> usize {
        let enough = match gate {
            Gate::Open | Gate::Disabled => (2 * self.window).max(READ_MIN),
            Gate::Probe => READ_MIN,
            Gate::HeldUntil(_) => 0,
        };
        let low = self.queue.waiting() * 2 <= enough.saturating_sub(1);
        if !low || self.account.loading || self.account.unloaded == 0 {
            return 0;
        }
        enough
    }

    /// How many loads may be parked in memory: a quarter of what may wait.
    pub(super) fn parked_max(&self, limits: &Limits, brokers: usize) -> usize {
        let share = (limits.in_flight_max / brokers.max(1)).max(1);
        (self.waiting_max(limits, brokers) / 4).clamp(1, share.max(READ_MIN))
    }

    /// Starts a delivery as the probe of a half-open breaker, of another load than the last one if there is one.
    pub(super) fn start_probe(&mut self, now: Instant) -> Option<Delivery> {
        self.offer_probe();
        if !self.queue.has_ready() || !self.broker.health.begin_probe(now) {
            return None;
        }
        self.queue.rotate(self.probes);
        self.probes = self.probes.wrapping_add(1);
        let Some(item) = self.queue.start(now) else {
            // What was ready turned out to wait for its own next attempt.
            self.broker.health.release_probe(now);
            return None;
        };
        item.delivery.progress.set_probe(true);
        Some(item.delivery.clone())
    }

    /// Starts the next delivery that may be started.
    pub(super) fn start(&mut self, now: Instant) -> Option<Delivery> {
        if self.queue.running() == 0 {
            self.meter.resume(now);
        }
        self.queue.start(now).map(|item| item.delivery.clone())
    }

    /// Whether a live delivery may go to disk: there is room, and none before it is vouched for by the source alone.
    fn fits_on_disk(&self, item: &Item) -> bool {
        self.account.has_room(cost(item)) && !self.queue.holds_live(&item.delivery.event().load_id)
    }

    /// Moves a delivery from memory to disk.
    fn spill(&mut self, item: Item, clock: &Clock, write: &mut Write) {
        self.account.unload(item.delivery.seq);
        let mut item = self.copy_to_disk(item, clock, write);
        item.rewrite = false;
        write.unloaded.push(item);
    }

    /// Writes a delivery to disk that stays in memory too, from where it is sent.
    fn keep_on_disk(&mut self, item: Item, clock: &Clock, write: &mut Write) -> Item {
        let (seq, before) = (item.delivery.seq, write.deliveries.len());
        let item = self.copy_to_disk(item, clock, write);
        if write.deliveries.len() > before {
            write.sent_below = write.sent_below.max(self.account.may_send(seq));
        }
        item
    }

    /// Writes a delivery to disk if it is not there as it should be, and gives it back, vouched for by the disk.
    fn copy_to_disk(&mut self, mut item: Item, clock: &Clock, write: &mut Write) -> Item {
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
