//! A broker that comes to the line, at its start or while it runs: what is on record of it is honoured, what waits for it
//! on disk is its own, and it gets a queue on its shard.
//!
//! Guarantee: a queue stays to the end
//! of the run, so whoever comes again takes up the same one, with all that waits there.

use std::sync::Arc;

use stages::Broker;
use state::{SpillSeq, SpillUsage, StateFault, Store};
use tokio::time::Instant;

use super::{
    limits::{Limits, Shared},
    shard::{BrokerQueue, SpillIndex},
};

/// A broker on its way to its shard, with what is on record of it.
#[derive(Debug)]
pub(super) struct NewBroker {
    broker: Arc<Broker>,
    usage: SpillUsage,
    doubt: SpillSeq,
}

impl NewBroker {
    /// `broker` with `usage` on disk; disabled and paused if that is on record.
    pub(super) fn new(broker: Arc<Broker>, usage: SpillUsage, store: &Store) -> Result<Self, StateFault> {
        if let Some(disabled) = store.brokers().disabled(&broker.id)? {
            broker.mark_disabled(disabled.reason);
        }
        broker.health.set_paused(store.brokers().paused(&broker.id)?.is_some());
        let doubt = store.brokers().doubt(&broker.id)?;
        Ok(Self { broker, usage, doubt })
    }

    /// Its queue; it is one of the line's brokers from now on.
    pub(super) fn into_queue(self, shared: &Shared, limits: &Limits) -> BrokerQueue {
        shared.admit(self.broker.clone());
        let index = SpillIndex::new(shared.counters.clone(), limits, self.usage, self.doubt);
        BrokerQueue::new(self.broker, index, Instant::now())
    }
}
