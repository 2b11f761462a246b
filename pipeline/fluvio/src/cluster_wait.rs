//! Waits for a cluster's answer, or fails at once if configured. Each reason for waiting is logged once, and so is
//! the end.

use std::{mem, time::Duration};

use tokio::time::{Instant, sleep};
use topics::Backoff;

use super::{options::FluvioOptions, partition::ClusterFault};
use crate::TopicFault;

/// Waits for answers, one after the other.
pub(super) struct ClusterWait {
    endpoint: String,
    /// What is waited for.
    who: String,
    timeout: Duration,
    fail_fast: bool,
    backoff: Backoff,
    since: Instant,
    told: Option<mem::Discriminant<ClusterFault>>,
}

impl ClusterWait {
    /// Waits for `who`; with `fail_fast` it does not wait.
    pub(super) fn new(options: &FluvioOptions, who: &str, fail_fast: bool) -> Self {
        let backoff = Backoff::new(options.backoff_min, options.backoff_max);
        Self {
            endpoint: options.cluster.endpoint.clone(),
            who: who.to_owned(),
            timeout: options.connect_timeout,
            fail_fast,
            backoff,
            since: Instant::now(),
            told: None,
        }
    }

    /// How long one answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The result of `ask` once the cluster answers.
    ///
    /// # Errors
    /// [`TopicFault::Cluster`] with `fail_fast`.
    pub(super) async fn wait<T, Asked>(&mut self, ask: impl Fn() -> Asked) -> Result<T, TopicFault>
    where
        Asked: Future<Output = Result<T, ClusterFault>>,
    {
        loop {
            let fault = match ask().await {
                Ok(answer) => {
                    if self.told.take().is_some() {
                        tracing::info!(who = %self.who, waited = ?self.since.elapsed(), "the cluster answered");
                    }
                    self.backoff.reset();
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            let endpoint = &self.endpoint;
            if self.fail_fast {
                return Err(TopicFault::Cluster { endpoint: endpoint.clone(), fault });
            }
            let kind = Some(mem::discriminant(&fault));
            if mem::replace(&mut self.told, kind) != kind {
                tracing::warn!(who = %self.who, %endpoint, %fault, "waiting for the cluster; start with --fail-fast to fail instead");
            }
            sleep(self.backoff.pause()).await;
        }
    }
}
