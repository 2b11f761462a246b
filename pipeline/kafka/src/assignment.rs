//! One partition for as long as it is this process's: its queue, which ends when the partition is given up, and what is
//! told of it. A partition that comes again has an assignment of its own, so that nothing of the one before reaches it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use topics::PartitionCounts;

use crate::{
    consumer::{Consumer, PartitionQueue, Queued, ReadFrom, Wanted},
    fault::ClusterFault,
    place::Place,
};

/// One partition that is assigned.
pub(crate) struct Assignment<Q> {
    pub(crate) partition: i32,
    pub(crate) counts: Arc<PartitionCounts>,
    pub(crate) place: Place,
    /// None once the partition is given up. Whoever holds the lock knows that it is not.
    queue: Mutex<Option<Q>>,
    wake: Arc<AtomicWaker>,
    /// Where reading began, once that is known.
    began_at: Mutex<Option<u64>>,
    /// The offset that the group is known to have, by its own answer.
    committed: Mutex<Option<u64>>,
}

impl<Q: PartitionQueue> Assignment<Q> {
    /// A partition whose queue is made now, before it is assigned.
    pub(crate) fn new<C: Consumer<Queue = Q>>(
        consumer: &C,
        partition: i32,
        counts: Arc<PartitionCounts>,
        place: Place,
    ) -> Result<Self, ClusterFault> {
        let wake = Arc::new(AtomicWaker::new());
        let waker = Arc::clone(&wake);
        let queue = consumer.queue(partition, move || waker.wake())?;
        let (began_at, committed) = (Mutex::new(place.at), place.at.filter(|_| place.committed));
        let (queue, committed) = (Mutex::new(Some(queue)), Mutex::new(committed));
        Ok(Self { partition, counts, place, queue, wake, began_at, committed })
    }

    /// What the queue holds next; none once the partition is given up.
    pub(crate) fn poll_next(&self, wanted: &Wanted, context: &mut Context<'_>) -> Poll<Option<Queued>> {
        // Registered first: what comes between the look and the wait wakes.
        self.wake.register(context.waker());
        match &mut *self.queue.lock() {
            None => Poll::Ready(None),
            Some(queue) => queue.next(wanted).map_or(Poll::Pending, |queued| Poll::Ready(Some(queued))),
        }
    }

    /// Ends the stream of this partition. The queue is gone when this returns.
    pub(crate) fn end(&self) {
        drop(self.queue.lock().take());
        self.wake.wake();
        self.counts.set_connected(false);
    }

    /// Whether the partition is given up; whoever waits for records is woken by it.
    pub(crate) fn is_ended(&self, context: &mut Context<'_>) -> bool {
        self.wake.register(context.waker());
        self.queue.lock().is_none()
    }

    /// Reads on from `at`, unless the partition is given up meanwhile.
    pub(crate) fn restart<C: Consumer<Queue = Q>>(&self, consumer: &C, at: u64) -> Result<(), ClusterFault> {
        let queue = self.queue.lock();
        if queue.is_some() {
            consumer.unassign(&[self.partition])?;
            consumer.assign(&[(self.partition, ReadFrom::Offset(at))])?;
        }
        Ok(())
    }

    /// Notes where reading began, if only the leader could tell.
    pub(crate) fn began(&self, at: u64) {
        let _known = self.began_at.lock().get_or_insert(at);
    }

    /// The group has taken `offset`.
    pub(crate) fn committed(&self, offset: u64) {
        let mut committed = self.committed.lock();
        *committed = committed.max(Some(offset));
    }

    /// Whether the group is not known to have `offset`, or a later one.
    pub(crate) fn is_news(&self, offset: u64) -> bool {
        self.committed.lock().is_none_or(|committed| committed < offset)
    }

    /// Where reading began, once that is known.
    pub(crate) fn began_at(&self) -> Option<u64> {
        *self.began_at.lock()
    }
}
