//! The intake: takes records in log order and sends their deliveries to the shards in the same order, as far as memory
//! has places and bytes. No place, no further record: that is the backpressure. A record that waits for one when its
//! partition is taken away waits no longer: it goes on to disk, or is dropped if the partition is lost.
//!
//! Guarantees: a record of which one delivery was sent is sent whole, also when the line is to stop meanwhile. What was sent
//! of it may be delivered, or wait on this disk, and whoever reads the record again would send that a second time.

use std::{num::NonZeroU32, sync::Arc};

use futures::StreamExt;
use stages::{
    Ack, Events, Split, Stage,
    models::{Delivery, Exit, RawRecord, Rejection, Step, Verdict},
};
use state::{SpilledDelivery, StateFault};
use tokio::{
    sync::{AcquireError, mpsc},
    time::timeout,
};
use tokio_stream::Stream;

use super::{
    checkpointer::LEAVE_MAX,
    fault::LineFault,
    in_flight_permits::{BodyPermit, Permit},
    known,
    limits::{Limits, Shared},
    settling::{Begun, Settlings, finish},
    shard::Arrival,
    taken::{Ingested, Taken},
    ticket::{Share, Ticket},
};
use crate::stop::{Level, Stop};

/// What the stages of the first half make of an event.
pub(super) type Judged = Step<Vec<Delivery>>;

/// When the intake is to end.
pub(super) struct Ending {
    /// Takes nothing more in. The shards go on, and give places back.
    stop: Stop,
    /// The shards are to end.
    end: Stop,
    /// Whether anything of the record in hand was sent.
    begun: bool,
}

impl Ending {
    /// For the next record: the intake stops with `stop`, the shards with `end`.
    pub(super) fn new(stop: &Stop, end: &Stop) -> Self {
        Self { stop: stop.clone(), end: end.clone(), begun: false }
    }

    /// Returns once the record in hand may be left alone, to be read again by whoever is next.
    async fn may_leave(&mut self) {
        if self.begun {
            std::future::pending::<()>().await;
        } else {
            self.stop.asked().await;
        }
    }

    /// Returns once what is in hand waits for nothing any more.
    async fn is_due(&mut self) {
        let wish = if self.begun { &mut self.end } else { &mut self.stop };
        wish.asked().await;
    }

    /// Whether the record in hand is left alone.
    pub(super) fn leaves(&self) -> bool {
        !self.begun && self.stop.level() > Level::Run
    }
}

/// The first half of the line at work.
pub(super) struct Intake<First> {
    pub(super) split: Split,
    pub(super) stages: First,
    pub(super) ack: Ack,
    pub(super) shared: Arc<Shared>,
    pub(super) shards: Vec<mpsc::Sender<Arrival>>,
    pub(super) limits: Limits,
}

impl<First: Stage<In = RawRecord, Out = Vec<Delivery>>> Intake<First> {
    /// Takes records in until they end or the line is to `stop`. The shards go on until they are to `end`.
    pub(super) async fn run<S>(self, records: S, mut stop: Stop, end: Stop) -> Result<(), LineFault>
    where
        S: Stream<Item = Ingested>,
    {
        let mut records = std::pin::pin!(records);
        let mut settling = Settlings::new();
        loop {
            tokio::select! {
                biased;
                _ = stop.asked() => break,
                () = self.shared.partitions.nacked() => break,
                Some(settled) = settling.next(), if !settling.is_empty() => finish(settled)?,
                record = records.next() => {
                    let Some(record) = record else { break };
                    self.take(record?, &mut settling, Ending::new(&stop, &end)).await?;
                }
            }
        }
        self.finish_all(settling, &stop).await
    }

    /// Records what is being settled. A log of partition states that is away does not hold up a stop for ever: what it has
    /// not taken is read again.
    pub(super) async fn finish_all(&self, mut settling: Settlings, stop: &Stop) -> Result<(), LineFault> {
        let all = async {
            while let Some(settled) = settling.next().await {
                finish(settled)?;
            }
            Ok(())
        };
        if stop.level() > Level::Run && self.ack.ledger().follows() {
            return timeout(LEAVE_MAX, all).await.unwrap_or(Ok(()));
        }
        all.await
    }

    async fn take(
        &self,
        taken: Taken,
        settling: &mut Settlings,
        mut ending: Ending,
    ) -> Result<(), LineFault> {
        match taken {
            Taken::Record(raw, ticket) => self.take_in_each(raw, ticket, settling, &mut ending).await,
            Taken::Restored(delivery, ticket) => {
                self.take_restored(*delivery, ticket, settling, &mut ending).await
            }
        }
    }

