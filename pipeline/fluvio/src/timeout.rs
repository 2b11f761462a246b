//! A bound for answers of the cluster.

use std::time::Duration;

use tokio::time;

use super::partition::ClusterFault;

/// Waits for an answer of the cluster for at most `timeout`; `what` names it in the fault.
///
/// # Errors
/// [`ClusterFault::Silent`] after `timeout`, or the fault of the answer.
pub async fn within_timeout<T>(
    timeout: Duration,
    what: &'static str,
    answer: impl Future<Output = Result<T, ClusterFault>>,
) -> Result<T, ClusterFault> {
    match time::timeout(timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(ClusterFault::Silent { what, after: timeout }),
    }
}
