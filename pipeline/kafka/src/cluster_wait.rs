//! Waits for a cluster's answer, or fails at once if configured. Each reason for waiting is logged once, and so is
//! the end.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use topics::Backoff;

use crate::{
    fault::{ClusterFault, KafkaFault},
    options::ClusterOptions,
    outage_log::OutageLog,
};

/// How long nodes are asked before it is believed that a topic does not exist: one that has just come back does not know the
/// newest topics, and each look may ask another node.
pub(crate) const NO_TOPIC_AFTER: Duration = Duration::from_secs(3);

/// Waits for one thing after the other.
pub(crate) struct ClusterWait {
    bootstrap: String,
    fail_fast: bool,
    backoff: Backoff,
    since: Instant,
    told: Option<mem::Discriminant<ClusterFault>>,
    outage: Arc<OutageLog>,
}

impl ClusterWait {
    /// Waits for the cluster; with `fail_fast` not at all. What `outage` knows better than an answer that did not come
    /// is told instead.
    pub(crate) fn new(options: &ClusterOptions, fail_fast: bool, outage: Arc<OutageLog>) -> Self {
        Self {
            bootstrap: options.bootstrap.join(","),
            fail_fast,
            backoff: Backoff::new(options.backoff_min, options.backoff_max),
            since: Instant::now(),
            told: None,
            outage,
        }
    }

    /// What `ask` gives when the cluster answers.
    ///
    /// # Errors
    /// [`KafkaFault::Cluster`] with `fail_fast`.
    pub(crate) async fn wait<T, Asked>(&mut self, ask: impl Fn() -> Asked) -> Result<T, KafkaFault>
    where
        Asked: Future<Output = Result<T, ClusterFault>>,
    {
        loop {
            let fault = match ask().await {
                Ok(answer) => {
                    if self.told.take().is_some() {
                        tracing::info!(waited = ?self.since.elapsed(), "the Kafka cluster answered");
                    }
                    self.backoff.reset();
                    return Ok(answer);
                }
                Err(fault @ (ClusterFault::Silent { .. } | ClusterFault::Unreachable { .. })) => {
                    self.outage.cause().unwrap_or(fault)
                }
                Err(fault) => fault,
            };
            let bootstrap = &self.bootstrap;
            let is_unsure =
                matches!(fault, ClusterFault::NoTopic { .. }) && self.since.elapsed() < NO_TOPIC_AFTER;
            if self.fail_fast && !is_unsure {
                return Err(KafkaFault::Cluster { bootstrap: bootstrap.clone(), fault });
            }
            let kind = Some(mem::discriminant(&fault));
            if mem::replace(&mut self.told, kind) != kind {
                tracing::warn!(%bootstrap, %fault, "waiting for the Kafka cluster; start with --fail-fast to fail instead");
            }
            sleep(self.backoff.pause()).await;
        }
    }
}
