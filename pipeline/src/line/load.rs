//! Reads a broker's deliveries back from disk, in order, when memory has room for them.
//!
//! Guarantees: no more is read than places and bytes were had for; before anything is given out that could be sent, it is on
//! record that it may be (the drain horizon), so that it is known what may repeat even if the attempts journal is lost.

use std::{ops::Range, sync::Arc};

use stages::models::Fault;
use state::{Ledger, Record, Spill, SpillSeq, SpilledDelivery, StateFault};

use super::memory::{Body, Memory, Place, Room};

/// How far ahead of what may be sent the drain horizon is set, so that it is written once for so many deliveries.
pub(super) const HORIZON_STEP: SpillSeq = 1024;

/// What to read.
pub(super) struct Request {
    pub(super) broker: Arc<str>,
    pub(super) range: Range<SpillSeq>,
    pub(super) wanted: usize,
    /// The bytes of one delivery, on an average.
    pub(super) mean: usize,
    pub(super) horizon: SpillSeq,
    pub(super) memory: Arc<Memory>,
}

/// What was read.
pub(super) struct Loaded {
    pub(super) deliveries: Vec<SpilledDelivery>,
    /// A place in memory for each of them, with the bytes of its body.
    pub(super) permits: Vec<Place>,
    /// Where the next read begins.
    pub(super) cursor: SpillSeq,
    /// The drain horizon on record.
    pub(super) horizon: SpillSeq,
}

/// What one read found.
struct Read {
    deliveries: Vec<SpilledDelivery>,
    bodies: Vec<Body>,
    /// Whether there is nothing behind them.
    ended: bool,
    /// The body of the first one, if it is larger than the room there was: then nothing was read.
    too_large: Option<usize>,
}

/// Waits for room in memory, reads as many deliveries, and puts the drain horizon on record if it moves.
pub(super) async fn load(ledger: &Ledger, request: Request) -> Result<Loaded, Fault> {
    let Request { broker, range, wanted, mean, horizon, memory } = request;
    let mut least = mean;
    let (places, read) = loop {
        let room = memory.room(least).await.map_err(|_| StateFault::Closed)?;
        let places = memory.reads(wanted).await.map_err(|_| StateFault::Closed)?;
        let (spill, name, numbers, most) =
            (ledger.store().spill().clone(), broker.clone(), range.clone(), places.len());
        // A read may wait for the disk, which must not hold up the shard's other brokers.
        let read = tokio::task::spawn_blocking(move || read(&spill, &name, numbers, most, room));
        let read = read.await.map_err(StateFault::interrupted)??;
        match read.too_large {
            // Everything has been given back: whoever waits for much must hold nothing meanwhile.
            Some(body) => least = body,
            None => break (places, read),
        }
    };
    let Read { deliveries, bodies, ended, .. } = read;
    let cursor = match deliveries.last() {
        Some(last) if !ended => last.seq + 1,
        _ => range.end,
    };
    let horizon = if cursor > horizon {
        let _proof = ledger.record(Record::DrainHorizon(broker, cursor + HORIZON_STEP)).await?;
        cursor + HORIZON_STEP
    } else {
        horizon
    };
    let permits = places.into_iter().zip(&bodies).map(|(place, body)| place.holding(body)).collect();
    Ok(Loaded { deliveries, permits, cursor, horizon })
}

/// Reads up to `most` deliveries whose bodies `room` has bytes for.
fn read(
    spill: &Spill,
    broker: &Arc<str>,
    range: Range<SpillSeq>,
    most: usize,
    mut room: Room,
) -> Result<Read, StateFault> {
    let mut read = Read { deliveries: Vec::new(), bodies: Vec::new(), ended: false, too_large: None };
    let mut found = spill.each(broker.clone(), range);
    while read.deliveries.len() < most {
        let Some(delivery) = found.next().transpose()? else {
            read.ended = true;
            break;
        };
        let len = delivery.event.body.len();
        let Some(body) = room.take(len) else {
            read.too_large = read.deliveries.is_empty().then_some(len);
            break;
        };
        read.deliveries.push(delivery);
        read.bodies.push(body);
    }
    Ok(read)
}
