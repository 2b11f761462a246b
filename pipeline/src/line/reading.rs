//! What a slot reads back from disk, and when: those whose load waits for its own next attempt by their numbers, once
//! they are due; everything else in the order of the numbers.
//!
//! Guarantees: neither starves the other; what is passed by is listed, so that it is read in its turn; of a load, what
//! comes into memory comes in the order of the numbers.

use std::{ops::Range, time::Duration};

use stages::{Gate, models::Delivery};
use state::{Clock, SpillSeq, SpilledDelivery};
use tokio::time::Instant;

use super::{
    deferred::{Listed, numbers_max},
    load::Loaded,
    memory::Place,
    queue::{Item, Origin},
    slot::Slot,
};

/// The fewest deliveries read from disk at once, so that a read is worth its cost.
const READ_MIN: usize = 8;
/// How many are read to probe with: one, and another for when that one turns out to be no probe.
const READ_PROBES: usize = 2;

/// What is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// By their numbers.
    pub(super) due: Vec<Listed>,
    /// So many in the order of the numbers.
    pub(super) scan: usize,
    /// Of these only such as have never been tried; the others are passed by.
    pub(super) fresh: bool,
}

impl Wanted {
    /// Whether there is nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        self.scan == 0 && self.due.is_empty()
    }

    /// The same cut to so many places: half of them for each kind, the odd one for the kind that comes first.
    pub(super) fn within(mut self, places: usize, scan_first: bool) -> Self {
        let half = if scan_first { places / 2 } else { places.div_ceil(2) };
        self.due.truncate(half.max(places.saturating_sub(self.scan)));
        self.scan = self.scan.min(places.saturating_sub(self.due.len()));
        self
    }
}

impl Slot {
    /// What to read from disk now: enough to keep the window busy, one to probe with, nothing if the broker cannot be
    /// served.
    pub(super) fn wanted(&self, gate: Gate, brokers: usize, now: Instant) -> Wanted {
        let mut wanted = Wanted::default();
        if self.account.loading {
            return wanted;
        }
        let readable = self.account.readable();
        match gate {
            Gate::HeldUntil(_) => {}
            Gate::Probe if self.queue.ready() > 0 => {}
            Gate::Probe => {
                (wanted.scan, wanted.fresh) = (READ_PROBES, true);
                if !self.can_scan(brokers, &readable) {
                    wanted.scan = 0;
                    wanted.due = self.deferred.least_tried(now, readable.end).into_iter().collect();
                }
            }
            Gate::Open | Gate::Disabled => {
                let (enough, by_number) = ((2 * self.window).max(READ_MIN), self.queue.by_number());
                // As many loads, or at least as many deliveries: those that wait for their own, or have just done so,
                // must not stand for others.
                let ready = self.queue.ready().saturating_sub(by_number);
                let low = ready * 2 < enough && self.queue.unparked() < 2 * enough + by_number;
                if low && self.can_scan(brokers, &readable) {
                    wanted.scan = enough;
                }
                let most = READ_MIN.saturating_sub(by_number);
                wanted.due = self.deferred.due(now, readable.end, most);
            }
        }
        wanted
    }

    /// Whether there is more on disk that can be read in the order of the numbers.
    pub(super) fn can_scan(&self, brokers: usize, readable: &Range<SpillSeq>) -> bool {
        self.account.unloaded > 0 && !readable.is_empty() && self.deferred.len() < numbers_max(brokers)
    }

    /// Takes in deliveries that were read from disk, unless memory has been emptied since the read began.
    pub(super) fn take_in(
        &mut self,
        read: Loaded,
        generation: u64,
        now: Instant,
        brokers: usize,
        clock: &Clock,
    ) {
        let Loaded { due, missing, deliveries, passed, permits, cursor, horizon } = read;
        self.account.horizon = self.account.horizon.max(horizon);
        let Some(gone) = self.account.end_load(generation, cursor) else { return };
        let mut permits = permits.into_iter();
        let lived = clock.lived();
        self.take_in_due(due, &missing, &mut permits, now);
        // From the cursor on the next read looks again: a read is no snapshot, so of what came to disk meanwhile it may
        // have met the later and missed the earlier.
        let end = self.account.cursor;
        for spilled in deliveries.into_iter().take_while(|spilled| spilled.seq < end) {
            let (load, seq) = (spilled.event.load_id.clone(), spilled.seq);
            // Each has the place that was had for it.
            let place = if passed.contains(&seq) { None } else { permits.next() };
            if gone.contains(&seq) || self.queue.holds(&load, seq) || self.deferred.lists(&load, seq) {
                continue;
            }
            let waits = self.deferred.holds(&load);
            if (waits || place.is_none()) && self.deferred.len() >= numbers_max(brokers) {
                self.account.cursor = seq;
                return;
            }
            let wait = Duration::from_millis(spilled.not_before.saturating_sub(lived));
            if waits {
                self.deferred.list(&load, seq);
            } else if let Some(place) = place {
                let not_before = (!wait.is_zero()).then(|| now + wait);
                self.take_in_one(spilled, place, not_before, false);
            } else {
                self.deferred.defer(&load, [seq], now + wait, spilled.history.attempts);
            }
            self.account.unloaded = self.account.unloaded.saturating_sub(1);
        }
    }

    /// Those that were read by their numbers, as far as it is still their turn.
    fn take_in_due(
        &mut self,
        due: Vec<SpilledDelivery>,
        missing: &[Listed],
        places: &mut impl Iterator<Item = Place>,
        now: Instant,
    ) {
        for (load, seq) in missing {
            // Cannot happen: what is listed is on disk until its own end is on record.
            tracing::error!(broker = %self.broker.id, %load, seq, "a delivery that waits is not on disk");
            self.deferred.forget((load, *seq));
            self.deferred.go_on(load, now, false);
        }
        for spilled in due {
            let listed = (spilled.event.load_id.clone(), spilled.seq);
            let Some(place) = places.next() else { return };
            if self.deferred.take(&listed, now) {
                self.take_in_one(spilled, place, None, true);
            }
        }
    }

    fn take_in_one(
        &mut self,
        spilled: SpilledDelivery,
        place: Place,
        not_before: Option<Instant>,
        by_number: bool,
    ) {
        let may_repeat = spilled.seq < self.account.in_doubt_below;
        let delivery = Delivery::from_spill(spilled, self.broker.clone(), may_repeat);
        let (origin, since) = (Origin::Disk, Instant::now());
        let item = Item { delivery, origin, _permit: place, since, not_before, rewrite: false, by_number };
        self.queue.push(item);
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
