//! Reads one partition of a state topic, by number and without a group.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    consumer::{Consumer, PartitionQueue, Queued, ReadFrom, Wanted},
    fault::ClusterFault,
};

/// A partition that is read until it is [ended](Self::end). A clone is the same.
pub(crate) struct Reader<C: Consumer>(Arc<Inside<C>>);

struct Inside<C: Consumer> {
    consumer: Arc<C>,
    partition: i32,
    /// None once it is ended.
    queue: Mutex<Option<C::Queue>>,
    wake: Arc<Notify>,
}

impl<C: Consumer> Clone for Reader<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Consumer> Reader<C> {
    /// Reads `partition`. The reader before it must have been ended.
    pub(crate) fn open(consumer: &Arc<C>, partition: i32, from: ReadFrom) -> Result<Self, ClusterFault> {
        let wake = Arc::new(Notify::new());
        let waker = Arc::clone(&wake);
        let queue = Mutex::new(Some(consumer.queue(partition, move || waker.notify_one())?));
        consumer.assign(&[(partition, from)])?;
        Ok(Self(Arc::new(Inside { consumer: Arc::clone(consumer), partition, queue, wake })))
    }

    /// What comes next; none once it is ended.
    pub(crate) async fn next(&self) -> Option<Queued> {
        loop {
            // One permit is kept: what comes between the look and the wait wakes.
            let woken = self.0.wake.notified();
            let next = self.0.queue.lock().as_mut()?.next(&Wanted::WHOLE);
            if next.is_some() {
                return next;
            }
            woken.await;
        }
    }

    /// Reads on from another place.
    pub(crate) fn restart(&self, from: ReadFrom) -> Result<(), ClusterFault> {
        let queue = self.0.queue.lock();
        if queue.is_some() {
            self.0.consumer.unassign(&[self.0.partition])?;
            self.0.consumer.assign(&[(self.0.partition, from)])?;
        }
        Ok(())
    }

    /// Ends it. The queue is gone when this returns.
    pub(crate) fn end(&self) {
        if self.0.queue.lock().take().is_some()
            && let Err(fault) = self.0.consumer.unassign(&[self.0.partition])
        {
            tracing::debug!(%fault, "the state partition was not read any more");
        }
        self.0.wake.notify_one();
    }
}
