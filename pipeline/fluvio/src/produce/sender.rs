//! The sender of one partition: sends each batch until the leader has accepted it, or the cluster has accepted
//! nothing for too long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{ProduceFault, ProduceOptions, batch::BatchBuilder, replica::Replica};
use crate::Controller;

/// The pause before a batch is sent again. A restarted leader refuses for more than a second.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// How long one answer may take; after that the leader is looked up again.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// What all senders together have sent.
#[derive(Debug, Default)]
pub struct Sent {
    taken: AtomicU64,
    again: AtomicU64,
}

impl Sent {
    /// Records the cluster has taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Batches that were sent again.
    #[must_use]
    pub fn again(&self) -> u64 {
        self.again.load(Relaxed)
    }
}

/// Sends the batches of a partition.
pub struct Sender {
    options: ProduceOptions,
    replica: Replica,
    sent: Arc<Sent>,
}

impl Sender {
    pub(super) fn new(
        options: ProduceOptions,
        controller: Controller,
        partition: u32,
        sent: Arc<Sent>,
    ) -> Self {
        let replica = Replica::new(controller, &options.topic, partition, ANSWER.min(options.timeout));
        Self { options, replica, sent }
    }

    pub(super) async fn run(mut self, mut batches: mpsc::Receiver<BatchBuilder>) -> Result<(), ProduceFault> {
        while let Some(batch) = batches.recv().await {
            let _since = self.send(&batch).await?;
        }
        Ok(())
    }

    /// Sends `batch` until the leader has accepted it. Returns when it was first sent to a leader: from then on its
    /// records may be in the log and be read, even if that leader's answer was lost.
    pub async fn send(&mut self, batch: &BatchBuilder) -> Result<Instant, ProduceFault> {
        let began = Instant::now();
        let mut given = None;
        let mut tries = 0_u64;
        loop {
            tries += 1;
            let fault = match self.replica.add(batch, &mut given).await {
                Ok(()) => {
                    self.sent.taken.fetch_add(batch.len(), Relaxed);
                    return Ok(given.unwrap_or(began));
                }
                Err(fault) => fault,
            };
            if tries == 1 {
                self.sent.again.fetch_add(1, Relaxed);
                tracing::warn!(partition = self.replica.partition(), %fault, "a batch was not accepted; sending it again");
            }
            if began.elapsed() >= self.options.timeout {
                let endpoint = self.options.cluster.endpoint.clone();
                return Err(ProduceFault::GaveUp { endpoint, after: began.elapsed(), fault });
            }
            sleep(PAUSE).await;
        }
    }
}
