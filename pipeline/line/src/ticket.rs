//! The must-settle ticket: one per record read, split into one share per broker, closed by proofs and by nothing else.
//!
//! Guarantees: a record's place is closed exactly once, when its last share is settled; settling takes a [`Recorded`],
//! so nothing is closed before its verdict is durable; a ticket or share that is dropped unsettled is a nack: its place
//! stays open for ever, the watermark stops below it, and the line stops (unless it is stopping already, or the partition
//! has been taken away: then the record is abandoned, and read again by whoever gets the partition).

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use state::{Horizon, Position, Recorded, UnixMillis};
use tokio::{sync::Notify, time::Instant};

use super::watermark::Watermark;
use crate::source::Cursor;

/// Issues tickets for one partition of the source and keeps its watermark. What is counted, dropped and stopped is the
/// whole run's.
#[derive(Clone, Debug)]
pub struct Tickets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: Mutex<Open>,
    room: Notify,
    /// What [`Open::stage`] says, or how many records are open once the partition is taken away, has changed.
    changed: Notify,
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
    /// The watermark: the place from which to resume; none until it first moves.
    reached: Option<Cursor>,
    /// Whether the watermark has moved since it was last [taken](Tickets::take_moved).
    moved: bool,
    /// Records whose ticket has been neither settled nor dropped.
    held: usize,
    /// Whether someone else may have sent records that are not settled, or not read, yet.
    doubted: bool,
    stage: Stage,
}

