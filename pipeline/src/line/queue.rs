//! One broker's deliveries in memory: they arrive in log order and leave for the wire one at a time per load, in that
//! order; different loads do not wait for each other.
//!
//! Pure data: no clock, no disk, no network. Bounded by whoever lets deliveries in (each holds a permit).

use std::{
    collections::{BTreeSet, VecDeque, hash_map::Entry},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use stages::models::Delivery;
use state::SpillSeq;
use tokio::time::Instant;

use super::{memory::Place, ticket::Share};

/// A delivery in memory.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) delivery: Delivery,
    pub(super) origin: Origin,
    /// Its place in memory, and its body's bytes; given back when the item is dropped.
    pub(super) _permit: Place,
    /// When it came into memory.
    pub(super) since: Instant,
    /// Its own next attempt's time, if a failed attempt set one.
    pub(super) not_before: Option<Instant>,
    /// Whether it has changed since it was last written to disk.
    pub(super) rewrite: bool,
    /// Whether it was read by its number, because its load had waited on disk.
    pub(super) by_number: bool,
}

/// Who vouches for a delivery if the process ends now.
#[derive(Debug)]
pub(super) enum Origin {
    /// The source: the share is open, and the record will be read again.
    Live(Share),
    /// The disk: its share is settled, or will be when the write is durable.
    Disk,
}

/// One load's deliveries.
#[derive(Debug, Default)]
struct Lane {
    running: Option<Item>,
    waiting: VecDeque<Item>,
    /// Whether its first waiting delivery waits for its own next attempt.
    parked: bool,
}

/// One broker's deliveries in memory.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: FxHashMap<Arc<str>, Lane>,
    /// Loads whose next delivery may start, in the order in which they became ready.
    ready: VecDeque<Arc<str>>,
    parked: BTreeSet<(Instant, Arc<str>)>,
    waiting: usize,
    /// Those of the waiting ones that were read by their number.
    by_number: usize,
    running: usize,
    /// Those of the running ones that had failed before.
    running_tried: usize,
    /// Whether the one that was started last had never been tried.
    last_was_fresh: bool,
}

impl Queue {
    /// Puts a delivery behind all others of its load.
    pub(super) fn push(&mut self, item: Item) {
        let load = item.delivery.event().load_id.clone();
        self.waiting += 1;
        self.by_number += usize::from(item.by_number);
        let lane = self.lanes.entry(load.clone()).or_default();
        lane.waiting.push_back(item);
        if lane.running.is_none() && !lane.parked && lane.waiting.len() == 1 {
            self.ready.push_back(load);
        }
    }

    /// Starts the next ready delivery: it counts as running, and its load waits, until it is finished. A load whose
    /// next delivery has to wait for its own next attempt is parked instead.
    pub(super) fn start(&mut self, now: Instant) -> Option<&mut Item> {
        while let Some(load) = self.ready.pop_front() {
            let Some(lane) = self.lanes.get_mut(&load) else { continue };
            let Some(item) = lane.waiting.front() else { continue };
            if let Some(until) = item.not_before.filter(|until| *until > now) {
                lane.parked = true;
                self.parked.insert((until, load));
                continue;
            }
            self.waiting -= 1;
            self.by_number -= usize::from(item.by_number);
            self.running += 1;
            self.last_was_fresh = item.delivery.history.attempts == 0;
            self.running_tried += usize::from(!self.last_was_fresh);
            // Looked up again because a loop may not give out what it has borrowed.
            let lane = self.lanes.get_mut(&load)?;
            lane.running = lane.waiting.pop_front();
            return lane.running.as_mut();
        }
        None
    }

