//! Publishes dead letters during a run, and the rest within a limit at its end.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use state::{Ledger, StateFault};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Duration, timeout},
};

use super::{
    counts::DeadTopicCounts,
    fluvio_topic::FluvioTopic,
    kafka_topic::KafkaTopic,
    page::PageBounds,
    publish_loop::{PublishLoop, PublishOptions, Until},
    topic::Topic,
};
use crate::{
    config::{DeadCluster, DeadTopicConfig},
    dead::counted,
};
use fluvio_engine::Backoff;
use line::{
    SourceFault,
    stop::{Level, Stop},
};

/// Letters of one page: some hundred milliseconds' worth at worst, and one commit.
const LETTERS_MAX: usize = 1024;
/// Bytes of one page: with its batches and with what is being sent memory holds about four times as much.
const BYTES_MAX: usize = 1 << 20;

/// Publishes beside a run; what it has not done when this is dropped it does not do.
#[derive(Debug)]
pub struct Publisher {
    ledger: Ledger,
    counts: Arc<DeadTopicCounts>,
    until: watch::Sender<Until>,
    topic: String,
    grace: Duration,
    work: JoinSet<Result<(), StateFault>>,
}

impl Publisher {
    /// Begins to publish the letters of `ledger`, all that are there and have not been.
    ///
    /// # Errors
    /// If a certificate or a key cannot be used. A cluster that is away is waited for.
    pub fn start(config: &DeadTopicConfig, ledger: &Ledger) -> Result<Self, SourceFault> {
        match &config.cluster {
            DeadCluster::Fluvio(cluster) => {
                Ok(Self::over(FluvioTopic::new(cluster, config)?, config, ledger))
            }
            DeadCluster::Kafka(cluster) => Ok(Self::over(KafkaTopic::new(cluster, config)?, config, ledger)),
        }
    }

    pub(super) fn over(topic: impl Topic, config: &DeadTopicConfig, ledger: &Ledger) -> Self {
        let counts = Arc::new(DeadTopicCounts::default());
        let (until, watched) = watch::channel(Until::Stopped);
        let options = PublishOptions {
            endpoint: config.cluster.to_string(),
            timeout: config.timeout,
            bounds: PageBounds {
                letters_max: LETTERS_MAX,
                bytes_max: BYTES_MAX,
                value_max: config.value_max,
            },
        };
        let backoff = Backoff::new(config.backoff_min, config.backoff_max);
        let work = PublishLoop::new(topic, ledger.clone(), options, backoff, Arc::clone(&counts), watched);
        let (mut tasks, task_counts, ledger_status) =
            (JoinSet::new(), Arc::clone(&counts), ledger.status().clone());
        tasks.spawn(async move {
            let ended = AssertUnwindSafe(work.run()).catch_unwind().await;
            let ended = ended.unwrap_or_else(|payload| {
                Err(StateFault::panicked("the task that publishes dead letters", &*payload))
            });
            task_counts.connected(false);
            if let Err(fault) = &ended {
                tracing::error!(%fault, "publishing dead letters has stopped; they stay in the state directory");
                // The run ends with it: letters that nobody publishes any more would be missed by nobody.
                ledger_status.fail(fault.clone());
            }
            ended
        });
        let (topic, grace) = (config.topic.clone(), config.grace);
        Self { ledger: ledger.clone(), counts, until, topic, grace, work: tasks }
    }

    /// What has been published; it goes on while the run does.
    #[must_use]
    pub fn counts(&self) -> Arc<DeadTopicCounts> {
        Arc::clone(&self.counts)
    }

    /// Publishes what is left for at most the configured time, or until `stop` is to be at once. Gives how many letters
    /// are left for the next run, and tells the log.
    pub async fn finish(mut self, stop: &mut Stop) -> u64 {
        self.until.send_replace(Until::Drained);
        tokio::select! {
            _ = timeout(self.grace, self.work.join_next()) => {}
            () = at_once(stop) => {}
        }
        self.until.send_replace(Until::Now);
        // A page that is being read is waited for: its reader has the state directory open.
        while self.work.join_next().await.is_some() {}
        let left = self.ledger.store().dead_letters().unpublished();
        if left > 0 {
            let topic = &self.topic;
            tracing::warn!(%topic, left, "{} not published yet; the next run goes on", counted(left));
        }
        left
    }
}

/// Returns once there is a wish to stop at once.
async fn at_once(stop: &mut Stop) {
    while stop.level() < Level::Now {
        let _level = stop.changed().await;
    }
}
