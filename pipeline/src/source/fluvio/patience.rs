//! Waiting for a cluster: what is asked of it enters, its answer leaves, as soon as it gives one; or it is a fault at
//! once. Told in the log once for each reason, and once when it is there.

use std::{mem, time::Duration};

use tokio::time::{Instant, sleep};

use super::{backoff::Backoff, options::FluvioOptions, partition::ClusterFault};
use crate::source::SourceFault;

/// Waits for one thing after the other.
pub(super) struct Patience {
    endpoint: String,
    /// What is waited for.
    who: String,
    timeout: Duration,
    fail_fast: bool,
    backoff: Backoff,
    since: Instant,
    told: Option<mem::Discriminant<ClusterFault>>,
}

impl Patience {
    /// Waits for `who`; with `fail_fast` not at all.
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

    /// What `ask` gives when the cluster answers.
    ///
    /// # Errors
    /// [`SourceFault::Cluster`] with `fail_fast`.
    pub(super) async fn wait<T, Asked>(&mut self, ask: impl Fn() -> Asked) -> Result<T, SourceFault>
    where
        Asked: Future<Output = Result<T, ClusterFault>>,
    {
        loop {
            let fault = match ask().await {
                Ok(answer) => {
                    if self.told.take().is_some() {
                        tracing::info!(who = %self.who, waited = ?self.since.elapsed(), "the cluster is there");
                    }
                    self.backoff.reset();
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            let endpoint = &self.endpoint;
            if self.fail_fast {
                return Err(SourceFault::Cluster { endpoint: endpoint.clone(), fault });
            }
            let kind = Some(mem::discriminant(&fault));
            if mem::replace(&mut self.told, kind) != kind {
                tracing::warn!(who = %self.who, %endpoint, %fault, "waiting for the cluster; start with --fail-fast to fail instead");
            }
            sleep(self.backoff.pause()).await;
        }
    }
}
