//! The stream of one partition's records, in rising order, until the partition is given up or records are missing. A
//! queue that is not polled is filled to its bound and no further.
//!
//! Offsets have gaps (transactions, compaction), so that only what rises is asked for. The first record may be the last
//! settled one, read once more to be compared.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, Stream, future::BoxFuture};
use line::{Cursor, SourceRecord};
use stages::models::RawRecord;
use state::{Clock, Position, TraceParent};
use topics::{Losses, Mark, RecordMark};

use crate::{
    assignment::Assignment,
    consumer::{Consumer, LogRecord, Queued, Wanted},
    fault::KafkaFault,
    headers::TRACE_PARENT,
    loss::Loss,
    loss_search::LossSearch,
    options::OnLoss,
    value::{Value, ValueForm},
};

/// How partitions are read.
#[derive(Clone, Debug)]
pub(crate) struct ReadOptions {
    pub(crate) topic: Arc<str>,
    pub(crate) form: ValueForm,
    pub(crate) wanted: Wanted,
    pub(crate) on_loss: OnLoss,
}

/// A partition at work.
pub(crate) struct PartitionReader<C: Consumer> {
    assignment: Arc<Assignment<C::Queue>>,
    options: ReadOptions,
    mark: Mark,
    /// The last settled record, to be compared with the one that comes first.
    last: Option<RecordMark>,
    /// The first offset that has not been given.
    next: u64,
    clock: Clock,
    search: LossSearch<C>,
    /// What was lost, over all partitions.
    losses: Arc<Losses>,
    /// What is found out about a place that is not in the log.
    searching: Option<BoxFuture<'static, Option<Loss>>>,
    /// It is read no further.
    halted: bool,
}

impl<C: Consumer> PartitionReader<C> {
    /// Reads `assignment` from its place on.
    pub(crate) fn new(
        assignment: Arc<Assignment<C::Queue>>,
        options: ReadOptions,
        search: LossSearch<C>,
        losses: Arc<Losses>,
        clock: Clock,
    ) -> Self {
        let place = assignment.place;
        let number = assignment.counts.partition();
        Self {
            mark: Mark::new(&options.topic, number),
            last: place.last,
            next: place.at.unwrap_or(0),
            assignment,
            options,
            clock,
            search,
            losses,
            searching: None,
            halted: false,
        }
    }

    /// The record for the line, if it is one that has not been given.
    fn judge(&mut self, record: LogRecord) -> Option<SourceRecord> {
        let offset = record.offset();
        if let Some(settled) = self.last.take()
            && offset == settled.offset
            && record.mark != settled
        {
            let loss = Loss::OtherLog { settled, found: record.mark };
            self.note(&loss);
            self.halt(&loss);
            return None;
        }
        if offset < self.next {
            return None;
        }
        self.next = offset.saturating_add(1);
        self.assignment.began(offset);
        self.assignment.counts.took(self.next, record.at());
        Some(self.record(record))
    }

    fn record(&self, record: LogRecord) -> SourceRecord {
        let (offset, mark) = (record.offset(), self.mark.behind(record.mark));
        let traceparent = record.headers.text(TRACE_PARENT).and_then(TraceParent::parse).map(Box::new);
        let id = self.options.wanted.id_header.as_deref().and_then(|name| record.headers.text(name));
        let id = id.map(Box::from);
        let Value { bytes, full_len, unreadable } = self.options.form.read(record);
        SourceRecord {
            raw: RawRecord {
                position: Position::new(Arc::clone(self.assignment.counts.source()), 0, offset),
                bytes,
                full_len,
                read_at: self.clock.monotonic(),
                unreadable: unreadable.map(Box::new),
                id,
                traceparent,
            },
            next: Cursor { epoch: 0, offset: self.next, mark: mark.encode() },
        }
    }

    /// What is to be done about a place that is not in the log, or was not when the cluster was asked.
    fn found(&mut self, loss: Option<Loss>) {
        if let Some(loss) = &loss {
            self.note(loss);
        }
        let at = match loss {
            None => self.next,
            Some(Loss::Removed { first, last }) if self.options.on_loss == OnLoss::Continue => {
                let (source, counts) = (self.assignment.counts.source(), &self.assignment.counts);
                counts.lose(last - first + 1);
                tracing::error!(%source, first, last, "records were removed from the log before they were read; reading goes on without them");
                last + 1
            }
            Some(loss) => return self.halt(&loss),
        };
        (self.next, self.last) = (at, None);
        if let Err(fault) = self.search.restart(&self.assignment, at) {
            self.assignment.counts.lost(&fault);
            self.searching = Some(self.search.again(&self.assignment, at).boxed());
        }
    }

    fn note(&self, loss: &Loss) {
        self.losses.add(self.assignment.counts.source(), self.clock.now(), loss.phrase());
    }

    fn halt(&mut self, loss: &Loss) {
        let text = loss.text(&self.options.topic, self.assignment.partition);
        tracing::error!(source = %self.assignment.counts.source(), "{text}");
        self.assignment.counts.halt(&text);
        self.halted = true;
    }
}

impl<C: Consumer> Stream for PartitionReader<C> {
    type Item = Result<SourceRecord, KafkaFault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.halted {
                // The others are read on; this one ends when it is given up.
                return if this.assignment.is_ended(context) { Poll::Ready(None) } else { Poll::Pending };
            }
            if let Some(searching) = &mut this.searching {
                if this.assignment.is_ended(context) {
                    return Poll::Ready(None);
                }
                let loss = std::task::ready!(searching.as_mut().poll(context));
                this.searching = None;
                this.found(loss);
                continue;
            }
            match std::task::ready!(this.assignment.poll_next(&this.options.wanted, context)) {
                None => return Poll::Ready(None),
                Some(Queued::Record(record)) => {
                    if let Some(record) = this.judge(record) {
                        return Poll::Ready(Some(Ok(record)));
                    }
                }
                Some(Queued::End) => this.assignment.counts.all_given(),
                Some(Queued::OutOfRange) => {
                    this.searching = Some(this.search.again(&this.assignment, this.next).boxed());
                }
                Some(Queued::Trouble(fault)) => this.assignment.counts.lost(&fault),
            }
        }
    }
}
