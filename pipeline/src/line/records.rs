//! A source's records with their tickets: reads no further than the bound on unsettled records and the horizon on
//! record allow.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream::BoxStream};
use stages::models::RawRecord;
use state::{Horizon, Ledger, Record};

use super::{
    doubt::Doubt,
    fault::LineFault,
    partitions::{Partition, Partitions},
    ticket::Ticket,
};
use crate::source::{Cursor, Source, SourceRecord};

/// A record with the obligation to settle it, or why there are no more.
pub type Taken = Result<(RawRecord, Ticket), LineFault>;

/// A source's records with their tickets, and what the line needs to know of its partitions.
pub struct Records<Stream> {
    pub(super) stream: Stream,
    pub(super) partitions: Partitions,
}

/// The records of `source`, of which there may be `others`: each is a partition, at most `unsettled_max` of whose records
/// are unsettled at a time. Those of one partition keep their order; between partitions each takes its turn.
///
/// # Errors
/// A fault of the state, if what an earlier run may have sent cannot be read.
pub fn records<S: Source>(
    source: S,
    others: Vec<S>,
    ledger: &Ledger,
    unsettled_max: usize,
) -> Result<Records<impl Stream<Item = Taken> + Send + 'static>, LineFault> {
    let names = others.iter().map(Source::name);
    let partitions = Partitions::new(source.name(), names, unsettled_max);
    let sources = std::iter::once(source).chain(others);
    let streams = sources.zip(partitions.iter()).map(|(source, partition)| of_one(source, partition, ledger));
    let stream = futures::stream::select_all(streams.collect::<Result<Vec<_>, _>>()?);
    Ok(Records { stream, partitions })
}

fn of_one<S: Source>(
    source: S,
    partition: &Partition,
    ledger: &Ledger,
) -> Result<BoxStream<'static, Taken>, LineFault> {
    let Partition { source: name, tickets } = partition.clone();
    let doubt = Doubt::of(&name, ledger)?;
    let (ledger, step) = (ledger.clone(), source.horizon_step());
    let promise = Promise { ledger, source: name, step, promised: None };
    let state = (Box::pin(source.into_stream()), tickets, promise, false);
    let stream =
        futures::stream::unfold(state, move |(mut source, tickets, mut promise, ended)| async move {
            if ended {
                return None;
            }
            tickets.room().await;
            let (item, ended) = match source.next().await? {
                Err(fault) => (Err(LineFault::from(fault)), true),
                Ok(SourceRecord { raw, next }) => match promise.cover(&next).await {
                    Err(fault) => (Err(fault), true),
                    Ok(()) => {
                        let may_repeat = doubt.covers(&raw.position, &next);
                        let ticket = tickets.issue(raw.position.clone(), next, may_repeat);
                        (Ok((raw, ticket)), false)
                    }
                },
            };
            Some((item, (source, tickets, promise, ended)))
        });
    Ok(stream.boxed())
}

/// The promise on record of how far the source may have been read.
struct Promise {
    ledger: Ledger,
    source: Arc<str>,
    step: u64,
    promised: Option<Horizon>,
}

impl Promise {
    /// Returns once everything before `next` is covered by what is on record.
    async fn cover(&mut self, next: &Cursor) -> Result<(), LineFault> {
        let reached = Horizon { epoch: next.epoch, offset: next.offset };
        if self.promised.is_some_and(|promised| reached <= promised) {
            return Ok(());
        }
        let promised = Horizon { epoch: next.epoch, offset: next.offset.saturating_add(self.step) };
        let _proof = self.ledger.record(Record::Horizon(self.source.clone(), Some(promised))).await?;
        self.promised = Some(promised);
        Ok(())
    }
}
