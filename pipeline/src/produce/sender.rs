//! One partition's sender: batches enter, each is sent until the leader has taken it, or the cluster has taken nothing
//! for too long.

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

use super::{ProduceFault, ProduceOptions, batch::Filling, replica::Replica};
use crate::source::cluster::Controller;

/// How long to wait before a batch is sent again. A leader that has restarted refuses for more than a second.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// How long one answer may take: after that the leader is looked up anew.
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
pub(crate) struct Sender {
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

    pub(super) async fn run(mut self, mut batches: mpsc::Receiver<Filling>) -> Result<(), ProduceFault> {
        while let Some(batch) = batches.recv().await {
            let _since = self.send(&batch).await?;
        }
        Ok(())
    }

    /// Sends `batch` until the leader has taken it. What leaves is when it was first given to a leader: from then on its
    /// records may stand in the log and be read, even if that leader's answer was lost.
    pub(crate) async fn send(&mut self, batch: &Filling) -> Result<Instant, ProduceFault> {
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
                tracing::warn!(partition = self.replica.partition(), %fault, "a batch was not taken; it is sent again");
            }
            if began.elapsed() >= self.options.timeout {
                let endpoint = self.options.cluster.endpoint.clone();
                return Err(ProduceFault::GaveUp { endpoint, after: began.elapsed(), fault });
            }
            sleep(PAUSE).await;
        }
    }
}
