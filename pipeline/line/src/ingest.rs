//! Takes records from a source and issues their tickets: reads no further than the bound on unsettled records and the horizon on
//! record allow.
//!
//! Partitions come one after the other, at the beginning or at any time. Their records are merged into one stream: those of
//! one keep their order, between them each takes its turn.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    stream::{self, BoxStream, SelectAll},
    task::AtomicWaker,
};
use parking_lot::Mutex;
use state::{Horizon, Ledger, Record};
use tokio::task::coop::unconstrained;
use tokio_stream::{Stream, StreamExt};

use super::{
    doubt::Doubt,
    fault::LineFault,
    partitions::Partitions,
    restoring::restored,
    taken::{Ingested, Taken},
    ticket::Tickets,
};
use crate::source::{Cursor, RestoredStream, SourceFault, SourcePartition, SourceRecord};

/// A source's records with their tickets, and what the line needs to know of its partitions.
pub struct Ingest {
    pub(super) records: Records,
    pub(super) arriving: Arriving,
    pub(super) partitions: Partitions,
}

/// The records of a source, whose partitions are those that `partitions` gives, at the beginning or at any time; at most
/// `unsettled_max` records of each are unsettled at a time. Those that are there at once are taken in before the first
/// record is read, in their order. A partition's stream ends before the partition is taken away from the line; the whole
/// ends with `partitions` and all of their streams. A fault is the last item.
///
/// # Errors
/// A fault of `partitions`, two of the same name, or a fault of the state: if what an earlier run may have sent cannot be
/// read.
pub fn ingest<P, S, F>(partitions: P, ledger: &Ledger, unsettled_max: usize) -> Result<Ingest, LineFault>
where
    P: Stream<Item = Result<SourcePartition<S>, F>> + Send + 'static,
    S: Stream<Item = Result<SourceRecord, F>> + Send + 'static,
    F: Into<SourceFault> + Send + 'static,
{
    let inlet = Arc::new(Inlet::default());
    let records = Records { merged: SelectAll::new(), inlet: inlet.clone() };
    let candidates = partitions.map(|partition| match partition {
        Ok(partition) => Ok(Candidate::new(partition)),
        Err(fault) => Err(LineFault::Source(fault.into())),
    });
    let (candidates, partitions) = (Some(Box::pin(candidates) as _), Partitions::new(unsettled_max));
    let mut arriving = Arriving { candidates, partitions: partitions.clone(), ledger: ledger.clone(), inlet };
    arriving.take_those_there()?;
    Ok(Ingest { records, arriving, partitions })
}

/// The records of all partitions, merged.
pub(super) struct Records {
    // Not `tokio_stream::StreamMap`: it begins each look at a random partition, so no run could be repeated, and asks the
    // partitions in turn until one has a record, where this asks those that have been woken. That is not for speed: see
    // "How partitions are merged" in docs/decisions.md.
    merged: SelectAll<BoxStream<'static, Ingested>>,
    inlet: Arc<Inlet>,
}

/// Where the streams of partitions that have come wait to be merged: as many as there are partitions, at most.
#[derive(Default)]
struct Inlet {
    /// Whether there is anything new, so that the usual look costs no lock.
    changed: AtomicBool,
    state: Mutex<InletState>,
    wake: AtomicWaker,
}

#[derive(Default)]
struct InletState {
    streams: Vec<BoxStream<'static, Ingested>>,
    /// Whether no more will come.
    ended: bool,
}

impl Inlet {
    fn change(&self, change: impl FnOnce(&mut InletState)) {
        change(&mut self.state.lock());
        self.changed.store(true, Ordering::Release);
        self.wake.wake();
    }
}

impl Stream for Records {
    type Item = Ingested;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Ingested>> {
        let this = &mut *self;
        loop {
            if this.inlet.changed.load(Ordering::Acquire) {
                this.inlet.changed.store(false, Ordering::Relaxed);
                let streams = std::mem::take(&mut this.inlet.state.lock().streams);
                this.merged.extend(streams);
            }
            if let Poll::Ready(Some(item)) = Pin::new(&mut this.merged).poll_next(cx) {
                return Poll::Ready(Some(item));
            }
            // Nothing is there: whoever brings a partition has to wake.
            this.inlet.wake.register(cx.waker());
            if this.inlet.changed.load(Ordering::Acquire) {
                continue;
            }
            let is_over = this.merged.is_empty() && this.inlet.state.lock().ended;
            return if is_over { Poll::Ready(None) } else { Poll::Pending };
        }
    }
}

/// A partition that has come, whatever its stream is made of.
struct Candidate {
    name: Arc<str>,
    read: Box<dyn FnOnce(Tickets, Doubt, Promise) -> BoxStream<'static, Ingested> + Send>,
    step: u64,
    restored: Option<RestoredStream>,
}

impl Candidate {
    fn new<S, F>(partition: SourcePartition<S>) -> Self
    where
        S: Stream<Item = Result<SourceRecord, F>> + Send + 'static,
        F: Into<SourceFault> + Send + 'static,
    {
        let SourcePartition { name, horizon_step, records, restored } = partition;
        let read = move |tickets, doubt, promise| {
            Box::pin(read(records, tickets, doubt, promise)) as BoxStream<'static, Ingested>
        };
        Self { name, read: Box::new(read), step: horizon_step, restored }
    }
}

