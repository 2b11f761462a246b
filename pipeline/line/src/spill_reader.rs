//! Reads a broker's deliveries back from disk when memory has room for them: those that are due by their numbers, and
//! more in the order of the numbers, past those of loads that wait for their own next attempt.
//!
//! Guarantees: no more is read than there were permits for, and of what is passed by no body is kept; before
//! anything is given out that could be sent, it is on record that it may be (the drain horizon), so that it is known what
//! may repeat even if the attempts journal is lost.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use rustc_hash::FxHashSet;
use stages::models::Fault;
use state::{Ledger, Record, Spill, SpillSeq, SpilledDelivery, StateFault, UnixMillis};

use super::{
    in_flight_permits::{BodyPermit, Permit, ReadBudget},
    limits::Shared,
    shard::{Listed, ReadAsked, Wanted},
};

/// How far ahead of what may be sent the drain horizon is set, so that it is written once for so many deliveries.
pub(super) const HORIZON_STEP: SpillSeq = 1024;
/// How many are passed by in one read at most, so that what was found does not wait long.
const PASSED_MAX: usize = 1024;

/// What was read.
#[derive(Debug)]
pub(super) struct SpillRead {
    /// What was read by its number.
    pub(super) due: Vec<SpilledDelivery>,
    /// What was looked for by its number and is not there.
    pub(super) missing: Vec<Listed>,
    /// What was met in the order of the numbers.
    pub(super) deliveries: Vec<SpilledDelivery>,
    /// Those of them that were passed by: their bodies were left on disk.
    pub(super) passed: FxHashSet<SpillSeq>,
    /// A place in memory for each of the others, in the same order, with the bytes of its body.
    pub(super) permits: Vec<Permit>,
    /// Where the next read begins.
    pub(super) cursor: SpillSeq,
    /// The drain horizon on record.
    pub(super) horizon: SpillSeq,
}

/// What one read found.
struct Read {
    due: Vec<SpilledDelivery>,
    missing: Vec<Listed>,
    scan: Scan,
    due_bodies: Vec<BodyPermit>,
    scan_bodies: Vec<BodyPermit>,
    cursor: SpillSeq,
    /// The body of the first one, if it is larger than the room there was: then nothing was read.
    too_large: Option<usize>,
}

/// Waits for room in memory, reads as many deliveries, and puts the drain horizon on record if it moves.
pub(super) async fn read_back(
    ledger: &Ledger,
    broker: Arc<str>,
    asked: ReadAsked,
    now: UnixMillis,
    shared: &Shared,
) -> Result<SpillRead, Fault> {
    let ReadAsked { range, wanted, scan_first, passing, mean, horizon, .. } = asked;
    let permits = &shared.permits;
    let mut least = mean;
    let (places, read) = loop {
        let room = shared.read_room(permits.room(least)).await.map_err(|_| StateFault::Closed)?;
        let places = shared.read_room(permits.reads(wanted.due.len() + wanted.scan)).await;
        let places = places.map_err(|_| StateFault::Closed)?;
        let (spill, name, numbers) = (ledger.store().spill().clone(), broker.clone(), range.clone());
        let wanted = wanted.clone().within(places.len(), scan_first);
        let scan = Scan::new(&wanted, passing.clone(), now);
        // A read may wait for the disk, which must not hold up the shard's other brokers.
        let read = shared.executor.blocking(move || {
            Read::new(scan, numbers.start).run(&spill, &name, numbers, (wanted.due, scan_first), room)
        });
        let read = read.await??;
        match read.too_large {
            // Everything has been given back: whoever waits for much must hold nothing meanwhile.
            Some(body) => least = body,
            None => break (places, read),
        }
    };
    let Read { due, missing, scan: Scan { deliveries, passed, .. }, due_bodies, scan_bodies, cursor, .. } =
        read;
    let reached = due.iter().map(|spilled| spilled.seq + 1).fold(cursor, SpillSeq::max);
    let horizon = if reached > horizon {
        let _proof = ledger.record(Record::DrainHorizon(broker, reached + HORIZON_STEP)).await?;
        reached + HORIZON_STEP
    } else {
        horizon
    };
    let bodies = due_bodies.iter().chain(&scan_bodies);
    let permits = places.into_iter().zip(bodies).map(|(place, body)| place.holding(body)).collect();
    Ok(SpillRead { due, missing, deliveries, passed, permits, cursor, horizon })
}