    /// Takes in a delivery that came with its partition.
    pub(super) async fn take_restored(
        &self,
        delivery: SpilledDelivery,
        ticket: Ticket,
        settling: &mut Settlings,
        ending: &mut Ending,
    ) -> Result<(), LineFault> {
        let taking = async {
            tokio::select! {
                biased;
                taken = self.take_back(delivery, ticket) => taken?,
                // It waits in the log of its partition's state still.
                () = ending.may_leave() => {}
            }
            Ok(Begun::new())
        };
        until_taken(taking, settling).await
    }

    /// Takes a record's events through the first half, one after the other. A record of which nothing has been sent when the
    /// line is to stop is left alone: it is read again.
    async fn take_in_each(
        &self,
        raw: RawRecord,
        ticket: Ticket,
        settling: &mut Settlings,
        ending: &mut Ending,
    ) -> Result<(), LineFault> {
        let events = match self.split.events(raw) {
            Events::One(raw) => return until_taken(self.take_in(raw, ticket, ending), settling).await,
            Events::Nothing(raw) => {
                return until_taken(self.settle(raw, ticket, None, ending), settling).await;
            }
            Events::Several(events) => events,
        };
        let Some(count) = u32::try_from(events.len()).ok().and_then(NonZeroU32::new) else {
            // There are never none, and never so many; the drop stops the line.
            drop(ticket);
            return Ok(());
        };
        for (raw, ticket) in events.into_iter().zip(ticket.for_events(count)) {
            until_taken(self.take_in(raw, ticket, ending), settling).await?;
            if ending.leaves() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes one record through the first half; what comes back is a verdict of its own being recorded.
    async fn take_in(&self, raw: RawRecord, ticket: Ticket, ending: &mut Ending) -> Result<Begun, LineFault> {
        let judged = tokio::select! {
            biased;
            judged = self.stages.run(raw.clone()) => judged,
            () = ending.may_leave() => return Ok(Begun::new()),
        };
        self.take_judged(raw, judged, ticket, ending).await
    }

    /// Sends what the first half has made of an event on its way; what comes back is a verdict of its own being recorded.
    pub(super) async fn take_judged(
        &self,
        raw: RawRecord,
        judged: Judged,
        ticket: Ticket,
        ending: &mut Ending,
    ) -> Result<Begun, LineFault> {
        match judged {
            Ok(deliveries) => self.dispatch(deliveries, ticket, raw.bytes.len(), ending).await,
            Err(Exit::Fault(fault)) => Err(fault.into()),
            Err(Exit::Verdict(Verdict::Rejected(rejection))) => {
                self.settle(raw, ticket, Some(*rejection), ending).await
            }
            // No other verdict is possible before there is a broker; none of them may vanish.
            Err(Exit::Verdict(_)) => self.settle(raw, ticket, None, ending).await,
        }
    }

    /// Sends a record's deliveries, which share its body of `len` bytes, to their shards.
    async fn dispatch(
        &self,
        deliveries: Vec<Delivery>,
        ticket: Ticket,
        len: usize,
        ending: &mut Ending,
    ) -> Result<Begun, LineFault> {
        let may_repeat = ticket.may_repeat();
        if let Some(first) = deliveries.first() {
            ticket.happened(first.event().occurred_at);
        }
        let count = u32::try_from(deliveries.len()).ok().and_then(NonZeroU32::new);
        let Some(count) = count else {
            // `Route` gives `Unrouted` for no broker, and there are never so many; the drop stops the line.
            drop(ticket);
            return Ok(Begun::new());
        };
        let Some((body, first)) = self.room(len, ticket.whole(), ending).await? else {
            return Ok(Begun::new());
        };
        let (mut first, mut known) = (Some(first), Vec::new());
        for (mut delivery, share) in deliveries.into_iter().zip(ticket.split(count)) {
            if let Some(of) = known::outcome(self.ack.ledger(), &delivery)? {
                known.push((delivery, of, share));
                continue;
            }
            delivery.may_repeat = may_repeat;
            let place = match first.take() {
                Some(place) => Some(place),
                None => self.place_by_then(body.as_ref(), &share, ending).await?,
            };
            // What is left of a record whose partition is lost is abandoned.
            let Some(permit) = place else { return Ok(Begun::new()) };
            ending.begun = true;
            match self.send(Arrival { delivery, share, permit }).await {
                // The end of one that was to stop at once; the others' is told by whatever has ended it.
                Err(LineFault::ShardLost { .. }) if ending.end.level() > Level::Run => {
                    return Ok(Begun::new());
                }
                sent => sent?,
            }
        }
        let Some((.., last)) = known.last() else { return Ok(Begun::new()) };
        let place = match first.take() {
            Some(place) => Some(place),
            None => self.place_by_then(body.as_ref(), last, ending).await?,
        };
        let Some(permit) = place else { return Ok(Begun::new()) };
        ending.begun = true;
        Ok(known::settle(self.ack.clone(), known, permit).into_iter().collect())
    }

    pub(super) async fn send(&self, arrival: Arrival) -> Result<(), LineFault> {
        let shard = arrival.delivery.broker.shard;
        let sent = match self.shards.get(shard) {
            Some(inbox) => inbox.send(arrival).await.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(LineFault::ShardLost { shard }) }
    }

    pub(super) async fn settle(
        &self,
        raw: RawRecord,
        ticket: Ticket,
        rejection: Option<Rejection>,
        ending: &mut Ending,
    ) -> Result<Begun, LineFault> {
        let Some((_, permit)) = self.room(raw.bytes.len(), ticket.whole(), ending).await? else {
            return Ok(Begun::new());
        };
        ending.begun = true;
        let recorded = self.ack.settle_record(raw, rejection);
        Ok(vec![Box::pin(async move { (ticket.into_whole(), permit, recorded.await) })])
    }

    /// Waits for the bytes of a body and the first place for it; none if the record is left alone, or its partition is lost.
    async fn room(
        &self,
        len: usize,
        share: &Share,
        ending: &mut Ending,
    ) -> Result<Option<(Option<BodyPermit>, Permit)>, LineFault> {
        let body = tokio::select! {
            biased;
            body = self.body(len, share) => body?,
            () = ending.is_due() => None,
        };
        if ending.leaves() && body.is_none() {
            return Ok(None);
        }
        let place = self.place_by_then(body.as_ref(), share, ending).await?;
        Ok(place.map(|place| (body, place)))
    }

    /// Waits for a place until the intake is to end: then one beyond the bounds if the record was begun, and none if not.
    async fn place_by_then(
        &self,
        body: Option<&BodyPermit>,
        share: &Share,
        ending: &mut Ending,
    ) -> Result<Option<Permit>, LineFault> {
        tokio::select! {
            biased;
            place = self.place(body, share) => return place,
            () = ending.is_due() => {}
        }
        if ending.leaves() {
            return Ok(None);
        }
        Ok(Some(self.shared.permits.leaving().await.map_err(closed)?))
    }

    /// Waits for the bytes of a body; none if the partition of `share` is taken away meanwhile.
    pub(super) async fn body(&self, len: usize, share: &Share) -> Result<Option<BodyPermit>, LineFault> {
        tokio::select! {
            biased;
            body = self.shared.held(self.shared.permits.body(len)) => Ok(Some(body.map_err(closed)?)),
            _ = share.taken_away() => Ok(None),
        }
    }

    /// Waits for a place in memory, or for one beyond its bounds if the partition of `share` is taken away meanwhile; none
    /// if that is lost.
    pub(super) async fn place(
        &self,
        body: Option<&BodyPermit>,
        share: &Share,
    ) -> Result<Option<Permit>, LineFault> {
        if let Some(body) = body {
            tokio::select! {
                biased;
                place = self.shared.held(self.shared.permits.arrival()) => {
                    return Ok(Some(place.map_err(closed)?.holding(body)));
                }
                _ = share.taken_away() => {}
            }
        }
        let is_lost = share.taken_away().await;
        Ok(if is_lost { None } else { Some(self.shared.permits.leaving().await.map_err(closed)?) })
    }
}

/// Never happens: the permits are there as long as the line.
fn closed(_: AcquireError) -> LineFault {
    LineFault::State(StateFault::Closed)
}

/// Waits for `taking`, and records meanwhile what is being settled.
pub(super) async fn until_taken(
    taking: impl Future<Output = Result<Begun, LineFault>>,
    settling: &mut Settlings,
) -> Result<(), LineFault> {
    let mut taking = std::pin::pin!(taking);
    loop {
        tokio::select! {
            biased;
            // Those being recorded hold places that this one may be waiting for.
            Some(settled) = settling.next(), if !settling.is_empty() => finish(settled)?,
            taken = &mut taking => {
                settling.extend(taken?);
                return Ok(());
            }
        }
    }
}