/// The partitions that are still to come.
pub(super) struct Arriving {
    /// None once they have ended.
    candidates: Option<BoxStream<'static, Result<Candidate, LineFault>>>,
    partitions: Partitions,
    ledger: Ledger,
    inlet: Arc<Inlet>,
}

impl Arriving {
    /// Takes in the next partition once it comes; waits for ever once they have ended. May be dropped at any time.
    pub(super) async fn step(&mut self) -> Result<(), LineFault> {
        let Some(candidates) = &mut self.candidates else { return std::future::pending().await };
        let next = candidates.next().await;
        self.take_in(next)
    }

    /// Takes in those that are there already.
    pub(super) fn take_those_there(&mut self) -> Result<(), LineFault> {
        loop {
            let Some(candidates) = &mut self.candidates else { return Ok(()) };
            let mut look = || unconstrained(candidates.next()).now_or_never();
            // Asked twice: some streams give way to others once in a while, although they have more.
            let Some(next) = look().or_else(look) else { return Ok(()) };
            self.take_in(next)?;
        }
    }

    fn take_in(&mut self, next: Option<Result<Candidate, LineFault>>) -> Result<(), LineFault> {
        let Some(candidate) = next else {
            self.candidates = None;
            self.inlet.change(|inlet| inlet.ended = true);
            return Ok(());
        };
        let Candidate { name, read, step, restored: from } = candidate?;
        let doubt = Doubt::of(&name, &self.ledger)?;
        let Some(partition) = self.partitions.take_in(&name)? else { return Ok(()) };
        let (source, tickets) = (partition.source.clone(), partition.tickets.clone());
        let promise = Promise { ledger: self.ledger.clone(), source, step, promised: None, least: None };
        let stream = match from {
            None => read(tickets, doubt, promise),
            Some(from) => {
                let (ledger, until) = (self.ledger.clone(), tickets.clone());
                let restored = restored(from, partition, self.partitions.clone(), ledger.clone());
                // What may have been sent is known only once that has been restored.
                let records = async move {
                    match Doubt::of(&name, &ledger) {
                        Ok(doubt) => {
                            // Its log knows one horizon, which must cover what others may have sent.
                            let promise = Promise { least: doubt.horizon(), ..promise };
                            read(tickets, doubt, promise)
                        }
                        Err(fault) => Box::pin(stream::iter([Err(fault.into())])),
                    }
                };
                // Its log may say that it is somebody else's before its source does.
                let taken = async move { until.taken().await };
                let all = restored.chain(records.flatten_stream());
                Box::pin(futures::StreamExt::take_until(all, Box::pin(taken)))
            }
        };
        self.inlet.change(|inlet| inlet.streams.push(stream));
        Ok(())
    }
}

/// The records of one partition, with their tickets.
fn read<S, F>(
    records: S,
    tickets: Tickets,
    doubt: Doubt,
    promise: Promise,
) -> impl Stream<Item = Ingested> + Send + 'static
where
    S: Stream<Item = Result<SourceRecord, F>> + Send + 'static,
    F: Into<SourceFault> + Send + 'static,
{
    let state = (Box::pin(records), tickets, promise, false);
    stream::unfold(state, move |(mut records, tickets, mut promise, ended)| async move {
        if ended {
            return None;
        }
        // Once the partition has been taken away, what its stream still holds is nobody's.
        if !tickets.room().await {
            return None;
        }
        let (item, ended) = match records.next().await? {
            Err(fault) => (Err(LineFault::Source(fault.into())), true),
            Ok(SourceRecord { raw, next }) => match promise.cover(&next).await {
                Err(fault) => (Err(fault), true),
                Ok(()) => {
                    let may_repeat = doubt.covers(&raw.position, &next);
                    let ticket = tickets.issue(raw.position.clone(), next, may_repeat)?;
                    (Ok(Taken::Record(raw, ticket)), false)
                }
            },
        };
        Some((item, (records, tickets, promise, ended)))
    })
}

/// The promise on record of how far the source may have been read.
struct Promise {
    ledger: Ledger,
    source: Arc<str>,
    step: u64,
    promised: Option<Horizon>,
    /// What is promised in any case.
    least: Option<Horizon>,
}

impl Promise {
    /// Returns once everything before `next` is covered by what is on record.
    async fn cover(&mut self, next: &Cursor) -> Result<(), LineFault> {
        let reached = Horizon { epoch: next.epoch, offset: next.offset };
        if self.promised.is_some_and(|promised| reached <= promised) {
            return Ok(());
        }
        let promised = Horizon { epoch: next.epoch, offset: next.offset.saturating_add(self.step) };
        let promised = self.least.map_or(promised, |least| least.max(promised));
        let _proof = self.ledger.record(Record::Horizon(self.source.clone(), Some(promised))).await?;
        self.promised = Some(promised);
        Ok(())
    }
}
