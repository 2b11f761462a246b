//! Reports settled offsets to the cluster, so that its own tools can show a consumer's lag: now and then while a
//! partition is read, and once at the end of a run. Nothing in Loadline depends on it.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::{partition::Partition, timeout::within_timeout};

/// How long the end of a run waits for the last report.
const LAST: Duration = Duration::from_secs(2);

/// The offset below which a partition is settled; none while nothing is. Called off the runtime's threads.
#[derive(Clone)]
pub(super) struct SettledOffset(Arc<dyn Fn() -> Option<u64> + Send + Sync>);

impl SettledOffset {
    /// Calls `settled` each time.
    pub(super) fn new(settled: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(settled))
    }

    pub(super) fn get(&self) -> Option<u64> {
        (self.0)()
    }
}

impl fmt::Debug for SettledOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SettledOffset")
    }
}

/// Reports one partition's settled offset.
#[derive(Debug)]
pub(super) struct Mirror<P> {
    source: Arc<str>,
    partition: Arc<P>,
    settled: SettledOffset,
    timeout: Duration,
    /// The last reported offset.
    reported: Mutex<Option<u64>>,
}

impl<P> Mirror<P> {
    /// Reports `settled` to the leader of `partition`, which has `timeout` to answer.
    pub(super) fn new(
        source: Arc<str>,
        partition: Arc<P>,
        settled: SettledOffset,
        timeout: Duration,
    ) -> Self {
        Self { source, partition, settled, timeout, reported: Mutex::new(None) }
    }
}

impl<P: Partition> Mirror<P> {
    /// Reports the settled offset, unless that was reported already.
    pub(super) async fn report(&self) {
        self.within(self.timeout).await;
    }

    /// Reports the settled offset at the end of a run; takes at most two seconds.
    pub(super) async fn report_last(&self) {
        self.within(self.timeout.min(LAST)).await;
    }

    async fn within(&self, timeout: Duration) {
        let settled = self.settled.clone();
        let Ok(Some(settled)) = spawn_blocking(move || settled.get()).await else { return };
        if *self.reported.lock() == Some(settled) {
            return;
        }
        match within_timeout(timeout, "a settled offset", self.partition.mirror(settled)).await {
            Ok(true) => *self.reported.lock() = Some(settled),
            // The stream has had no response yet, so its session is unknown.
            Ok(false) => {}
            Err(fault) => {
                tracing::debug!(source = %self.source, %fault, "settled offset not reported to the cluster");
            }
        }
    }
}
