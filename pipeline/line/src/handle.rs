//! What a running line shows of itself, and where it is told what to do.

use std::{collections::BTreeMap, sync::Arc};

use stages::Broker;
use state::{SpillUsage, Store};
use tokio::sync::{mpsc, oneshot};

use super::{
    command::{Command, Replay, Replayed},
    fault::LineFault,
    limits::Shared,
    new_broker::NewBroker,
    partitions::{Partition, Partitions},
};

/// A view into a running line, cheap to ask.
#[derive(Clone, Debug)]
pub struct LineHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: Arc<[mpsc::Sender<Command>]>,
}

impl LineHandle {
    /// Where a shard is told what to do.
    pub(super) fn commands(&self, shard: usize) -> Option<&mpsc::Sender<Command>> {
        self.commands.get(shard)
    }

    /// Deliveries in memory.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.permits.taken()
    }

    /// Bytes of bodies in memory: each counts once, in whole KiB, however many brokers get it.
    #[must_use]
    pub fn in_flight_bytes(&self) -> u64 {
        self.shared.permits.bytes()
    }

    /// Deliveries on disk.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        self.shared.counters.spilled()
    }

    /// Whether backpressure holds the intake.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.shared.is_pressed()
    }

    /// Whether backpressure holds this partition: it alone, or all of them.
    #[must_use]
    pub fn holds(&self, partition: &Partition) -> bool {
        self.shared.holds(partition)
    }

    /// What waits on disk for brokers that the config has not named in this run.
    #[must_use]
    pub fn stranded(&self) -> BTreeMap<Arc<str>, SpillUsage> {
        self.shared.stranded()
    }

    /// Records read, settled and dropped, and each partition's place.
    #[must_use]
    pub fn partitions(&self) -> &Partitions {
        &self.shared.partitions
    }

    /// Puts dead letters' deliveries on their brokers' disk queues; the outcomes come in the order of `replays`. Those
    /// of one broker keep their order. They are in memory meanwhile, so give a few hundred at most, and one call at a
    /// time.
    ///
    /// # Errors
    /// [`LineFault::ShardLost`] if a shard has ended with a fault.
    pub async fn replay(&self, replays: Vec<Replay>) -> Result<Vec<Replayed>, LineFault> {
        let mut outcomes = vec![Replayed::Stopping; replays.len()];
        let mut by_shard: BTreeMap<usize, (Vec<usize>, Vec<Replay>)> = BTreeMap::new();
        for (place, replay) in replays.into_iter().enumerate() {
            let (places, of_shard) = by_shard.entry(replay.delivery.broker.shard).or_default();
            places.push(place);
            of_shard.push(replay);
        }
        for (shard, (places, replays)) in by_shard {
            let (reply, told) = oneshot::channel();
            let commands = self.commands(shard).ok_or(LineFault::ShardLost { shard })?;
            // A shard that has ended answers nothing: the line is stopping, or its fault is about to be told.
            if commands.send(Command::Replay { replays, reply }).await.is_err() {
                continue;
            }
            let told = told.await.unwrap_or_default();
            for (place, outcome) in places.into_iter().zip(told) {
                outcomes[place] = outcome;
            }
        }
        Ok(outcomes)
    }

    /// Gives `broker`, which has none yet, a queue on its shard; once this says true, deliveries for it may be sent there;
    /// false if the line is stopping. Looks at everything that
    /// waits for it on disk, so `store` is read on a thread that may block.
    ///
    /// # Errors
    /// [`LineFault::State`] if the store cannot be read, [`LineFault::ShardLost`] if there is no such shard.
    pub async fn admit(&self, broker: Arc<Broker>, store: &Store) -> Result<bool, LineFault> {
        let _stranding = self.shared.stranding.lock().await;
        let (of, store) = (broker.clone(), store.clone());
        let new_broker = self.shared.executor.blocking(move || {
            let usage = store.spill().usage_of(&of.id)?;
            NewBroker::new(of, usage, &store)
        });
        let new_broker = new_broker.await??;
        let shard = broker.shard;
        let commands = self.commands(shard).ok_or(LineFault::ShardLost { shard })?;
        let (reply, told) = oneshot::channel();
        let sent = commands.send(Command::Admit { new_broker, reply }).await.is_ok();
        // A shard that has ended answers nothing: the line is stopping, or its fault is about to be told.
        Ok(sent && told.await.unwrap_or(false))
    }

    /// From now on `brokers` share the line: how much of memory is each one's, and when all of them lag, is judged by
    /// that. Those that leave are not among them.
    pub fn share_among(&self, brokers: usize) {
        self.shared.set_brokers(brokers);
    }
}
