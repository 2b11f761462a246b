//! Reads ahead: takes records through the first half while those before them still wait there, and takes the outcomes in
//! the order of the log. A first half that asks somebody far away can so ask for many records at once.
//!
//! Guarantees: records are dispatched in log order, whatever order the answers come in; at most [`LookAhead`] is held
//! ahead; a partition that is taken away waits for no answer: what is ahead of it is left alone, and read again by whoever
//! gets the partition.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use futures::{
    StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesOrdered,
};
use stages::{
    Events, Stage,
    models::{Delivery, RawRecord},
};
use state::SpilledDelivery;
use tokio::time::sleep;
use tokio_stream::Stream;

use super::{
    fault::LineFault,
    intake::{Ending, Intake, Judged, until_taken},
    settling::{Settlings, finish},
    taken::{Ingested, Taken},
    ticket::Ticket,
};
use crate::stop::Stop;

/// How often it is seen whether the partition of what is ahead has been taken away.
const LOOK: Duration = Duration::from_millis(100);

/// How far records are read ahead of the one whose turn it is. Their bodies are not among those that
/// [`Limits::memory_max`](super::Limits::memory_max) bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookAhead {
    /// Records; less than one counts as one.
    pub records: usize,
    /// Bytes of their bodies; a record that is longer is read alone.
    pub bytes: usize,
}

/// What the first half has made of a record.
enum Routed {
    /// The outcome of each of its events.
    Events(Vec<(RawRecord, Judged)>),
    /// It has none.
    Nothing(RawRecord),
    /// It is no record, but a delivery that came with its partition.
    Restored(Box<SpilledDelivery>),
}

/// The records that are ahead, in log order.
struct Ahead<'s> {
    bounds: LookAhead,
    bytes: usize,
    /// Their tickets, as long as their partition is there, and their lengths.
    tickets: VecDeque<(Option<Ticket>, usize)>,
    routing: FuturesOrdered<BoxFuture<'s, Routed>>,
}

impl<'s> Ahead<'s> {
    fn new(bounds: LookAhead) -> Self {
        Self { bounds, bytes: 0, tickets: VecDeque::new(), routing: FuturesOrdered::new() }
    }

    fn has_room(&self) -> bool {
        self.tickets.is_empty()
            || (self.tickets.len() < self.bounds.records && self.bytes < self.bounds.bytes)
    }

    fn push(&mut self, ticket: Ticket, bytes: usize, routed: BoxFuture<'s, Routed>) {
        self.bytes += bytes;
        self.tickets.push_back((Some(ticket), bytes));
        self.routing.push_back(routed);
    }

    /// The first one, once it is routed; its ticket, unless its partition has been taken away.
    async fn next(&mut self) -> Option<(Option<Ticket>, Routed)> {
        let routed = self.routing.next().await?;
        let (ticket, bytes) = self.tickets.pop_front()?;
        self.bytes -= bytes;
        Some((ticket, routed))
    }

    /// Gives up the tickets of those whose partition has been taken away.
    fn let_go(&mut self) {
        for (ticket, _) in &mut self.tickets {
            drop(ticket.take_if(|ticket| ticket.is_taken_away()));
        }
    }

    /// Waits for `work`, and lets go meanwhile.
    async fn letting_go<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(LOOK) => self.let_go(),
            }
        }
    }
}

impl<First: Stage<In = RawRecord, Out = Vec<Delivery>>> Intake<First> {
    /// Takes records in until they end or the line is to stop, as [`run`](Self::run) does, reading ahead within `bounds`.
    pub(super) async fn run_ahead<S: Stream<Item = Ingested>>(
        self,
        bounds: LookAhead,
        records: S,
        mut stop: Stop,
        end: Stop,
    ) -> Result<(), LineFault> {
        let mut records = std::pin::pin!(records);
        let mut settling = Settlings::new();
        let mut ahead = Ahead::new(bounds);
        let mut ended = false;
        while !(ended && ahead.tickets.is_empty()) {
            tokio::select! {
                biased;
                _ = stop.asked() => break,
                () = self.shared.partitions.nacked() => break,
                Some(settled) = settling.next(), if !settling.is_empty() => finish(settled)?,
                Some((ticket, routed)) = ahead.next(), if !ahead.tickets.is_empty() => {
                    let Some(ticket) = ticket else { continue };
                    let ending = Ending::new(&stop, &end);
                    ahead.letting_go(self.take_routed(routed, ticket, &mut settling, ending)).await?;
                }
                record = records.next(), if !ended && ahead.has_room() => match record {
                    Some(record) => self.begin(record?, &mut ahead),
                    None => ended = true,
                },
                () = sleep(LOOK), if !ahead.tickets.is_empty() => ahead.let_go(),
            }
        }
        drop(ahead);
        self.finish_all(settling, &stop).await
    }

    /// Begins to take a record through the first half.
    fn begin<'s>(&'s self, taken: Taken, ahead: &mut Ahead<'s>) {
        match taken {
            Taken::Restored(delivery, ticket) => {
                let bytes = delivery.event.body.len();
                ahead.push(ticket, bytes, Box::pin(async { Routed::Restored(delivery) }));
            }
            Taken::Record(raw, ticket) => {
                let mut bytes = raw.bytes.len();
                let judge = |raw: RawRecord| async {
                    let judged = self.stages.run(raw.clone()).await;
                    (raw, judged)
                };
                let routed: BoxFuture<'s, Routed> = match self.split.events(raw) {
                    Events::One(raw) => Box::pin(async move { Routed::Events(vec![judge(raw).await]) }),
                    Events::Nothing(raw) => Box::pin(async { Routed::Nothing(raw) }),
                    Events::Several(events) => {
                        // Parts of the record's bytes, or copies with what stands around them.
                        bytes = bytes.max(events.iter().map(|event| event.bytes.len()).sum());
                        Box::pin(async move { Routed::Events(join_all(events.into_iter().map(judge)).await) })
                    }
                };
                ahead.push(ticket, bytes, routed);
            }
        }
    }

    /// Sends what a record has become on its way.
    async fn take_routed(
        &self,
        routed: Routed,
        ticket: Ticket,
        settling: &mut Settlings,
        mut ending: Ending,
    ) -> Result<(), LineFault> {
        let ending = &mut ending;
        let events = match routed {
            Routed::Restored(delivery) => {
                return self.take_restored(*delivery, ticket, settling, ending).await;
            }
            Routed::Nothing(raw) => {
                return until_taken(self.settle(raw, ticket, None, ending), settling).await;
            }
            Routed::Events(events) => events,
        };
        let Some(count) = u32::try_from(events.len()).ok().and_then(NonZeroU32::new) else {
            // There are never none, and never so many; the drop stops the line.
            drop(ticket);
            return Ok(());
        };
        for ((raw, judged), ticket) in events.into_iter().zip(ticket.for_events(count)) {
            until_taken(self.take_judged(raw, judged, ticket, ending), settling).await?;
            if ending.leaves() {
                return Ok(());
            }
        }
        Ok(())
    }
}
