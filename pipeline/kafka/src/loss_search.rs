//! Finds out what is missing when a broker says that a place is not in the log: asks what the log holds until somebody
//! answers.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use topics::Backoff;

use crate::{assignment::Assignment, consumer::Consumer, fault::ClusterFault, loss::Loss};

/// Asks a cluster.
pub(crate) struct LossSearch<C> {
    consumer: Arc<C>,
    backoff_min: Duration,
    backoff_max: Duration,
}

impl<C: Consumer> LossSearch<C> {
    /// Asks by `consumer`, with pauses between these.
    pub(crate) fn new(consumer: Arc<C>, backoff_min: Duration, backoff_max: Duration) -> Self {
        Self { consumer, backoff_min, backoff_max }
    }

    /// What is missing if `at` is to be read next; none if it is there.
    pub(crate) fn again(
        &self,
        assignment: &Assignment<C::Queue>,
        at: u64,
    ) -> impl Future<Output = Option<Loss>> + Send + use<C> {
        let (consumer, partition) = (Arc::clone(&self.consumer), assignment.partition);
        let counts = Arc::clone(&assignment.counts);
        let mut backoff = Backoff::new(self.backoff_min, self.backoff_max);
        async move {
            loop {
                // A log that holds the place by now is read again, and not at once.
                sleep(backoff.pause()).await;
                match consumer.bounds(partition).await {
                    Ok(bounds) => {
                        counts.ends_at(bounds.end);
                        return Loss::of(at, bounds);
                    }
                    Err(fault) => counts.lost(&fault),
                }
            }
        }
    }

    /// Reads `assignment` on from `at`.
    pub(crate) fn restart(&self, assignment: &Assignment<C::Queue>, at: u64) -> Result<(), ClusterFault> {
        assignment.restart(&*self.consumer, at)
    }
}
