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

use crate::{in_flight_permits::Permit, ticket::Share};

/// A delivery in memory.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) delivery: Delivery,
    pub(crate) backing: Backing,
    /// Its room in memory, and its body's bytes; given back when the item is dropped.
    pub(crate) permit: Permit,
    /// When it came into memory.
    pub(crate) since: Instant,
    /// Its own next attempt's time, if a failed attempt set one.
    pub(crate) not_before: Option<Instant>,
    /// Whether its verdict is being recorded, or its partition is lost: from then on it is not copied to disk any more.
    pub(crate) recording: bool,
    /// Whether it has changed since it was last written to disk.
    pub(crate) rewrite: bool,
    /// Whether it was read by its number, because its load had waited on disk.
    pub(crate) by_number: bool,
}

/// Who vouches for a delivery if the process ends now.
#[derive(Debug)]
pub(crate) enum Backing {
    /// The source: the share is open, and the record will be read again.
    Source(Share),
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
pub(crate) struct LoadQueues {
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

impl LoadQueues {
    /// Puts a delivery behind all others of its load.
    pub(crate) fn push(&mut self, item: Item) {
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
    pub(crate) fn start(&mut self, now: Instant) -> Option<&mut Item> {
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
    pub(crate) fn bring_forward(&mut self, now: Instant, fresh: bool) -> bool {
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

    /// How often the ready load that has been tried least has been tried; visits every load.
    pub(crate) fn least_tried(&self) -> Option<u32> {
        let tried = |load| Some(self.lanes.get(load)?.waiting.front()?.delivery.history.attempts);
        self.ready.iter().filter_map(tried).min()
    }

    /// Lets the ready load that has been tried least be the next one, if the next one would otherwise be one more than
    /// `most` of those on their way that have failed before. In turns with these if `in_turns`. Not only one that was never
    /// tried: after an outage every load has failed, those that are good, too.
    pub(crate) fn prefer_fresh(&mut self, now: Instant, most: usize, in_turns: bool) {
        if self.running_tried < most || (in_turns && self.last_was_fresh) {
            return;
        }
        let next = self.ready.front().and_then(|load| self.lanes.get(load)?.waiting.front());
        if next.is_some_and(|item| item.delivery.history.attempts > 0) {
            self.bring_forward(now, false);
        }
    }

    /// Whether the delivery that was started last had never been tried.
    pub(crate) fn last_was_fresh(&self) -> bool {
        self.last_was_fresh
    }

    /// The running delivery of `load`, with all that belongs to it.
    pub(crate) fn running_item(&mut self, load: &Arc<str>) -> Option<&mut Item> {
        self.lanes.get_mut(load)?.running.as_mut()
    }

    /// Ends the running delivery of `load`; the next one of that load becomes ready.
    pub(crate) fn finish(&mut self, load: &Arc<str>) -> Option<Item> {
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
    pub(crate) fn push_front(&mut self, item: Item) {
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
    pub(crate) fn unpark(&mut self, now: Instant) {
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
    pub(crate) fn release(&mut self) {
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

    /// The loads that wait for their own next attempt, in the order of their times, of which a delivery is one that `is` says
    /// yes to.
    pub(crate) fn parked_with(&self, is: impl Fn(&Item) -> bool) -> Vec<Arc<str>> {
        let has = |load: &Arc<str>| self.lanes.get(load).is_some_and(|lane| lane.waiting.iter().any(&is));
        self.parked.iter().map(|(_, load)| load).filter(|load| has(load)).cloned().collect()
    }

    /// When the first parked load's wait is over.
    pub(crate) fn next_unpark(&self) -> Option<Instant> {
        self.parked.first().map(|(until, _)| *until)
    }

    /// Takes every waiting delivery out, in arrival order; running ones stay.
    pub(crate) fn take_waiting(&mut self) -> Vec<Item> {
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
    pub(crate) fn take_waiting_of(&mut self, load: &Arc<str>) -> VecDeque<Item> {
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

    /// The loads of which a waiting delivery is one that `is` says yes to; visits every delivery.
    pub(crate) fn loads_with(&self, is: impl Fn(&Item) -> bool) -> Vec<Arc<str>> {
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.waiting.iter().any(&is));
        let mut loads: Vec<_> = lanes.map(|(load, _)| load.clone()).collect();
        // So that a run can be repeated.
        loads.sort_unstable();
        loads
    }

    /// The running deliveries.
    pub(crate) fn running_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.lanes.values_mut().filter_map(|lane| lane.running.as_mut())
    }

    /// Whether one of the running deliveries is a probe; visits every load.
    pub(crate) fn runs_probe(&self) -> bool {
        self.lanes.values().any(|lane| lane.running.as_ref().is_some_and(|item| item.delivery.probe))
    }

    /// Waiting deliveries that do not wait behind one that waits for its own next attempt.
    pub(crate) fn unparked(&self) -> usize {
        let parked = self.parked.iter().filter_map(|(_, load)| self.lanes.get(load));
        self.waiting - parked.map(|lane| lane.waiting.len()).sum::<usize>()
    }

    /// Loads whose next delivery could be started.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Waiting deliveries that were read by their number.
    pub(crate) fn by_number(&self) -> usize {
        self.by_number
    }

    /// Whether anything of `load` is in memory.
    pub(crate) fn has(&self, load: &Arc<str>) -> bool {
        self.lanes.contains_key(load)
    }

    /// Deliveries that are not running.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Deliveries on their way through the stages.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Since when the delivery that has been in memory longest is there, of those that wait and those that keep their
    /// record open; visits every load.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let running = |lane: &Lane| {
            lane.running
                .as_ref()
                .filter(|item| matches!(item.backing, Backing::Source(_)))
                .map(|item| item.since)
        };
        let waiting = |lane: &Lane| lane.waiting.front().map(|item| item.since);
        self.lanes.values().flat_map(|lane| [running(lane), waiting(lane)]).flatten().min()
    }

    /// Since when the oldest of those that keep their record open is in memory; visits every load.
    pub(crate) fn oldest_live(&self) -> Option<Instant> {
        // The source's come behind the disk's, so the first of them is the oldest of its load.
        let first = |lane: &Lane| {
            let mut items = lane.running.iter().chain(&lane.waiting);
            items.find(|item| matches!(item.backing, Backing::Source(_))).map(|item| item.since)
        };
        self.lanes.values().filter_map(first).min()
    }

    /// The running deliveries that keep their record open.
    pub(crate) fn running_live(&self) -> impl Iterator<Item = &Item> {
        let running = self.lanes.values().filter_map(|lane| lane.running.as_ref());
        running.filter(|item| matches!(item.backing, Backing::Source(_)))
    }

    /// Whether the source vouches for a delivery of `load`: then none behind it may go to disk without it.
    pub(crate) fn holds_live(&self, load: &Arc<str>) -> bool {
        let live = |item: &Item| matches!(item.backing, Backing::Source(_));
        self.lanes.get(load).is_some_and(|lane| lane.running.iter().chain(&lane.waiting).any(live))
    }

    /// Whether a delivery with this number is in memory and on disk: the one that runs for `load`, or a waiting one.
    pub(crate) fn holds(&self, load: &Arc<str>, seq: SpillSeq) -> bool {
        self.lanes
            .get(load)
            .is_some_and(|lane| lane.running.iter().chain(&lane.waiting).any(|item| item.delivery.seq == seq))
    }
}

#[cfg(test)]
#[path = "load_queues_tests.rs"]
mod tests;
