//! One partition of a topic, to write to: a batch enters, and is in the log once this returns. One connection, to whoever
//! leads the partition; after anything that went wrong the leader is looked up anew.

use std::time::Duration;

use fluvio_protocol::record::ReplicaKey;
use tokio::time::Instant;

use super::{CLOCK, batch::Filling};
use crate::source::{
    ClusterFault,
    cluster::{Controller, Leader, answered},
};

/// A partition, connected when it is first written to.
pub(crate) struct Replica {
    controller: Controller,
    key: ReplicaKey,
    leader: Option<Leader>,
    answer: Duration,
}

impl Replica {
    /// A partition of `topic`; `answer` is how long connecting and an answer may take together.
    pub(crate) fn new(controller: Controller, topic: &str, partition: u32, answer: Duration) -> Self {
        let key = ReplicaKey::new(topic.to_owned(), partition);
        Self { controller, key, leader: None, answer }
    }

    pub(super) fn partition(&self) -> u32 {
        self.key.partition
    }

    /// Adds `batch` to the log, once. `given`, if it is none, becomes when it was given to a leader: from then on its
    /// records may stand in the log and be read, even if that leader's answer is lost.
    ///
    /// # Errors
    /// Why it is not known to be there; it may be there all the same.
    pub(crate) async fn add(
        &mut self,
        batch: &Filling,
        given: &mut Option<Instant>,
    ) -> Result<(), ClusterFault> {
        let added = answered(self.answer, "a batch", self.try_add(batch, given)).await;
        if added.is_err() {
            self.leader = None;
        }
        added
    }

    async fn try_add(&mut self, batch: &Filling, given: &mut Option<Instant>) -> Result<(), ClusterFault> {
        let leader = match &mut self.leader {
            Some(leader) => leader,
            none => none.insert(self.controller.leader_of(self.key.clone()).await?),
        };
        given.get_or_insert_with(Instant::now);
        leader.produce(batch.batch(CLOCK.now())?).await
    }
}
