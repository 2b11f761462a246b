//! Permits for what is in memory: each delivery holds a place while it is there, and each body its bytes, and gives them
//! back at its end.
//!
//! Guarantees: never more deliveries than places, never more bytes of bodies than `memory_max`, the one body excepted
//! that is larger than what may be taken at all: it goes alone. A part of both is only for what is read back from disk:
//! deliveries that wait for room on disk hold places, and room is made only by reading from there. Whoever needs both
//! takes bytes first and waits for places holding them, never the other way round, so that no two wait for each other.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// One place in so many is kept for reading back: few, because reads take free places of the other kind too. Of the bytes
/// it is the same share.
pub const READS_SHARE: usize = 8;

/// An arrival that finds memory full waits for one place in so many, at most [`TOGETHER_MAX`], to be free together.
const TOGETHER_SHARE: usize = 16;
/// More at once would save no more wakes worth counting.
const TOGETHER_MAX: usize = 64;
/// How long it waits for them: less than anyone notices, and longer than a busy line takes.
const TOGETHER_WAIT: Duration = Duration::from_millis(2);

/// How many deliveries of partitions that are leaving may be beyond all bounds at a time, each until it is on disk. They
/// come from one record at a time, so they have one body.
const LEAVING_MAX: usize = 16;

/// Bytes are counted in units of so many, rounded up: what a delivery takes beside its body is about as much.
const UNIT: usize = 1 << 10;
/// The most one read from disk takes at once, in bytes: enough to make the read worth its cost.
const READ_BYTES_MAX: usize = 4 << 20;
/// One read takes no more than one part in so many of the bytes for reads, so that several brokers can be read at once.
const READ_SHARE: usize = 4;

/// The places and the bytes.
#[derive(Debug)]
pub(super) struct InFlightPermits {
    places: Pool,
    bytes: Pool,
    leaving: Arc<Semaphore>,
}

/// Some of a thing for everyone, and some of it for reads alone.
#[derive(Debug)]
struct Pool {
    for_all: Arc<Semaphore>,
    for_reads: Arc<Semaphore>,
    total: usize,
    reads_total: usize,
}

/// The bytes that a body holds in memory. Those who share the body share them: they are given back with the last of it.
#[derive(Clone, Debug)]
pub(super) struct BodyPermit {
    _bytes: Arc<OwnedSemaphorePermit>,
}

/// What a delivery holds of memory.
#[derive(Debug)]
pub(super) struct Permit {
    _place: OwnedSemaphorePermit,
    _body: Option<BodyPermit>,
    /// Whether it is beyond the bounds.
    is_beyond: bool,
}

/// Bytes for what a read will bring; what is not taken out of it is given back.
#[derive(Debug)]
pub(super) struct ReadBudget {
    permit: OwnedSemaphorePermit,
    /// The most units a read can get.
    most: usize,
}

impl InFlightPermits {
    /// InFlightPermits for `in_flight_max` deliveries, less than two count as two, one of each kind; and for `memory_max` bytes of
    /// bodies.
    pub(super) fn new(in_flight_max: usize, memory_max: u64) -> Self {
        let units = usize::try_from(memory_max).unwrap_or(usize::MAX) / UNIT;
        // A body's share is asked for as a `u32`.
        let (places, bytes) = (Pool::new(in_flight_max), Pool::new(units.min(u32::MAX as usize)));
        Self { places, bytes, leaving: Arc::new(Semaphore::new(LEAVING_MAX)) }
    }

    /// Waits until a body of `len` bytes has room; in the order of asking.
    pub(super) async fn body(&self, len: usize) -> Result<BodyPermit, AcquireError> {
        let all = self.bytes.total - self.bytes.reads_total;
        let permit = self.bytes.for_all.clone().acquire_many_owned(units(len, all)).await?;
        Ok(BodyPermit { _bytes: Arc::new(permit) })
    }

    /// Waits for a place for an arrival; in the order of asking. Once there is none, it waits a moment for several to be
    /// free: woken for each one, the intake's thread and a shard's would take turns for every single delivery.
    pub(super) async fn arrival(&self) -> Result<Permit, AcquireError> {
        let for_all = &self.places.for_all;
        let together = u32::try_from((self.places.total / TOGETHER_SHARE).min(TOGETHER_MAX));
        let together = together.unwrap_or_default();
        if for_all.available_permits() == 0 && together > 1 {
            // Given back at once: what is taken below is one place, whether or not so many came free.
            drop(timeout(TOGETHER_WAIT, for_all.acquire_many(together)).await);
        }
        Ok(Permit::within(for_all.clone().acquire_owned().await?))
    }