impl Read {
    fn new(scan: Scan, cursor: SpillSeq) -> Self {
        let (due, missing, due_bodies, scan_bodies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { due, missing, scan, due_bodies, scan_bodies, cursor, too_large: None }
    }

    /// Reads those that are `due` by their numbers and what the scan asks for, the one or the other first, as far as `room`
    /// has bytes for the bodies.
    fn run(
        mut self,
        spill: &Spill,
        broker: &Arc<str>,
        range: Range<SpillSeq>,
        (due, scan_first): (Vec<Listed>, bool),
        mut room: ReadBudget,
    ) -> Result<Self, StateFault> {
        let cut = if scan_first {
            match self.scan(spill, broker, range, &mut room)? {
                None => self.due(spill, broker, due, &mut room)?,
                cut => cut,
            }
        } else {
            match self.due(spill, broker, due, &mut room)? {
                None => self.scan(spill, broker, range, &mut room)?,
                cut => cut,
            }
        };
        let nothing = self.due.is_empty() && self.scan.deliveries.is_empty() && self.missing.is_empty();
        self.too_large = cut.filter(|_| nothing);
        Ok(self)
    }

    /// Reads by number; gives the length of a body for which there was no room.
    fn due(
        &mut self,
        spill: &Spill,
        broker: &Arc<str>,
        due: Vec<Listed>,
        room: &mut ReadBudget,
    ) -> Result<Option<usize>, StateFault> {
        for listed in due {
            let Some(spilled) = spill.read(broker, listed.1..listed.1 + 1, 1)?.pop() else {
                self.missing.push(listed);
                continue;
            };
            let len = spilled.event.body.len();
            let Some(body) = room.take(len) else { return Ok(Some(len)) };
            self.due.push(spilled);
            self.due_bodies.push(body);
        }
        Ok(None)
    }

    /// Reads in the order of the numbers; gives the length of a body for which there was no room.
    fn scan(
        &mut self,
        spill: &Spill,
        broker: &Arc<str>,
        range: Range<SpillSeq>,
        room: &mut ReadBudget,
    ) -> Result<Option<usize>, StateFault> {
        if self.scan.is_done() {
            return Ok(None);
        }
        let mut met = spill.each(broker.clone(), range.clone());
        while !self.scan.is_done() {
            let Some(spilled) = met.next().transpose()? else {
                self.cursor = range.end;
                break;
            };
            let next = spilled.seq + 1;
            if !self.scan.passes(&spilled) {
                let len = spilled.event.body.len();
                let Some(body) = room.take(len) else { return Ok(Some(len)) };
                self.scan_bodies.push(body);
            }
            self.scan.meet(spilled);
            self.cursor = next;
        }
        Ok(None)
    }
}

/// What a read in the order of the numbers has met so far.
pub(super) struct Scan {
    /// How many are to be found, and whether only such as have never been tried.
    most: usize,
    fresh: bool,
    passing: Arc<FxHashSet<Arc<str>>>,
    now: UnixMillis,
    pub(super) deliveries: Vec<SpilledDelivery>,
    pub(super) passed: FxHashSet<SpillSeq>,
}

impl Scan {
    pub(super) fn new(wanted: &Wanted, passing: Arc<FxHashSet<Arc<str>>>, now: UnixMillis) -> Self {
        let (most, fresh) = (wanted.scan, wanted.fresh);
        Self { most, fresh, passing, now, deliveries: Vec::new(), passed: FxHashSet::default() }
    }

    /// Whether it has met enough.
    pub(super) fn is_done(&self) -> bool {
        self.deliveries.len() - self.passed.len() >= self.most || self.passed.len() >= PASSED_MAX
    }

    /// Whether this one is passed by: its load waits for its own next attempt, or it is none to probe with.
    fn passes(&self, spilled: &SpilledDelivery) -> bool {
        let tried = self.fresh && spilled.history.attempts > 0;
        tried || spilled.not_before > self.now || self.passing.contains(&spilled.event.load_id)
    }

    /// Meets the next one.
    pub(super) fn meet(&mut self, mut spilled: SpilledDelivery) {
        if self.passes(&spilled) {
            self.passed.insert(spilled.seq);
            spilled.event.body = Bytes::new();
        }
        self.deliveries.push(spilled);
    }
}

#[cfg(test)]
mod tests {
    use state::{Clock, Durability, SimulatedDisk, Store, StoreOptions};

    use super::*;
    use crate::{in_flight_permits::InFlightPermits, testing::delivery};

    #[tokio::test]
    async fn where_there_is_room_for_one_body_what_comes_first_gets_it() {
        let (durability, clock) = (Durability::Process, Clock::System);
        let options = StoreOptions { durability, dedupe_window: 3_600_000, cache: 1 << 20, clock };
        let store = Store::open_simulated(&SimulatedDisk::new(), options).unwrap();
        for (load, seq) in [("waits", 0), ("other", 1)] {
            let spilled = delivery(load, seq).into_spilled(seq);
            store.put_all(&[Record::Spilled(Box::new(spilled))]).unwrap();
        }
        let permits = InFlightPermits::new(8, 8 << 10);
        let (broker, due) = (Arc::from("acme"), (Arc::from("waits"), 0));
        for scan_first in [true, false] {
            let wanted = Wanted { due: vec![due.clone()], scan: 1, fresh: false };
            let passing = Arc::new(FxHashSet::from_iter([due.0.clone()]));
            let (scan, room) = (Scan::new(&wanted, passing, 0), permits.room(1).await.unwrap());
            let read = Read::new(scan, 0);
            let read = read.run(store.spill(), &broker, 0..2, (wanted.due, scan_first), room).unwrap();
            let scanned = read.scan.deliveries.len() - read.scan.passed.len();
            let expected = if scan_first { (0, 1) } else { (1, 0) };
            assert_eq!((read.due.len(), scanned), expected, "scan first: {scan_first}");
        }
    }
}
