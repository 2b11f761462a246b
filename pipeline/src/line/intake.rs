//! The intake: records enter in log order, deliveries leave for their shards in the same order, as far as there are
//! permits. No permit, no further record: that is the backpressure.

use std::{num::NonZeroU32, sync::Arc};

use futures::{Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use stages::{
    Ack, Stage,
    models::{Delivery, Exit, Fault, RawRecord, Rejection, Verdict},
};
use state::Recorded;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{fault::LineFault, limits::Shared, records::Taken, shard::Arrival, ticket::Ticket};
use crate::stop::Stop;

/// A record's own verdict being recorded: its ticket, and the permit it holds meanwhile.
type Settling = (Ticket, OwnedSemaphorePermit, Result<Recorded, Fault>);

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
        match self.stages.run(raw.clone()).await {
            Ok(deliveries) => {
                self.dispatch(deliveries, ticket).await?;
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

    async fn dispatch(&self, deliveries: Vec<Delivery>, ticket: Ticket) -> Result<(), LineFault> {
        let may_repeat = ticket.may_repeat();
        let count = u32::try_from(deliveries.len()).ok().and_then(NonZeroU32::new);
        let Some(count) = count else {
            // `Route` gives `Unrouted` for no broker, and there are never so many; the drop stops the line.
            drop(ticket);
            return Ok(());
        };
        for (mut delivery, share) in deliveries.into_iter().zip(ticket.split(count)) {
            delivery.may_repeat = may_repeat;
            let permit = self.permit().await?;
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
        let permit = self.permit().await?;
        let recorded = self.ack.settle_record(raw, rejection);
        Ok(Box::pin(async move { (ticket, permit, recorded.await) }))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, LineFault> {
        let permit = self.shared.held(self.shared.memory.arrival()).await;
        permit.map_err(|_| LineFault::State(state::StateFault::Closed))
    }
}

fn finish((ticket, _permit, recorded): Settling) -> Result<(), LineFault> {
    ticket.settle(recorded?);
    Ok(())
}
