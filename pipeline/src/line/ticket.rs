//! The must-settle ticket: one per record read, split into one share per broker, closed by proofs and by nothing else.
//!
//! Guarantees: a record's place is closed exactly once, when its last share is settled; settling takes a [`Recorded`],
//! so nothing is closed before its verdict is durable; a ticket or share that is dropped unsettled is a nack: its place
//! stays open for ever, the watermark stops below it, and the line stops (unless it is stopping already).

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use state::{Horizon, Position, Recorded, UnixMillis};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::watermark::Watermark;
use crate::source::Cursor;

/// Issues tickets for one partition of the source and keeps its watermark. What is counted, dropped and stopped is the
/// whole run's.
#[derive(Clone, Debug)]
pub struct Tickets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: Mutex<Open>,
    reached: watch::Sender<Option<Cursor>>,
    room: Notify,
    span_max: usize,
    /// When the newest event happened, by its own account, in milliseconds since 1970; zero before the first.
    event_time: AtomicU64,
    run: Arc<Run>,
}

/// What all partitions of a run share.
#[derive(Debug, Default)]
struct Run {
    issued: AtomicU64,
    settled: AtomicU64,
    nacked: AtomicU64,
    nack: Notify,
    moved: Notify,
    stopping: AtomicBool,
}

/// The records between the watermark and the newest.
#[derive(Debug, Default)]
struct Open {
    /// With each record's end, when it was read.
    watermark: Watermark<(Cursor, Instant)>,
    newest: Option<Horizon>,
}

/// The obligation to settle one record.
#[derive(Debug)]
#[must_use = "a ticket dropped unsettled stops the line"]
pub struct Ticket {
    share: Share,
    may_repeat: bool,
}

/// The part of a ticket that one broker's delivery settles.
#[derive(Debug)]
#[must_use = "a share dropped unsettled stops the line"]
pub struct Share {
    record: Arc<Record>,
    settled: bool,
}

#[derive(Debug)]
struct Record {
    tickets: Arc<Inner>,
    number: u64,
    position: Position,
    open_shares: AtomicU32,
}

impl Tickets {
    /// Tickets over at most `span_max` records between the oldest unsettled and the newest.
    #[must_use]
    pub fn new(span_max: usize) -> Self {
        Self::of(span_max, Arc::default())
    }

