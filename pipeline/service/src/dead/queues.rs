//! The disk queues for replayed letters: those of a running line, and those of a state directory that no process has
//! open. Both have the same bounds.

use std::{collections::HashMap, sync::Arc};

use rustc_hash::FxHashSet;
use state::{Ledger, Record, Spill, SpillSeq, SpillUsage, StateFault, Store};

use super::{Queues, ReplayFault, Sink};
use crate::config::LimitsConfig;
use line::{LineHandle, Replay, Replayed, SpillCapacity};

/// The queues of a running line.
#[derive(Clone, Debug)]
pub struct LineQueues {
    /// The ledger that records everything.
    pub ledger: Ledger,
    /// The line; none while it is starting, when nothing can be placed.
    pub watch: Option<LineHandle>,
}

impl Queues for LineQueues {
    async fn place(&mut self, replays: Vec<Replay>) -> Result<Vec<Replayed>, ReplayFault> {
        match &self.watch {
            Some(watch) => Ok(watch.replay(replays).await?),
            None => Ok(vec![Replayed::Stopping; replays.len()]),
        }
    }
}

impl Sink for LineQueues {
    async fn record(&mut self, records: Vec<Record>) -> Result<(), ReplayFault> {
        let _proofs = self.ledger.record_all(records).await?;
        Ok(())
    }
}

/// The queues in a state directory.
#[derive(Debug)]
pub struct DiskQueues {
    store: Store,
    usage: HashMap<Arc<str>, SpillUsage>,
    bytes: u64,
    broker_max: u64,
    total_max: u64,
}

impl DiskQueues {
    /// The queues in `store`, within `limits`; reads all that waits there.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn open(store: &Store, limits: &LimitsConfig) -> Result<Self, StateFault> {
        let mut usage: HashMap<_, _> = store.spill().usage()?.into_iter().collect();
        for (broker, usage) in &mut usage {
            usage.next_seq = first_free(store, broker, usage.next_seq)?;
        }
        Ok(Self {
            store: store.clone(),
            bytes: usage.values().map(|usage| usage.bytes).sum(),
            usage,
            broker_max: limits.spill_broker_max,
            total_max: limits.spill_total_max,
        })
    }

    /// A number and room for a delivery that takes `bytes`; none if there is no room.
    fn take(&mut self, broker: &Arc<str>, bytes: u64) -> Result<Option<SpillSeq>, StateFault> {
        if !self.usage.contains_key(broker) {
            let next_seq = first_free(&self.store, broker, 0)?;
            self.usage.insert(broker.clone(), SpillUsage { next_seq, ..SpillUsage::default() });
        }
        let Some(usage) = self.usage.get_mut(broker) else { return Ok(None) };
        let capacity = SpillCapacity {
            queue: usage.bytes,
            queue_max: self.broker_max,
            total: self.bytes,
            total_max: self.total_max,
        };
        if !capacity.has_room_for_letter(bytes, usage.deliveries == 0) {
            return Ok(None);
        }
        usage.bytes += bytes;
        usage.deliveries += 1;
        usage.next_seq += 1;
        self.bytes += bytes;
        Ok(Some(usage.next_seq - 1))
    }
}

/// Above what an earlier run may have sent, so that no new delivery counts as possibly sent.
fn first_free(store: &Store, broker: &str, next_seq: SpillSeq) -> Result<SpillSeq, StateFault> {
    let brokers = store.brokers();
    Ok(next_seq.max(brokers.drain_horizon(broker)?).max(brokers.doubt(broker)?))
}

impl Queues for DiskQueues {
    async fn place(&mut self, replays: Vec<Replay>) -> Result<Vec<Replayed>, ReplayFault> {
        let (mut records, mut outcomes, mut full) = (Vec::new(), Vec::new(), FxHashSet::default());
        for Replay { delivery, letter } in replays {
            let broker = delivery.broker.id.clone();
            let cost = Spill::cost_of(delivery.event());
            let seq = if full.contains(&broker) { None } else { self.take(&broker, cost)? };
            let Some(seq) = seq else {
                full.insert(broker);
                outcomes.push(Replayed::Full);
                continue;
            };
            // Where its partition's state goes to a log, what waits here of it is dropped at the next start.
            let follows = self.store.sources().is_followed(&delivery.event().position.source)?;
            let delivery = if follows { delivery.staying() } else { delivery };
            let delivery = delivery.into_spilled(seq);
            records.push(Record::Replayed { delivery: Box::new(delivery), letter: letter.map(Box::new) });
            outcomes.push(Replayed::Placed);
        }
        self.store.put_all(&records)?;
        Ok(outcomes)
    }
}

impl Sink for DiskQueues {
    async fn record(&mut self, records: Vec<Record>) -> Result<(), ReplayFault> {
        Ok(self.store.put_all(&records)?)
    }
}

impl Sink for Store {
    async fn record(&mut self, records: Vec<Record>) -> Result<(), ReplayFault> {
        Ok(self.put_all(&records)?)
    }
}