    /// Lets the ready load whose next delivery has been tried least be the next one; with `fresh` only one that has never
    /// been tried. False if there is none. Visits every load.
    pub(super) fn bring_forward(&mut self, now: Instant, fresh: bool) -> bool {
        let Self { ready, parked, lanes, .. } = self;
        ready.retain(|load| {
            let lane = lanes.get_mut(load);
            let until = lane.as_ref().and_then(|lane| lane.waiting.front()?.not_before);
            let waits = until.filter(|until| *until > now);
            if let (Some(lane), Some(until)) = (lane, waits) {
                lane.parked = true;
                parked.insert((until, load.clone()));
            }
            waits.is_none()
        });
        let tried = |load: &Arc<str>| Some(lanes.get(load)?.waiting.front()?.delivery.history.attempts);
        let least = ready.iter().enumerate().filter_map(|(at, load)| Some((tried(load)?, at))).min();
        let Some((_, at)) = least.filter(|(tried, _)| !fresh || *tried == 0) else { return false };
        if let Some(load) = self.ready.remove(at) {
            self.ready.push_front(load);
        }
        true
    }

    /// Lets the first ready load that has never been tried be the next one, if there is one and the next one would
    /// otherwise be one more than `most` of those on their way that have failed before. In turns with these if `in_turns`.
    pub(super) fn prefer_fresh(&mut self, now: Instant, most: usize, in_turns: bool) {
        if self.running_tried < most || (in_turns && self.last_was_fresh) {
            return;
        }
        let next = self.ready.front().and_then(|load| self.lanes.get(load)?.waiting.front());
        if next.is_some_and(|item| item.delivery.history.attempts > 0) {
            self.bring_forward(now, true);
        }
    }

    /// The running delivery of `load`.
    pub(super) fn running_of(&self, load: &Arc<str>) -> Option<&Delivery> {
        self.lanes.get(load)?.running.as_ref().map(|item| &item.delivery)
    }

    /// Ends the running delivery of `load`; the next one of that load becomes ready.
    pub(super) fn finish(&mut self, load: &Arc<str>) -> Option<Item> {
        let Entry::Occupied(mut lane) = self.lanes.entry(load.clone()) else { return None };
        let item = lane.get_mut().running.take()?;
        self.running -= 1;
        self.running_tried -= usize::from(item.delivery.history.attempts > 0);
        if lane.get().waiting.is_empty() {
            lane.remove();
            if self.lanes.is_empty() {
                // A table that is made anew is nearer than one of thousands of brokers' that was left alone for a while.
                self.lanes = FxHashMap::default();
            }
        } else if !lane.get().parked {
            self.ready.push_back(load.clone());
        }
        Some(item)
    }

    /// Puts a delivery that has just been finished back in front of its load.
    pub(super) fn push_front(&mut self, item: Item) {
        let load = item.delivery.event().load_id.clone();
        self.waiting += 1;
        let lane = self.lanes.entry(load.clone()).or_default();
        self.by_number += usize::from(item.by_number);
        lane.waiting.push_front(item);
        if lane.waiting.len() == 1 {
            self.ready.push_back(load);
        }
    }

