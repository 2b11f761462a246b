//! Reads a broker's deliveries back from disk, in order, when memory has room for them.
//!
//! Guarantees: no more is read than permits were had for; before anything is given out that could be sent, it is on
//! record that it may be (the drain horizon), so that a crash can tell what may repeat.

use std::{ops::Range, sync::Arc};

use stages::models::Fault;
use state::{Ledger, Record, SpillSeq, SpilledDelivery, StateFault};
use tokio::sync::OwnedSemaphorePermit;

use super::memory::Memory;

/// How far ahead of what is read the drain horizon is set, so that it is written once for so many deliveries.
const HORIZON_STEP: SpillSeq = 1024;

/// What to read.
pub(super) struct Request {
    pub(super) broker: Arc<str>,
    pub(super) range: Range<SpillSeq>,
    pub(super) wanted: usize,
    pub(super) horizon: SpillSeq,
    pub(super) memory: Arc<Memory>,
}

/// What was read.
pub(super) struct Loaded {
    pub(super) deliveries: Vec<SpilledDelivery>,
    /// A place in memory for each of them at least.
    pub(super) permits: Vec<OwnedSemaphorePermit>,
    /// Where the next read begins.
    pub(super) cursor: SpillSeq,
    /// The drain horizon on record.
    pub(super) horizon: SpillSeq,
}

/// Waits for places in memory, reads as many deliveries, and puts the drain horizon on record if it moves.
pub(super) async fn load(ledger: &Ledger, request: Request) -> Result<Loaded, Fault> {
    let Request { broker, range, wanted, horizon, memory } = request;
    let permits = memory.reads(wanted).await.map_err(|_| StateFault::Closed)?;
    let wanted = permits.len();
    let spill = ledger.store().spill().clone();
    let (name, numbers) = (broker.clone(), range.clone());
    // A read may wait for the disk, which must not hold up the shard's other brokers.
    let read = tokio::task::spawn_blocking(move || spill.read(&name, numbers, wanted));
    let deliveries = read.await.map_err(|_| StateFault::Closed)??;
    let exhausted = deliveries.len() < wanted;
    let cursor = match deliveries.last() {
        Some(last) if !exhausted => last.seq + 1,
        _ => range.end,
    };
    let horizon = if cursor > horizon {
        let _proof = ledger.record(Record::DrainHorizon(broker, cursor + HORIZON_STEP)).await?;
        cursor + HORIZON_STEP
    } else {
        horizon
    };
    Ok(Loaded { deliveries, permits, cursor, horizon })
}
