//! The intake: records enter in log order, deliveries leave for their shards in the same order, as far as there are
//! places and bytes in memory. No place, no further record: that is the backpressure.

use std::{num::NonZeroU32, sync::Arc};

use futures::{Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use stages::{
    Ack, Stage,
    models::{Delivery, Exit, Fault, RawRecord, Rejection, Verdict},
};
use state::Recorded;
use tokio::sync::mpsc;

use super::{
    fault::LineFault,
    limits::Shared,
    memory::{Body, Place},
    records::Taken,
    shard::Arrival,
    ticket::Ticket,
};
use crate::stop::Stop;

/// A record's own verdict being recorded: its ticket, and the place it holds meanwhile.
type Settling = (Ticket, Place, Result<Recorded, Fault>);

/// The first half of the line at work.
pub(super) struct Intake<First> {
    pub(super) stages: First,
    pub(super) ack: Ack,
    pub(super) shared: Arc<Shared>,
    pub(super) shards: Vec<mpsc::Sender<Arrival>>,
}

impl<First: Stage<In = RawRecord, Out = Vec<Delivery>>> Intake<First> {
    /// Takes records in until they end or the line is to stop.
    pub(super) async fn run<S>(self, records: S, mut stop: Stop) -> Result<(), LineFault>
    where
        S: Stream<Item = Taken>,
    {
        let mut records = std::pin::pin!(records);
        let mut settling: FuturesUnordered<BoxFuture<'static, Settling>> = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                _ = stop.asked() => break,
                () = self.shared.partitions.nacked() => break,
                Some(settled) = settling.next(), if !settling.is_empty() => finish(settled)?,
                record = records.next() => {
                    let Some(record) = record else { break };
                    let (raw, ticket) = record?;
                    let mut taking = std::pin::pin!(self.take_in(raw, ticket));
                    let taken = loop {
                        tokio::select! {
                            biased;
                            // What was not dispatched of the record is read again by the next run.
                            _ = stop.asked() => break None,
                            // Those being recorded hold places that this record may be waiting for.
                            Some(settled) = settling.next(), if !settling.is_empty() => finish(settled)?,
                            taken = &mut taking => break Some(taken?),
                        }
                    };
                    let Some(taken) = taken else { break };
                    settling.extend(taken);
                }
            }
        }
        while let Some(settled) = settling.next().await {
            finish(settled)?;
        }
        Ok(())
    }

    /// Takes one record through the first half; what comes back is a verdict of its own being recorded.
    async fn take_in(
        &self,
        raw: RawRecord,
        ticket: Ticket,
    ) -> Result<Option<BoxFuture<'static, Settling>>, LineFault> {
        let len = raw.bytes.len();
        match self.stages.run(raw.clone()).await {
            Ok(deliveries) => {
                self.dispatch(deliveries, ticket, len).await?;
                Ok(None)
            }
            Err(Exit::Fault(fault)) => Err(fault.into()),
            Err(Exit::Verdict(Verdict::Rejected(rejection))) => {
                self.settle(raw, ticket, Some(rejection)).await.map(Some)
            }
            // No other verdict is possible before there is a broker; none of them may vanish.
            Err(Exit::Verdict(_)) => self.settle(raw, ticket, None).await.map(Some),
        }
    }

    /// Sends a record's deliveries, which share its body of `len` bytes, to their shards.
    async fn dispatch(&self, deliveries: Vec<Delivery>, ticket: Ticket, len: usize) -> Result<(), LineFault> {
        let may_repeat = ticket.may_repeat();
        if let Some(first) = deliveries.first() {
            ticket.happened(first.event().occurred_at);
        }
        let count = u32::try_from(deliveries.len()).ok().and_then(NonZeroU32::new);
        let Some(count) = count else {
            // `Route` gives `Unrouted` for no broker, and there are never so many; the drop stops the line.
            drop(ticket);
            return Ok(());
        };
        let body = self.body(len).await?;
        for (mut delivery, share) in deliveries.into_iter().zip(ticket.split(count)) {
            delivery.may_repeat = may_repeat;
            let permit = self.place(&body).await?;
            let shard = delivery.broker.shard;
            let arrival = Arrival { delivery, share, permit };
            let sent = match self.shards.get(shard) {
                Some(inbox) => inbox.send(arrival).await.is_ok(),
                None => false,
            };
            if !sent {
                return Err(LineFault::ShardLost { shard });
            }
        }
        Ok(())
    }

    async fn settle(
        &self,
        raw: RawRecord,
        ticket: Ticket,
        rejection: Option<Rejection>,
    ) -> Result<BoxFuture<'static, Settling>, LineFault> {
        let permit = self.place(&self.body(raw.bytes.len()).await?).await?;
        let recorded = self.ack.settle_record(raw, rejection);
        Ok(Box::pin(async move { (ticket, permit, recorded.await) }))
    }

    async fn body(&self, len: usize) -> Result<Body, LineFault> {
        let body = self.shared.held(self.shared.memory.body(len)).await;
        body.map_err(|_| LineFault::State(state::StateFault::Closed))
    }

    async fn place(&self, body: &Body) -> Result<Place, LineFault> {
        let place = self.shared.held(self.shared.memory.arrival()).await;
        Ok(place.map_err(|_| LineFault::State(state::StateFault::Closed))?.holding(body))
    }
}

fn finish((ticket, _permit, recorded): Settling) -> Result<(), LineFault> {
    ticket.settle(recorded?);
    Ok(())
}