    /// Tickets for one more partition of the same run, over as many records.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self::of(self.0.span_max, self.0.run.clone())
    }

    fn of(span_max: usize, run: Arc<Run>) -> Self {
        let reached = watch::Sender::new(None);
        let (open, room, event_time) = (Mutex::default(), Notify::new(), AtomicU64::new(0));
        Self(Arc::new(Inner { open, reached, room, span_max, event_time, run }))
    }

    /// Returns once fewer than `span_max` records lie between the watermark and the newest record.
    pub async fn room(&self) {
        loop {
            let room = self.0.room.notified();
            if !self.is_full() {
                return;
            }
            room.await;
        }
    }

    /// Opens a place for the next record of the source; `may_repeat` if an earlier run of which no more is known may
    /// have sent it before.
    pub fn issue(&self, position: Position, next: Cursor, may_repeat: bool) -> Ticket {
        let newest = Horizon { epoch: next.epoch, offset: next.offset };
        let number = {
            let mut open = self.0.open.lock();
            open.newest = Some(newest);
            open.watermark.open((next, Instant::now()))
        };
        self.0.run.issued.fetch_add(1, Ordering::Relaxed);
        let record = Record { tickets: self.0.clone(), number, position, open_shares: AtomicU32::new(1) };
        Ticket { share: Share { record: Arc::new(record), settled: false }, may_repeat }
    }

    /// Follows the watermark: the place from which to resume; none until it first moves.
    #[must_use]
    pub fn watermark(&self) -> watch::Receiver<Option<Cursor>> {
        self.0.reached.subscribe()
    }

    /// From now on an unsettled ticket is an abandoned one: its place stays open, quietly.
    pub fn stopping(&self) {
        self.0.run.stopping.store(true, Ordering::Relaxed);
    }

    /// Returns once the watermark of any partition of the run has moved since the last call. May be dropped at any time.
    pub(super) async fn moved(&self) {
        self.0.run.moved.notified().await;
    }

    /// Returns once a ticket has been dropped unsettled.
    pub async fn nacked(&self) {
        loop {
            let nack = self.0.run.nack.notified();
            if self.nack_count() > 0 {
                return;
            }
            nack.await;
        }
    }

    /// Records between the watermark and the newest.
    #[must_use]
    pub fn span(&self) -> usize {
        self.0.open.lock().watermark.span()
    }

    /// The place behind the newest record that was read; none before the first.
    #[must_use]
    pub fn newest(&self) -> Option<Horizon> {
        self.0.open.lock().newest
    }

    /// When the oldest unsettled record was read; none if all are settled.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.0.open.lock().watermark.oldest().map(|(_, at)| *at)
    }

    /// When the event that was read last happened, by its own account; none before the first.
    #[must_use]
    pub fn event_time(&self) -> Option<UnixMillis> {
        Some(self.0.event_time.load(Ordering::Relaxed)).filter(|time| *time > 0)
    }

    /// Whether so many records are unsettled that no more may be read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.span() >= self.0.span_max
    }

    /// Records read so far, from all partitions of the run.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.0.run.issued.load(Ordering::Relaxed)
    }

    /// Records settled so far, of all partitions of the run.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.0.run.settled.load(Ordering::Relaxed)
    }

    /// Tickets and shares dropped unsettled although the line was not stopping.
    #[must_use]
    pub fn nack_count(&self) -> u64 {
        self.0.run.nacked.load(Ordering::Relaxed)
    }
}

impl Ticket {
    /// Whether an earlier run of which no more is known may have sent this record's deliveries already.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    /// Notes when the record's event happened, by its own account.
    pub fn happened(&self, at: UnixMillis) {
        self.share.record.tickets.event_time.store(at, Ordering::Relaxed);
    }

    /// Settles the whole record with the proof that its one verdict is durable.
    pub fn settle(self, proof: Recorded) {
        self.share.settle(proof);
    }

    /// The ticket as `count` shares, each of which must be settled.
    pub fn split(self, count: NonZeroU32) -> Vec<Share> {
        let record = self.share.record.clone();
        record.open_shares.store(count.get(), Ordering::Relaxed);
        let others = (1..count.get()).map(|_| Share { record: record.clone(), settled: false });
        std::iter::once(self.share).chain(others).collect()
    }
}

impl Share {
    /// Settles this share; the record's place closes with its last one.
    pub fn settle(mut self, proof: Recorded) {
        let _spent = proof;
        self.settled = true;
        let record = &self.record;
        // Release: what this share's delivery did happens before the place closes; Acquire: the closer sees it all.
        if record.open_shares.fetch_sub(1, Ordering::AcqRel) == 1 {
            record.tickets.close(record.number);
        }
    }
}

impl Inner {
    fn close(&self, number: u64) {
        let moved = {
            let mut open = self.open.lock();
            let moved = open.watermark.close(number);
            if let Some((place, _)) = &moved {
                // Under the lock, so that the watermark is never seen to go back.
                self.reached.send_replace(Some(place.clone()));
            }
            moved
        };
        self.run.settled.fetch_add(1, Ordering::Relaxed);
        if moved.is_some() {
            self.room.notify_one();
            self.run.moved.notify_one();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let tickets = &self.record.tickets.run;
        if tickets.stopping.load(Ordering::Relaxed) {
            tracing::debug!(position = %self.record.position, "abandoned: read again by the next run");
        } else {
            tickets.nacked.fetch_add(1, Ordering::Relaxed);
            tracing::error!(position = %self.record.position, "dropped unsettled: the line stops below this record");
            tickets.nack.notify_one();
        }
    }
}

#[cfg(test)]
#[path = "ticket_tests.rs"]
mod tests;
