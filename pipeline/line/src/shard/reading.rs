//! What a broker queue reads back from disk, and when: those whose load waits for its own next attempt by their numbers, once
//! they are due; everything else in the order of the numbers.
//!
//! Guarantees: neither starves the other; what is passed by is listed, so that it is read in its turn; of a load, what
//! comes into memory comes in the order of the numbers.

use std::{ops::Range, time::Duration};

use stages::{Gate, models::Delivery};
use state::{SpillSeq, SpilledDelivery};
use tokio::time::Instant;

use super::{
    at::At,
    broker_queue::BrokerQueue,
    deferred::{Listed, numbers_max},
    load_queues::{Backing, Item},
};
use crate::{in_flight_permits::Permit, spill_reader::SpillRead};

/// The fewest deliveries read from disk at once, so that a read is worth its cost.
const READ_MIN: usize = 8;
/// How many are read to probe with: one, and another for when that one turns out to be no probe.
const READ_PROBES: usize = 2;

/// What is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// By their numbers.
    pub(crate) due: Vec<Listed>,
    /// So many in the order of the numbers.
    pub(crate) scan: usize,
    /// Of these only such as have never been tried; the others are passed by.
    pub(crate) fresh: bool,
}

impl Wanted {
    /// Whether there is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.scan == 0 && self.due.is_empty()
    }

    /// The same cut to so many places: half of them for each kind, the odd one for the kind that comes first.
    pub(crate) fn within(mut self, places: usize, scan_first: bool) -> Self {
        let half = if scan_first { places / 2 } else { places.div_ceil(2) };
        self.due.truncate(half.max(places.saturating_sub(self.scan)));
        self.scan = self.scan.min(places.saturating_sub(self.due.len()));
        self
    }
}

impl BrokerQueue {
    /// What to read from disk now: enough to keep the window busy, one to probe with, nothing if the broker cannot be
    /// served.
    pub(crate) fn wanted(&self, gate: Gate, at: At<'_>) -> Wanted {
        let mut wanted = Wanted::default();
        if self.spill.reading {
            return wanted;
        }
        let readable = self.spill.readable();
        match gate {
            Gate::HeldUntil(_) => {}
            Gate::Probe if self.loads.ready() == 0 && self.can_scan(at.brokers, &readable) => {
                (wanted.scan, wanted.fresh) = (READ_PROBES, true);
            }
            // Also beside what is in memory: loads that are refused for ever would be tried in turns, and nothing else.
            Gate::Probe => {
                let in_memory = self.loads.least_tried().unwrap_or(u32::MAX);
                wanted.due = self.deferred.least_tried(at.now, readable.end, in_memory).into_iter().collect();
            }
            Gate::Open | Gate::Disabled => {
                let (enough, by_number) = ((2 * self.window).max(READ_MIN), self.loads.by_number());
                // As many loads, or at least as many deliveries: those that wait for their own, or have just done so,
                // must not stand for others.
                let ready = self.loads.ready().saturating_sub(by_number);
                let low = ready * 2 < enough && self.loads.unparked() < 2 * enough + by_number;
                if low && self.can_scan(at.brokers, &readable) {
                    wanted.scan = enough;
                }
                let most = READ_MIN.saturating_sub(by_number);
                wanted.due = self.deferred.due(at.now, readable.end, most);
            }
        }
        wanted
    }

    /// Whether there is more on disk that can be read in the order of the numbers.
    pub(crate) fn can_scan(&self, brokers: usize, readable: &Range<SpillSeq>) -> bool {
        self.spill.unloaded > 0 && !readable.is_empty() && self.deferred.len() < numbers_max(brokers)
    }

