//! Reads a broker's deliveries back from disk when memory has room for them: those that are due by their numbers, and
//! more in the order of the numbers, past those of loads that wait for their own next attempt.
//!
//! Guarantees: no more is read than places and bytes were had for, and of what is passed by no body is kept; before
//! anything is given out that could be sent, it is on record that it may be (the drain horizon), so that it is known what
//! may repeat even if the attempts journal is lost.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use rustc_hash::FxHashSet;
use stages::models::Fault;
use state::{Ledger, Record, Spill, SpillSeq, SpilledDelivery, StateFault, UnixMillis};

use super::{
    deferred::Listed,
    memory::{Body, Memory, Place, Room},
    reading::Wanted,
};

/// How far ahead of what may be sent the drain horizon is set, so that it is written once for so many deliveries.
pub(super) const HORIZON_STEP: SpillSeq = 1024;
/// How many are passed by in one read at most, so that what was found does not wait long.
const PASSED_MAX: usize = 1024;

/// What to read.
pub(super) struct Request {
    pub(super) broker: Arc<str>,
    pub(super) range: Range<SpillSeq>,
    pub(super) wanted: Wanted,
    /// Whether the places go to what is read in the order of the numbers first, should there be too few.
    pub(super) scan_first: bool,
    /// Loads that wait for their own next attempt.
    pub(super) passing: Arc<FxHashSet<Arc<str>>>,
    pub(super) now: UnixMillis,
    /// The bytes of one delivery, on an average.
    pub(super) mean: usize,
    pub(super) horizon: SpillSeq,
    pub(super) memory: Arc<Memory>,
}

/// What was read.
pub(super) struct Loaded {
    /// What was read by its number.
    pub(super) due: Vec<SpilledDelivery>,
    /// What was looked for by its number and is not there.
    pub(super) missing: Vec<Listed>,
    /// What was met in the order of the numbers.
    pub(super) deliveries: Vec<SpilledDelivery>,
    /// Those of them that were passed by: their bodies were left on disk.
    pub(super) passed: FxHashSet<SpillSeq>,
    /// A place in memory for each of the others, in the same order, with the bytes of its body.
    pub(super) permits: Vec<Place>,
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
    bodies: Vec<Body>,
    cursor: SpillSeq,
    /// The body of the first one, if it is larger than the room there was: then nothing was read.
    too_large: Option<usize>,
}

/// Waits for room in memory, reads as many deliveries, and puts the drain horizon on record if it moves.
pub(super) async fn load(ledger: &Ledger, request: Request) -> Result<Loaded, Fault> {
    let Request { broker, range, wanted, scan_first, passing, now, mean, horizon, memory } = request;
    let mut least = mean;
    let (places, read) = loop {
        let room = memory.room(least).await.map_err(|_| StateFault::Closed)?;
        let places = memory.reads(wanted.due.len() + wanted.scan).await.map_err(|_| StateFault::Closed)?;
        let (spill, name, numbers) = (ledger.store().spill().clone(), broker.clone(), range.clone());
        let wanted = wanted.clone().within(places.len(), scan_first);
        let scan = Scan::new(&wanted, passing.clone(), now);
        // A read may wait for the disk, which must not hold up the shard's other brokers.
        let read = tokio::task::spawn_blocking(move || read(&spill, &name, numbers, wanted.due, scan, room));
        let read = read.await.map_err(StateFault::interrupted)??;
        match read.too_large {
            // Everything has been given back: whoever waits for much must hold nothing meanwhile.
            Some(body) => least = body,
            None => break (places, read),
        }
    };
    let Read { due, missing, scan: Scan { deliveries, passed, .. }, bodies, cursor, .. } = read;
    let reached = due.iter().map(|spilled| spilled.seq + 1).fold(cursor, SpillSeq::max);
    let horizon = if reached > horizon {
        let _proof = ledger.record(Record::DrainHorizon(broker, reached + HORIZON_STEP)).await?;
        reached + HORIZON_STEP
    } else {
        horizon
    };
    let permits = places.into_iter().zip(&bodies).map(|(place, body)| place.holding(body)).collect();
    Ok(Loaded { due, missing, deliveries, passed, permits, cursor, horizon })
}

/// Reads those that are `due` by their numbers, and then what `scan` asks for, as far as `room` has bytes for the bodies.
fn read(
    spill: &Spill,
    broker: &Arc<str>,
    range: Range<SpillSeq>,
    due: Vec<Listed>,
    scan: Scan,
    mut room: Room,
) -> Result<Read, StateFault> {
    let (due_max, cursor) = (due.len(), range.start);
    let (missing, bodies) = (Vec::new(), Vec::new());
    let mut read = Read { due: Vec::with_capacity(due_max), missing, scan, bodies, cursor, too_large: None };
    for listed in due {
        let Some(spilled) = spill.read(broker, listed.1..listed.1 + 1, 1)?.pop() else {
            read.missing.push(listed);
            continue;
        };
        let Some(body) = room.take(spilled.event.body.len()) else {
            return Ok(read.cut(spilled.event.body.len()));
        };
        read.due.push(spilled);
        read.bodies.push(body);
    }
    if read.scan.is_done() {
        return Ok(read);
    }
    let mut met = spill.each(broker.clone(), range.clone());
    while !read.scan.is_done() {
        let Some(spilled) = met.next().transpose()? else {
            read.cursor = range.end;
            break;
        };
        let next = spilled.seq + 1;
        if !read.scan.passes(&spilled) {
            let Some(body) = room.take(spilled.event.body.len()) else {
                return Ok(read.cut(spilled.event.body.len()));
            };
            read.bodies.push(body);
        }
        read.scan.meet(spilled);
        read.cursor = next;
    }
    Ok(read)
}

impl Read {
    /// The room was too small for a body of `len` bytes: what was read before it is what there is.
    fn cut(mut self, len: usize) -> Self {
        let nothing = self.bodies.is_empty() && self.scan.deliveries.is_empty() && self.missing.is_empty();
        self.too_large = nothing.then_some(len);
        self
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
