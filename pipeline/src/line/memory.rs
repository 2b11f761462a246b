//! The places in memory: each delivery holds one while it is there, and gives it back when it leaves.
//!
//! Guarantees: never more deliveries than places. Some places are only for what is read back from disk: deliveries
//! that wait for room on disk hold places, and room is made only by reading from there.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// One place in so many is kept for reading back: few, because reads take free places of the other kind too.
const READS_SHARE: usize = 8;

/// An arrival that finds memory full waits for one place in so many, at most [`TOGETHER_MAX`], to be free together.
const TOGETHER_SHARE: usize = 16;
/// More at once would save no more wakes worth counting.
const TOGETHER_MAX: usize = 64;
/// How long it waits for them: less than anyone notices, and longer than a busy line takes.
const TOGETHER_WAIT: Duration = Duration::from_millis(2);

/// The places.
#[derive(Debug)]
pub(super) struct Memory {
    for_all: Arc<Semaphore>,
    for_reads: Arc<Semaphore>,
    places: usize,
}

impl Memory {
    /// Memory for `in_flight_max` deliveries; less than two count as two, one of each kind.
    pub(super) fn new(in_flight_max: usize) -> Self {
        let places = in_flight_max.max(2);
        let for_reads = (places / READS_SHARE).max(1);
        Self {
            for_all: Arc::new(Semaphore::new(places - for_reads)),
            for_reads: Arc::new(Semaphore::new(for_reads)),
            places,
        }
    }

    /// Waits for a place for an arrival; in the order of asking. Once there is none, it waits a moment for several to be
    /// free: woken for each one, the intake's thread and a shard's would take turns for every single delivery.
    pub(super) async fn arrival(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        let together = u32::try_from((self.places / TOGETHER_SHARE).min(TOGETHER_MAX)).unwrap_or_default();
        if self.for_all.available_permits() == 0 && together > 1 {
            // Given back at once: what is taken below is one place, whether or not so many came free.
            drop(timeout(TOGETHER_WAIT, self.for_all.acquire_many(together)).await);
        }
        self.for_all.clone().acquire_owned().await
    }

    /// Waits for at least one place for what is read from disk, and takes up to `wanted` if they are free. It never
    /// collects places while it waits: they would be idle, and two that collect can wait for each other for ever.
    pub(super) async fn reads(&self, wanted: usize) -> Result<Vec<OwnedSemaphorePermit>, AcquireError> {
        let mut taken = Vec::with_capacity(wanted);
        for kind in [&self.for_reads, &self.for_all] {
            while taken.len() < wanted
                && let Ok(permit) = kind.clone().try_acquire_owned()
            {
                taken.push(permit);
            }
        }
        if taken.is_empty() {
            taken.push(tokio::select! {
                permit = self.for_reads.clone().acquire_owned() => permit?,
                permit = self.for_all.clone().acquire_owned() => permit?,
            });
        }
        Ok(taken)
    }

    /// How many deliveries are in memory.
    pub(super) fn taken(&self) -> usize {
        let free = self.for_all.available_permits() + self.for_reads.available_permits();
        self.places.saturating_sub(free)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn arrivals_leave_places_for_reads_and_reads_take_what_is_free() {
        let memory = Memory::new(16);
        let mut arrivals = Vec::new();
        while let Some(place) = memory.arrival().now_or_never() {
            arrivals.push(place.unwrap());
        }
        assert_eq!((arrivals.len(), memory.taken()), (14, 14));
        let reads = memory.reads(8).await.unwrap();
        assert_eq!((reads.len(), memory.taken()), (2, 16));
        assert!(memory.reads(8).now_or_never().is_none(), "more in memory than there are places");
        arrivals.truncate(11);
        assert_eq!(memory.reads(8).await.unwrap().len(), 3);
        assert_eq!(memory.taken(), 13);
        drop((arrivals, reads));
        assert_eq!(memory.reads(99).await.unwrap().len(), 16);
    }

    #[tokio::test]
    async fn a_read_that_waits_holds_nothing() {
        let memory = Memory::new(3);
        let (first, second) = (memory.arrival().await.unwrap(), memory.arrival().await.unwrap());
        let read = memory.reads(3).await.unwrap();
        let mut waits = Box::pin(memory.reads(3));
        assert!(futures::poll!(&mut waits).is_pending());
        drop((first, second));
        assert_eq!(waits.await.unwrap().len(), 1);
        assert_eq!((memory.taken(), read.len()), (1, 1));
    }

    #[test]
    fn the_smallest_memory_has_a_place_of_each_kind() {
        for places in [0, 1, 2] {
            let memory = Memory::new(places);
            assert_eq!((memory.for_all.available_permits(), memory.for_reads.available_permits()), (1, 1));
        }
    }
}
