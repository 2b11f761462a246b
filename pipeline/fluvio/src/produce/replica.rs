//! Writes batches to one partition of a topic, over one connection to its current leader. After any failure the
//! leader is looked up again.

use std::time::Duration;

use tokio::time::Instant;

use super::{CLOCK, batch::BatchBuilder};
use crate::{ClusterFault, Controller, Leader, within_timeout};

/// A partition, connected when it is first written to.
pub struct Replica {
    controller: Controller,
    topic: String,
    partition: u32,
    leader: Option<Leader>,
    answer: Duration,
}

impl Replica {
    /// A partition of `topic`; `answer` is the timeout of connecting and an answer together.
    pub fn new(controller: Controller, topic: &str, partition: u32, answer: Duration) -> Self {
        Self { controller, topic: topic.to_owned(), partition, leader: None, answer }
    }

    pub(super) fn partition(&self) -> u32 {
        self.partition
    }

    /// Sends `batch` once. Sets `given`, if it is none, to the time when it was first sent to a leader: from then on
    /// its records may be in the log and be read, even if the leader's answer is lost.
    ///
    /// # Errors
    /// The batch may be in the log all the same.
    pub async fn add(
        &mut self,
        batch: &BatchBuilder,
        given: &mut Option<Instant>,
    ) -> Result<(), ClusterFault> {
        let added = within_timeout(self.answer, "a batch", self.try_add(batch, given)).await;
        if added.is_err() {
            self.leader = None;
        }
        added
    }

    async fn try_add(
        &mut self,
        batch: &BatchBuilder,
        given: &mut Option<Instant>,
    ) -> Result<(), ClusterFault> {
        let leader = match &mut self.leader {
            Some(leader) => leader,
            none => none.insert(self.controller.leader_of(&self.topic, self.partition).await?),
        };
        given.get_or_insert_with(Instant::now);
        leader.produce(batch, CLOCK.now()).await
    }
}
