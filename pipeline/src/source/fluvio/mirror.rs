//! Carries what is settled to the cluster, for its own tools to show as the lag of a consumer: a checkpoint enters, told
//! now and then while the partition is read, and once more when the run has ended. Nothing here depends on it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::{
    look::{Settled, answered},
    partition::Partition,
};

/// How long the end of a run waits for the last word to be taken.
const LAST: Duration = Duration::from_secs(2);

/// What a cluster is told of one partition.
#[derive(Debug)]
pub(super) struct Mirror<P> {
    source: Arc<str>,
    partition: Arc<P>,
    settled: Settled,
    timeout: Duration,
    /// What it was told last.
    told: Mutex<Option<u64>>,
}

impl<P> Mirror<P> {
    /// Tells the leader of `partition` what `settled` gives; it has `timeout` to take it.
    pub(super) fn new(source: Arc<str>, partition: Arc<P>, settled: Settled, timeout: Duration) -> Self {
        Self { source, partition, settled, timeout, told: Mutex::new(None) }
    }
}

impl<P: Partition> Mirror<P> {
    /// Tells what is settled now, unless that has been told already.
    pub(super) async fn tell(&self) {
        self.within(self.timeout).await;
    }

    /// Tells what is settled at the end of a run; takes two seconds at most.
    pub(super) async fn last(&self) {
        self.within(self.timeout.min(LAST)).await;
    }

    async fn within(&self, timeout: Duration) {
        let settled = self.settled.clone();
        let Ok(Some(settled)) = spawn_blocking(move || settled.get()).await else { return };
        if *self.told.lock() == Some(settled) {
            return;
        }
        match answered(timeout, "a settled offset", self.partition.mirror(settled)).await {
            Ok(true) => *self.told.lock() = Some(settled),
            // Nothing has come over this stream yet, so that it has no name under which it could be told.
            Ok(false) => {}
            Err(fault) => {
                tracing::debug!(source = %self.source, %fault, "the cluster is not told what is settled");
            }
        }
    }
}
