//! Records on their way to a cluster: how many there are, how many the cluster has taken, and whether it has refused one.
//! The first refusal stays.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

use crate::ClusterFault;

/// What has become of the records that were sent under this name.
#[derive(Debug, Default)]
pub struct Deliveries {
    waiting: AtomicU64,
    taken: AtomicU64,
    fault: OnceLock<ClusterFault>,
    changed: Notify,
}

impl Deliveries {
    /// Records the cluster has taken: as many replicas as the topic asks for have them.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// Records that were sent and of which nothing is known yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Why a record was refused, if one was.
    #[must_use]
    pub fn fault(&self) -> Option<&ClusterFault> {
        self.fault.get()
    }

    /// Waits until nothing is on its way.
    ///
    /// # Errors
    /// The first refusal, as soon as there is one.
    pub async fn settled(&self) -> Result<(), ClusterFault> {
        loop {
            let changed = self.changed.notified();
            match self.fault() {
                Some(fault) => return Err(fault.clone()),
                None if self.waiting() == 0 => return Ok(()),
                None => changed.await,
            }
        }
    }

    /// Waits until a record is refused.
    pub async fn refused(&self) -> ClusterFault {
        loop {
            let changed = self.changed.notified();
            match self.fault() {
                Some(fault) => return fault.clone(),
                None => changed.await,
            }
        }
    }

    /// One more is on its way.
    pub(crate) fn begin(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
    }

    /// One of them is no longer: it was not sent at all.
    pub(crate) fn withdraw(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// One of them has been taken or refused.
    pub(crate) fn end(&self, outcome: Result<(), ClusterFault>) {
        let news = match outcome {
            Ok(()) => {
                self.taken.fetch_add(1, Ordering::AcqRel);
                false
            }
            Err(fault) => self.fault.set(fault).is_ok(),
        };
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1 || news {
            self.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn they_are_settled_when_the_last_is_taken_or_one_is_refused() {
        let deliveries = Deliveries::default();
        deliveries.settled().await.unwrap();
        (0..3).for_each(|_| deliveries.begin());
        deliveries.end(Ok(()));
        deliveries.withdraw();
        assert_eq!((deliveries.taken(), deliveries.waiting()), (1, 1));
        assert!(
            deliveries.settled().now_or_never().is_none() && deliveries.refused().now_or_never().is_none()
        );
        deliveries.end(Ok(()));
        deliveries.settled().await.unwrap();

        (0..2).for_each(|_| deliveries.begin());
        let fault = ClusterFault::Refused { what: "a record", detail: "too long".to_owned() };
        deliveries.end(Err(fault.clone()));
        deliveries.end(Err(ClusterFault::NoTopic { topic: "second".to_owned() }));
        assert_eq!((deliveries.settled().await, deliveries.refused().await), (Err(fault.clone()), fault));
    }
}
