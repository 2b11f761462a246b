//! Sends records to a topic one after the other. It waits for room and for the cluster as long as the cluster takes
//! something now and then, and gives up when nothing was taken for [`ProduceOptions::timeout`].

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Deliveries, Outgoing, ProduceFault, ProduceOptions, Topic};
use crate::{ClusterFault, cluster_wait::NO_TOPIC_AFTER};

/// The pause between two looks at a full buffer: short beside the time a batch takes.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The pause between two tries to ask the cluster.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Sends records to one topic.
pub struct Sender<'p, T> {
    options: &'p ProduceOptions,
    topic: &'p T,
    deliveries: &'p Arc<Deliveries>,
}

/// Since when nothing was taken.
struct Progress {
    taken: u64,
    since: Instant,
}

impl<'p, T: Topic> Sender<'p, T> {
    /// A sender to `topic`, whose records `deliveries` count.
    pub fn new(options: &'p ProduceOptions, topic: &'p T, deliveries: &'p Arc<Deliveries>) -> Self {
        Self { options, topic, deliveries }
    }

    /// How many partitions the topic has; a cluster that is away is waited for, and for a moment a topic that is not there.
    ///
    /// # Errors
    /// [`ProduceFault::NoTopic`] or [`ProduceFault::GaveUp`].
    pub async fn count(&self) -> Result<u32, ProduceFault> {
        let began = Instant::now();
        loop {
            let fault = match self.topic.count().await {
                Ok(count) => return Ok(count),
                Err(fault) => fault,
            };
            let bootstrap = self.options.bootstrap();
            if matches!(fault, ClusterFault::NoTopic { .. }) && began.elapsed() >= NO_TOPIC_AFTER {
                return Err(ProduceFault::NoTopic { bootstrap, fault });
            }
            if began.elapsed() >= self.options.timeout {
                let fault = self.topic.trouble().unwrap_or(fault);
                return Err(ProduceFault::GaveUp { bootstrap, after: began.elapsed(), fault });
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Sends `record` as soon as there is room; returns when it is on its way.
    ///
    /// # Errors
    /// [`ProduceFault::Refused`] or [`ProduceFault::GaveUp`].
    pub async fn send(&self, record: &Outgoing) -> Result<(), ProduceFault> {
        let mut progress = self.progress();
        loop {
            if let Some(fault) = self.deliveries.fault() {
                return Err(self.refused(fault.clone()));
            }
            if self.topic.offer(record, self.deliveries).map_err(|fault| self.refused(fault))? {
                return Ok(());
            }
            sleep(LOOK_AGAIN).await;
            self.check(&mut progress)?;
        }
    }

    /// Waits until the cluster has all of them.
    ///
    /// # Errors
    /// [`ProduceFault::Refused`] or [`ProduceFault::GaveUp`].
    pub async fn settled(&self) -> Result<(), ProduceFault> {
        let mut progress = self.progress();
        loop {
            tokio::select! {
                settled = self.deliveries.settled() => return settled.map_err(|fault| self.refused(fault)),
                () = sleep(ASK_AGAIN) => self.check(&mut progress)?,
            }
        }
    }

    /// The fault that the cluster does not take a record.
    pub(super) fn refused(&self, fault: ClusterFault) -> ProduceFault {
        ProduceFault::Refused { bootstrap: self.options.bootstrap(), fault }
    }

    fn progress(&self) -> Progress {
        Progress { taken: self.deliveries.taken(), since: Instant::now() }
    }

    fn check(&self, progress: &mut Progress) -> Result<(), ProduceFault> {
        if self.deliveries.taken() != progress.taken {
            *progress = self.progress();
        }
        let after = progress.since.elapsed();
        if after < self.options.timeout {
            return Ok(());
        }
        let silent = || ClusterFault::Silent { what: "a batch", after };
        let fault = self.topic.trouble().unwrap_or_else(silent);
        Err(ProduceFault::GaveUp { bootstrap: self.options.bootstrap(), after, fault })
    }
}