    /// Takes in deliveries that were read from disk, unless memory has been emptied since the read began.
    pub(crate) fn take_in(&mut self, read: SpillRead, generation: u64, at: At<'_>) {
        let (now, brokers, lived) = (at.now, at.brokers, at.lived);
        let SpillRead { due, missing, deliveries, passed, permits, cursor, horizon } = read;
        self.spill.horizon = self.spill.horizon.max(horizon);
        let Some(gone) = self.spill.end_read(generation, cursor) else { return };
        let mut permits = permits.into_iter();
        // What was dropped meanwhile is not missing.
        let missing: Vec<_> = missing.into_iter().filter(|(_, seq)| !gone.contains(seq)).collect();
        self.take_in_due(due, &missing, &mut permits, now);
        // From the cursor on the next read looks again: a read is no snapshot, so of what came to disk meanwhile it may
        // have met the later and missed the earlier.
        let end = self.spill.cursor;
        for spilled in deliveries.into_iter().take_while(|spilled| spilled.seq < end) {
            let (load, seq) = (spilled.event.load_id.clone(), spilled.seq);
            // Each has the place that was had for it.
            let place = if passed.contains(&seq) { None } else { permits.next() };
            let partition = self.leaving_partition(&spilled.event);
            let place = place.filter(|_| partition.is_none());
            if gone.contains(&seq) || self.loads.holds(&load, seq) || self.deferred.lists(&load, seq) {
                continue;
            }
            let waits = self.deferred.holds(&load);
            if (waits || place.is_none()) && self.deferred.len() >= numbers_max(brokers) {
                self.spill.cursor = seq;
                return;
            }
            let wait = Duration::from_millis(spilled.not_before.saturating_sub(lived));
            if waits {
                self.deferred.list(&load, seq);
            } else if let Some(place) = place {
                let not_before = (!wait.is_zero()).then(|| now + wait);
                self.take_in_one(spilled, place, now, not_before, false);
            } else {
                self.deferred.defer(&load, [seq], now + wait, spilled.history.attempts);
            }
            if let Some(partition) = partition {
                self.deferred.freeze(&partition, &load);
            }
            self.spill.unloaded = self.spill.unloaded.saturating_sub(1);
        }
    }

    /// Those that were read by their numbers, as far as it is still their turn.
    fn take_in_due(
        &mut self,
        due: Vec<SpilledDelivery>,
        missing: &[Listed],
        places: &mut impl Iterator<Item = Permit>,
        now: Instant,
    ) {
        for (load, seq) in missing {
            if self.leaving.is_empty() {
                // Cannot happen: what is listed is on disk until its own end is on record, or its partition leaves.
                tracing::error!(broker = %self.broker.id, %load, seq, "a delivery that waits is not on disk");
            } else {
                self.missed.insert(*seq);
            }
            self.deferred.forget((load, *seq));
            self.deferred.go_on(load, now, false);
        }
        for spilled in due {
            let listed = (spilled.event.load_id.clone(), spilled.seq);
            let Some(place) = places.next() else { return };
            // If it is set aside before it was tried, it keeps its turn.
            let due = self.deferred.due_of(&listed.0);
            if let Some(partition) = self.leaving_partition(&spilled.event) {
                self.deferred.freeze(&partition, &listed.0);
            }
            if self.deferred.take(&listed, now) {
                self.take_in_one(spilled, place, now, due, true);
            }
        }
    }

    fn take_in_one(
        &mut self,
        spilled: SpilledDelivery,
        permit: Permit,
        since: Instant,
        not_before: Option<Instant>,
        by_number: bool,
    ) {
        let may_repeat = spilled.seq < self.spill.in_doubt_below;
        let delivery = Delivery::from_spill(spilled, self.broker.clone(), may_repeat);
        let (recording, rewrite) = (false, false);
        let item = Item {
            delivery,
            backing: Backing::Disk,
            permit,
            since,
            not_before,
            recording,
            rewrite,
            by_number,
        };
        self.loads.push(item);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn places_are_shared_and_neither_kind_is_left_without_for_ever() {
        let cut = |due: u64, scan: usize, places: usize, scan_first: bool| {
            let due = (0..due).map(|seq| (Arc::from("L"), seq)).collect();
            let cut = Wanted { due, scan, fresh: false }.within(places, scan_first);
            (cut.due.len(), cut.scan)
        };
        assert_eq!(cut(8, 16, 24, false), (8, 16));
        assert_eq!(cut(8, 16, 1, false), (1, 0));
        assert_eq!(cut(8, 16, 1, true), (0, 1));
        assert_eq!(cut(8, 16, 9, true), (4, 5));
        assert_eq!((cut(8, 0, 5, true), cut(0, 8, 5, false)), ((5, 0), (0, 5)));
        assert_eq!(cut(1, 16, 9, true), (1, 8));
    }
}