/// How far a partition is on its way out of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It is read.
    #[default]
    Read,
    /// It has been taken away: no more tickets are issued, and those dropped unsettled are abandoned.
    Retired,
    /// What is in memory of it goes to disk: nothing of it waits for a place any more.
    Leaving,
    /// Someone else may have it already: nothing of it is to be begun.
    Lost,
    /// Nothing more will be done for it.
    Left,
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
    /// Its place before the watermark; none of a delivery that came with its partition, which holds the watermark no more.
    number: Option<u64>,
    position: Position,
    open_shares: AtomicU32,
    /// Whether one of its shares was dropped unsettled.
    abandoned: AtomicBool,
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
        let (room, changed, event_time) = (Notify::new(), Notify::new(), AtomicU64::new(0));
        Self(Arc::new(Inner { open: Mutex::default(), room, changed, span_max, event_time, run }))
    }

    /// Returns once fewer than `span_max` records lie between the watermark and the newest record, or the partition has
    /// been taken away: then it is false.
    pub async fn room(&self) -> bool {
        loop {
            let room = self.0.room.notified();
            let (span, stage) = {
                let open = self.0.open.lock();
                (open.watermark.span(), open.stage)
            };
            if span < self.0.span_max || stage > Stage::Read {
                return stage == Stage::Read;
            }
            room.await;
        }
    }

    /// Opens a place for the next record of the source; `may_repeat` if an earlier run of which no more is known may
    /// have sent it before. None if the partition has been taken away.
    #[must_use = "a ticket dropped unsettled stops the line"]
    pub fn issue(&self, position: Position, next: Cursor, may_repeat: bool) -> Option<Ticket> {
        let newest = Horizon { epoch: next.epoch, offset: next.offset };
        let number = {
            let mut open = self.0.open.lock();
            if open.stage > Stage::Read {
                return None;
            }
            open.newest = Some(newest);
            open.held += 1;
            open.watermark.open((next, Instant::now()))
        };
        self.0.run.issued.fetch_add(1, Ordering::Relaxed);
        Some(self.ticket(Some(number), position, may_repeat))
    }

    /// A ticket for a delivery that came with the partition: it keeps the partition until it is settled, and moves no
    /// watermark. None if the partition has been taken away.
    #[must_use = "a ticket dropped unsettled stops the line"]
    pub(super) fn restore(&self, position: Position) -> Option<Ticket> {
        {
            let mut open = self.0.open.lock();
            if open.stage > Stage::Read {
                return None;
            }
            open.held += 1;
        }
        Some(self.ticket(None, position, false))
    }

    fn ticket(&self, number: Option<u64>, position: Position, may_repeat: bool) -> Ticket {
        let (open_shares, abandoned) = (AtomicU32::new(1), AtomicBool::new(false));
        let record = Record { tickets: self.0.clone(), number, position, open_shares, abandoned };
        Ticket { share: Share { record: Arc::new(record), settled: false }, may_repeat }
    }

    /// Someone else may have sent records that are not settled, or not read, yet.
    pub(super) fn doubt(&self) {
        self.0.open.lock().doubted = true;
    }

    /// Whether that is so.
    pub(super) fn is_doubted(&self) -> bool {
        self.0.open.lock().doubted
    }

    /// Returns once the partition has been taken away.
    pub(super) async fn taken(&self) {
        self.until(|open| open.stage > Stage::Read).await;
    }

    /// Issues no more tickets: the partition has been taken away. One that is dropped unsettled from now on is abandoned.
    pub(super) fn retire(&self) {
        self.reach(Stage::Retired);
        self.0.room.notify_one();
    }

    /// What is in memory of the partition, which has been taken away, goes to disk now.
    pub(super) fn begin_to_leave(&self) {
        self.reach(Stage::Leaving);
    }

    /// It has been taken away, and someone else may have the partition already.
    pub(super) fn lose(&self) {
        self.reach(Stage::Lost);
        self.0.room.notify_one();
    }

    /// Nothing more will be done for the partition.
    pub(super) fn leave(&self) {
        self.reach(Stage::Left);
    }

    /// Whether the partition has been taken away.
    pub(super) fn is_retired(&self) -> bool {
        self.0.open.lock().stage > Stage::Read
    }

    fn reach(&self, stage: Stage) {
        {
            let mut open = self.0.open.lock();
            open.stage = open.stage.max(stage);
        }
        self.0.changed.notify_waiters();
    }

    /// Returns once the partition has been taken away and none of its records is under way any more.
    pub(super) async fn gone(&self) {
        self.until(|open| open.stage > Stage::Read && open.held == 0).await;
    }

    /// Returns once none of its records is under way any more; to be called when the partition has been taken away, or the
    /// run is stopping.
    pub(super) async fn done(&self) {
        self.until(|open| open.held == 0).await;
    }

    /// Returns once nothing more will be done for the partition.
    pub(super) async fn left(&self) {
        self.until(|open| open.stage == Stage::Left).await;
    }

    async fn until(&self, holds: impl Fn(&Open) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            // Before the look: what changes between the look and the wait wakes, too.
            changed.as_mut().enable();
            if holds(&self.0.open.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Whether these are the same tickets.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The watermark, if it has moved since the last call.
    pub(super) fn take_moved(&self) -> Option<Cursor> {
        let mut open = self.0.open.lock();
        if std::mem::take(&mut open.moved) { open.reached.clone() } else { None }
    }

    /// The watermark: the place from which to resume; none until it first moves.
    #[must_use]
    pub fn watermark(&self) -> Option<Cursor> {
        self.0.open.lock().reached.clone()
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
    /// The share of all of it.
    pub(super) fn whole(&self) -> &Share {
        &self.share
    }

    /// Whether what is in memory of its partition goes to disk by now, or the partition is lost.
    pub(super) fn is_taken_away(&self) -> bool {
        self.share.record.tickets.open.lock().stage >= Stage::Leaving
    }

    /// All of it as one share.
    pub(super) fn into_whole(self) -> Share {
        self.share
    }

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
        let others = self.share.more(count.get() - 1);
        std::iter::once(self.share).chain(others).collect()
    }

    /// The ticket as `count` tickets, one for each of the record's events: the record's place closes once all are settled.
    pub fn for_events(self, count: NonZeroU32) -> Vec<Self> {
        let may_repeat = self.may_repeat;
        self.split(count).into_iter().map(|share| Self { share, may_repeat }).collect()
    }
}

impl Share {
    /// So many more shares of the same record.
    fn more(&self, count: u32) -> Vec<Self> {
        // Relaxed: this share is open, so that nobody closes the record meanwhile.
        self.record.open_shares.fetch_add(count, Ordering::Relaxed);
        (0..count).map(|_| Self { record: self.record.clone(), settled: false }).collect()
    }

    /// Where its record stood.
    #[cfg(test)]
    pub(crate) fn position(&self) -> &Position {
        &self.record.position
    }

    /// Settles this share; the record's place closes with its last one.
    pub fn settle(mut self, proof: Recorded) {
        let _spent = proof;
        self.settled = true;
        let record = &self.record;
        // Release: what this share's delivery did happens before the place closes; Acquire: the closer sees it all.
        if record.open_shares.fetch_sub(1, Ordering::AcqRel) == 1 {
            record.end();
        }
    }

    /// The tickets of its record's partition.
    pub(crate) fn tickets(&self) -> Tickets {
        Tickets(self.record.tickets.clone())
    }

    /// Whether its record came with one of these tickets.
    pub(crate) fn is_of(&self, tickets: &Tickets) -> bool {
        Arc::ptr_eq(&self.record.tickets, &tickets.0)
    }

    /// Returns once what is in memory of its partition goes to disk, or the partition is lost: whether it is.
    pub(super) async fn taken_away(&self) -> bool {
        let tickets = self.tickets();
        tickets.until(|open| open.stage >= Stage::Leaving).await;
        tickets.0.open.lock().stage > Stage::Leaving
    }
}

impl Record {
    /// The last of its shares is settled or dropped.
    fn end(&self) {
        match self.number {
            Some(number) if !self.abandoned.load(Ordering::Relaxed) => self.tickets.close(number),
            _ => self.tickets.let_go(),
        }
    }
}

impl Inner {
    fn close(&self, number: u64) {
        let (has_moved, is_last) = {
            let mut open = self.open.lock();
            let moved = open.watermark.close(number);
            let has_moved = moved.is_some();
            if let Some((place, _)) = moved {
                (open.reached, open.moved) = (Some(place), true);
            }
            (has_moved, open.end_one(&self.run))
        };
        self.run.settled.fetch_add(1, Ordering::Relaxed);
        if has_moved {
            self.room.notify_one();
            self.run.moved.notify_one();
        }
        if is_last {
            self.changed.notify_waiters();
        }
    }

    fn let_go(&self) {
        let is_last = self.open.lock().end_one(&self.run);
        if is_last {
            self.changed.notify_waiters();
        }
    }
}

impl Open {
    /// One record is not under way any more; whether it was the last one, and someone may wait for that.
    fn end_one(&mut self, run: &Run) -> bool {
        self.held = self.held.saturating_sub(1);
        self.held == 0 && (self.stage > Stage::Read || run.stopping.load(Ordering::Relaxed))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let (record, run) = (&self.record, &self.record.tickets.run);
        let retired = record.tickets.open.lock().stage > Stage::Read;
        if retired || run.stopping.load(Ordering::Relaxed) {
            tracing::debug!(position = %record.position, "abandoned: read again by the next run, or the next reader");
        } else {
            run.nacked.fetch_add(1, Ordering::Relaxed);
            tracing::error!(position = %record.position, "dropped unsettled: the line stops below this record");
            run.nack.notify_one();
        }
        record.abandoned.store(true, Ordering::Relaxed);
        if record.open_shares.fetch_sub(1, Ordering::AcqRel) == 1 {
            record.end();
        }
    }
}

#[cfg(test)]
#[path = "ticket_tests.rs"]
mod tests;