    /// Makes the loads ready whose wait is over by `now`.
    pub(super) fn unpark(&mut self, now: Instant) {
        while self.parked.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, load)) = self.parked.pop_first()
                && let Some(lane) = self.lanes.get_mut(&load)
            {
                lane.parked = false;
                self.ready.push_back(load);
            }
        }
    }

    /// Lets no load wait for its own next attempt any more.
    pub(super) fn release(&mut self) {
        for (_, load) in std::mem::take(&mut self.parked) {
            if let Some(lane) = self.lanes.get_mut(&load) {
                lane.parked = false;
                if let Some(item) = lane.waiting.front_mut() {
                    item.not_before = None;
                }
                self.ready.push_back(load);
            }
        }
    }

    /// When the first parked load's wait is over.
    pub(super) fn next_unpark(&self) -> Option<Instant> {
        self.parked.first().map(|(until, _)| *until)
    }

    /// Takes every waiting delivery out, in arrival order; running ones stay.
    pub(super) fn take_waiting(&mut self) -> Vec<Item> {
        self.ready.clear();
        self.parked.clear();
        (self.waiting, self.by_number) = (0, 0);
        let mut taken = Vec::new();
        self.lanes.retain(|_, lane| {
            taken.extend(lane.waiting.drain(..));
            lane.parked = false;
            lane.running.is_some()
        });
        taken.sort_by_key(|item| item.delivery.seq);
        taken
    }

    /// Takes the waiting deliveries of one load out, in arrival order.
    pub(super) fn take_waiting_of(&mut self, load: &Arc<str>) -> VecDeque<Item> {
        let Entry::Occupied(mut lane) = self.lanes.entry(load.clone()) else { return VecDeque::new() };
        let taken = std::mem::take(&mut lane.get_mut().waiting);
        self.waiting -= taken.len();
        self.by_number -= taken.iter().filter(|item| item.by_number).count();
        self.ready.retain(|ready| ready != load);
        self.parked.retain(|(_, parked)| parked != load);
        lane.get_mut().parked = false;
        if lane.get().running.is_none() {
            lane.remove();
        }
        taken
    }

    /// The running deliveries.
    pub(super) fn running_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.lanes.values_mut().filter_map(|lane| lane.running.as_mut())
    }

    /// Waiting deliveries that do not wait behind one that waits for its own next attempt.
    pub(super) fn unparked(&self) -> usize {
        let parked = self.parked.iter().filter_map(|(_, load)| self.lanes.get(load));
        self.waiting - parked.map(|lane| lane.waiting.len()).sum::<usize>()
    }

    /// Loads whose next delivery could be started.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Waiting deliveries that were read by their number.
    pub(super) fn by_number(&self) -> usize {
        self.by_number
    }

    /// Whether anything of `load` is in memory.
    pub(super) fn has(&self, load: &Arc<str>) -> bool {
        self.lanes.contains_key(load)
    }

    /// Deliveries that are not running.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Deliveries on their way through the stages.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Since when the delivery that has been in memory longest is there, of those that wait and those that keep their
    /// record open; visits every load.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let running = |lane: &Lane| {
            lane.running.as_ref().filter(|item| matches!(item.origin, Origin::Live(_))).map(|item| item.since)
        };
        let waiting = |lane: &Lane| lane.waiting.front().map(|item| item.since);
        self.lanes.values().flat_map(|lane| [running(lane), waiting(lane)]).flatten().min()
    }

    /// Since when the oldest of those that keep their record open is in memory; visits every load.
    pub(super) fn oldest_live(&self) -> Option<Instant> {
        // The source's come behind the disk's, so the first of them is the oldest of its load.
        let first = |lane: &Lane| {
            let mut items = lane.running.iter().chain(&lane.waiting);
            items.find(|item| matches!(item.origin, Origin::Live(_))).map(|item| item.since)
        };
        self.lanes.values().filter_map(first).min()
    }

    /// The running deliveries that keep their record open.
    pub(super) fn running_live(&self) -> impl Iterator<Item = &Item> {
        let running = self.lanes.values().filter_map(|lane| lane.running.as_ref());
        running.filter(|item| matches!(item.origin, Origin::Live(_)))
    }

    /// Whether the source vouches for a delivery of `load`: then none behind it may go to disk without it.
    pub(super) fn holds_live(&self, load: &Arc<str>) -> bool {
        let live = |item: &Item| matches!(item.origin, Origin::Live(_));
        self.lanes.get(load).is_some_and(|lane| lane.running.iter().chain(&lane.waiting).any(live))
    }

    /// Whether a delivery with this number is in memory and on disk: the one that runs for `load`, or a waiting one.
    pub(super) fn holds(&self, load: &Arc<str>, seq: SpillSeq) -> bool {
        self.lanes
            .get(load)
            .is_some_and(|lane| lane.running.iter().chain(&lane.waiting).any(|item| item.delivery.seq == seq))
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
