//! A topic as publishing sees it: the seam between what decides and what talks to a cluster. The tests put a scripted
//! topic behind it.

use crate::{produce::Filling, source::ClusterFault};

/// A topic.
pub(super) trait Topic: Send + Sync + 'static {
    /// One of its partitions.
    type Lane: Lane;

    /// How many partitions it has. May hang for ever.
    fn count(&self) -> impl Future<Output = Result<u32, ClusterFault>> + Send;

    /// A partition, not connected yet.
    fn lane(&self, partition: u32) -> Self::Lane;
}

/// A partition that is written to.
pub(super) trait Lane: Send + 'static {
    /// Adds `batch` to the log, once; has a timeout of its own. After a fault the batch may be there all the same.
    fn add(&mut self, batch: &Filling) -> impl Future<Output = Result<(), ClusterFault>> + Send;
}
