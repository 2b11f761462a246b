//! Logs that a cluster is in trouble: once for each kind of fault, and once when it is over.

use std::mem;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::fault::ClusterFault;

/// What is told of one cluster.
#[derive(Debug, Default)]
pub(crate) struct OutageLog(Mutex<Option<Outage>>);

#[derive(Debug)]
struct Outage {
    since: Instant,
    last: ClusterFault,
}

impl OutageLog {
    /// Something does not work.
    pub(crate) fn trouble(&self, fault: ClusterFault) {
        let mut outage = self.0.lock();
        let is_news =
            outage.as_ref().is_none_or(|outage| mem::discriminant(&outage.last) != mem::discriminant(&fault));
        if is_news {
            tracing::warn!(%fault, "the Kafka cluster is in trouble; retrying until it answers");
        } else {
            tracing::debug!(%fault, "retrying");
        }
        let since = outage.as_ref().map_or_else(Instant::now, |outage| outage.since);
        *outage = Some(Outage { since, last: fault });
    }

    /// Something has worked.
    pub(crate) fn over(&self) {
        if let Some(Outage { since, .. }) = self.0.lock().take() {
            tracing::info!(away = ?since.elapsed(), "the Kafka cluster answers again");
        }
    }

    /// What tells more than that nobody answered, if anything does.
    pub(crate) fn cause(&self) -> Option<ClusterFault> {
        let last = self.0.lock().as_ref()?.last.clone();
        let tells = matches!(
            last,
            ClusterFault::Tls { .. }
                | ClusterFault::Authentication { .. }
                | ClusterFault::Unauthorized { .. }
        );
        tells.then_some(last)
    }
}