    /// Waits for a place for a delivery of a partition, or of a line, that is leaving, which goes to disk at once: beyond the
    /// bounds of places and bytes, so that it waits for nobody else's. There are [`LEAVING_MAX`] of them.
    pub(super) async fn leaving(&self) -> Result<Permit, AcquireError> {
        let place = self.leaving.clone().acquire_owned().await?;
        Ok(Permit { is_beyond: true, ..Permit::within(place) })
    }

    /// Waits for at least one place for what is read from disk, and takes up to `wanted` if they are free. It never
    /// collects places while it waits: they would be idle, and two that collect can wait for each other for ever.
    pub(super) async fn reads(&self, wanted: usize) -> Result<Vec<Permit>, AcquireError> {
        let Pool { for_all, for_reads, .. } = &self.places;
        let place = Permit::within;
        let mut taken = Vec::with_capacity(wanted);
        for kind in [for_reads, for_all] {
            while taken.len() < wanted
                && let Ok(permit) = kind.clone().try_acquire_owned()
            {
                taken.push(place(permit));
            }
        }
        if taken.is_empty() {
            taken.push(place(tokio::select! {
                biased;
                permit = for_reads.clone().acquire_owned() => permit?,
                permit = for_all.clone().acquire_owned() => permit?,
            }));
        }
        Ok(taken)
    }

    /// Waits for `least` bytes for what is read from disk, and takes more if they are free: those kept for reads, or
    /// those of all.
    pub(super) async fn room(&self, least: usize) -> Result<ReadBudget, AcquireError> {
        let Pool { for_all, for_reads, reads_total, .. } = &self.bytes;
        let least = units(least, *reads_total);
        let most = (*reads_total / READ_SHARE).min(READ_BYTES_MAX / UNIT).max(least as usize);
        for kind in [for_reads, for_all] {
            let free = u32::try_from(kind.available_permits().min(most)).unwrap_or(u32::MAX);
            if free >= least
                && let Ok(permit) = kind.clone().try_acquire_many_owned(free)
            {
                return Ok(ReadBudget { permit, most: *reads_total });
            }
        }
        let permit = tokio::select! {
            biased;
            permit = for_reads.clone().acquire_many_owned(least) => permit?,
            permit = for_all.clone().acquire_many_owned(least) => permit?,
        };
        Ok(ReadBudget { permit, most: *reads_total })
    }

    /// How many deliveries are in memory.
    pub(super) fn taken(&self) -> usize {
        self.places.taken()
    }

    /// The bytes of bodies in memory, in whole units.
    pub(super) fn bytes(&self) -> u64 {
        (self.bytes.taken() * UNIT) as u64
    }
}

impl Pool {
    fn new(total: usize) -> Self {
        let total = total.max(2);
        let reads_total = (total / READS_SHARE).max(1);
        Self {
            for_all: Arc::new(Semaphore::new(total - reads_total)),
            for_reads: Arc::new(Semaphore::new(reads_total)),
            total,
            reads_total,
        }
    }

    fn taken(&self) -> usize {
        let free = self.for_all.available_permits() + self.for_reads.available_permits();
        self.total.saturating_sub(free)
    }
}

impl Permit {
    fn within(place: OwnedSemaphorePermit) -> Self {
        Self { _place: place, _body: None, is_beyond: false }
    }

    /// Whether it is beyond the bounds: its delivery is not to be sent from memory.
    pub(super) fn is_beyond(&self) -> bool {
        self.is_beyond
    }

    /// The same, with its part in `body`.
    pub(super) fn holding(self, body: &BodyPermit) -> Self {
        Self { _body: Some(body.clone()), ..self }
    }
}

/// For tests that have places of their own, whose bodies take no room.
#[cfg(test)]
impl From<OwnedSemaphorePermit> for Permit {
    fn from(place: OwnedSemaphorePermit) -> Self {
        Self::within(place)
    }
}

impl ReadBudget {
    /// How many bytes it has left.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.permit.num_permits() * UNIT
    }

    /// Takes the bytes of a body of `len` out of it; none if they are not there. A body that is larger than whatever a
    /// read can get takes all of that.
    pub(super) fn take(&mut self, len: usize) -> Option<BodyPermit> {
        let taken = self.permit.split(units(len, self.most) as usize)?;
        Some(BodyPermit { _bytes: Arc::new(taken) })
    }
}

/// What a body of `len` bytes counts, at most `most`: one that is larger than that goes alone.
fn units(len: usize, most: usize) -> u32 {
    u32::try_from((len / UNIT + 1).min(most)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "in_flight_permits_tests.rs"]
mod tests;
