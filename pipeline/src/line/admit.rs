//! A broker comes to the line, at its start or while it runs: what is on record of it is honoured, what waits for it on
//! disk is its own, and it gets a slot on its shard.
//!
//! Guarantees: once [`Watch::admit`] says so, deliveries for the broker may be sent to its shard. A slot stays to the end
//! of the run, so whoever comes again takes up the same one, with all that waits there.

use std::sync::Arc;

use stages::models::Broker;
use state::{SpillSeq, SpillUsage, StateFault, Store};
use tokio::sync::oneshot;

use super::{
    account::Account,
    command::Command,
    fault::LineFault,
    limits::{Limits, Shared},
    run::Watch,
    shard::Shard,
    slot::Slot,
};

/// A broker on its way to its shard, with what is on record of it.
#[derive(Debug)]
pub(super) struct Newcomer {
    broker: Arc<Broker>,
    usage: SpillUsage,
    doubt: SpillSeq,
}

impl Newcomer {
    /// `broker` with `usage` on disk; disabled and paused if that is on record.
    pub(super) fn new(broker: Arc<Broker>, usage: SpillUsage, store: &Store) -> Result<Self, StateFault> {
        if let Some(disabled) = store.brokers().disabled(&broker.id)? {
            broker.disabled_before(disabled.reason);
        }
        broker.health.set_paused(store.brokers().paused(&broker.id)?.is_some());
        let doubt = store.brokers().doubt(&broker.id)?;
        Ok(Self { broker, usage, doubt })
    }

    /// Its slot; it is one of the line's brokers from now on.
    pub(super) fn slot(self, shared: &Arc<Shared>, limits: &Limits) -> Slot {
        shared.admit(self.broker.clone());
        let account = Account::new(shared.clone(), limits, self.usage, self.doubt);
        Slot::new(self.broker, account)
    }
}

impl Watch {
    /// Gives `broker`, which has none yet, a slot on its shard; false if the line is stopping. Looks at everything that
    /// waits for it on disk, so `store` is read on a thread that may block.
    ///
    /// # Errors
    /// [`LineFault::State`] if the store cannot be read, [`LineFault::ShardLost`] if there is no such shard.
    pub async fn admit(&self, broker: Arc<Broker>, store: &Store) -> Result<bool, LineFault> {
        let (of, store) = (broker.clone(), store.clone());
        let newcomer = tokio::task::spawn_blocking(move || {
            let usage = store.spill().usage_of(&of.id)?;
            Newcomer::new(of, usage, &store)
        });
        let newcomer = newcomer.await.map_err(StateFault::interrupted)??;
        let shard = broker.shard;
        let commands = self.commands(shard).ok_or(LineFault::ShardLost { shard })?;
        let (reply, told) = oneshot::channel();
        let sent = commands.send(Command::Admit { newcomer, reply }).await.is_ok();
        // A shard that has ended answers nothing: the line is stopping, or its fault is about to be told.
        Ok(sent && told.await.unwrap_or(false))
    }

    /// From now on `brokers` share the line: how much of memory is each one's, and when all of them lag, is judged by
    /// that. Those that leave are not among them.
    pub fn share_among(&self, brokers: usize) {
        self.shared.set_brokers(brokers);
    }
}

impl<Stages> Shard<Stages> {
    /// Takes a broker in; gives its place, since there may be something on disk to begin with.
    pub(super) fn admit(&mut self, newcomer: Newcomer, reply: oneshot::Sender<bool>) -> Option<usize> {
        if self.is_stopping() {
            // Who has not waited for the answer does not need it.
            let _gone = reply.send(false).is_err();
            return None;
        }
        let slot = self.slot_for(newcomer);
        let index = self.give_place(slot);
        let _gone = reply.send(true).is_err();
        Some(index)
    }
}
