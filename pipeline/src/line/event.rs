//! What a shard waits for, and the two halves of a delivery's way that it waits for apart: on the wire, and onto the
//! record.

use std::sync::Arc;

use futures::future::BoxFuture;
use stages::{
    Ack, Settled, Stage,
    models::{Delivery, Exit, Fault, Receipt, Verdict},
};
use state::{Recorded, SpillSeq};

use super::{command::Replaying, load::Loaded, write::Write};

/// Something a shard has been waiting for; `slot` says whose it is, where it is one broker's.
pub(super) enum Event {
    /// A load's delivery has gone through the stages. From here on it no longer counts as being on the wire.
    Ran { slot: usize, load: Arc<str>, ended: Result<Result<Receipt, Verdict>, Fault> },
    /// Its end is on record, or it has to wait on disk.
    Carried { slot: usize, load: Arc<str>, end: Result<Settled, Fault>, succeeded: bool },
    /// One that found no room on disk has been given up.
    GivenUp { slot: usize, seq: SpillSeq, end: Result<Settled, Fault> },
    /// Deliveries have been written to disk.
    Written { slot: usize, write: Write, proofs: Result<Vec<Recorded>, Fault> },
    /// Dead letters' deliveries have been written to disk.
    Replayed { replaying: Replaying, proofs: Result<Vec<Recorded>, Fault> },
    /// Deliveries have been read from disk.
    Loaded { slot: usize, generation: u64, read: Result<Loaded, Fault> },
}

/// Sends a delivery through the stages.
pub(super) fn run<Stages>(stages: Arc<Stages>, slot: usize, delivery: Delivery) -> BoxFuture<'static, Event>
where
    Stages: Stage<In = Delivery, Out = Receipt>,
{
    let load = delivery.event().load_id.clone();
    Box::pin(async move { Event::Ran { slot, load, ended: through(&*stages, delivery).await } })
}

/// The way through the stages.
async fn through<Stages>(stages: &Stages, delivery: Delivery) -> Result<Result<Receipt, Verdict>, Fault>
where
    Stages: Stage<In = Delivery, Out = Receipt>,
{
    match stages.run(delivery).await {
        Ok(receipt) => Ok(Ok(receipt)),
        Err(Exit::Verdict(verdict)) => Ok(Err(verdict)),
        Err(Exit::Fault(fault)) => Err(fault),
    }
}

/// Sends a delivery that is given up through the stages, which say what it comes to, and puts that on record.
pub(super) fn give_up<Stages>(
    stages: Arc<Stages>,
    ack: &Ack,
    slot: usize,
    delivery: Delivery,
) -> BoxFuture<'static, Event>
where
    Stages: Stage<In = Delivery, Out = Receipt>,
{
    let (ack, kept, seq) = (ack.clone(), delivery.clone(), delivery.seq);
    Box::pin(async move {
        let end = match through(&*stages, delivery).await {
            Ok(ended) => ack.settle(&kept, ended).await,
            Err(fault) => Err(fault),
        };
        Event::GivenUp { slot, seq, end }
    })
}

/// Puts the end of the run of `load`'s delivery on record; its place in the order of writes is taken here and now.
pub(super) fn settle(
    ack: &Ack,
    slot: usize,
    load: Arc<str>,
    delivery: &Delivery,
    ended: Result<Receipt, Verdict>,
) -> BoxFuture<'static, Event> {
    let succeeded = ended.is_ok();
    let settled = ack.settle(delivery, ended);
    Box::pin(async move { Event::Carried { slot, load, end: settled.await, succeeded } })
}
