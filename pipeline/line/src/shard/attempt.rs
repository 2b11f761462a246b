//! The runs of deliveries through the stages, and the records of their ends, as futures that end in an input for the core.

use std::sync::Arc;

use futures::future::BoxFuture;
use stages::{
    Ack, Settled, Stage,
    models::{Delivery, Exit, Fault, Receipt, RunState, Verdict},
};
use state::Outcome;

use super::step::{AttemptEnd, GivenUp, Input};

/// What something that was begun ends in.
pub(super) type Done = Result<Input, Fault>;

/// Sends a delivery through the stages.
pub(super) fn run<Stages>(stages: Arc<Stages>, queue: usize, delivery: Delivery) -> BoxFuture<'static, Done>
where
    Stages: Stage<In = Delivery, Out = Receipt>,
{
    let (load, run) = (delivery.event().load_id.clone(), delivery.run.clone());
    let waits = delivery.waits();
    Box::pin(async move {
        let end = match stages.run(delivery).await {
            Ok(receipt) => AttemptEnd::Verdict(Ok(receipt)),
            Err(Exit::Verdict(verdict)) => end_of(verdict, waits, &run),
            Err(Exit::Fault(fault)) => return Err(fault),
        };
        Ok(Input::AttemptDone { queue, load, end })
    })
}

/// What a verdict means to the core, with what the run leaves to the next one if there will be one. A delivery that `waits`
/// since before its run, and finds that its event does, is a copy of another one: its own entry would have let it pass.
fn end_of(verdict: Verdict, waits: bool, run: &RunState) -> AttemptEnd {
    match verdict {
        Verdict::Spilled { history, not_before } => {
            AttemptEnd::PutBack { history, not_before, left: run.leave() }
        }
        Verdict::Duplicate { of: Outcome::Spilled } if !waits => {
            AttemptEnd::FoundSpilled { left: run.leave() }
        }
        verdict => AttemptEnd::Verdict(Err(verdict)),
    }
}

/// Sends a delivery that is given up through the stages, which say what it comes to, and puts that on record.
pub(super) fn give_up<Stages>(
    stages: Arc<Stages>,
    ack: &Ack,
    queue: usize,
    delivery: Delivery,
) -> BoxFuture<'static, Done>
where
    Stages: Stage<In = Delivery, Out = Receipt>,
{
    let (ack, kept, seq) = (ack.clone(), delivery.clone(), delivery.seq);
    // Its own earlier event may be on its way to disk: a copy that is looked up before would be taken for the event.
    let flushed = ack.ledger().flushed();
    Box::pin(async move {
        flushed.await.map_err(Fault::State)?;
        let end = match stages.run(delivery).await {
            Ok(receipt) => Ok(receipt),
            Err(Exit::Verdict(verdict)) => Err(verdict),
            Err(Exit::Fault(fault)) => return Err(fault),
        };
        let end = match ack.settle(&kept, end).await? {
            Settled::Recorded(proof) => GivenUp::Recorded(proof),
            Settled::Spilled { history, .. } => GivenUp::PutBack { history, left: kept.run.leave() },
        };
        Ok(Input::GivenUp { queue, seq, end })
    })
}

/// Puts the end of a delivery's run on record; its place in the order of writes is taken here and now.
pub(super) fn record(
    ack: &Ack,
    queue: usize,
    delivery: &Delivery,
    end: Result<Receipt, Verdict>,
) -> BoxFuture<'static, Done> {
    let (load, succeeded) = (delivery.event().load_id.clone(), end.is_ok());
    let settled = ack.settle(delivery, end);
    Box::pin(async move {
        match settled.await? {
            Settled::Recorded(proof) => Ok(Input::Recorded { queue, load, succeeded, proof }),
            // Cannot happen: the core records no delivery that has to wait. The line stops, and nothing is lost.
            Settled::Spilled { .. } => Err(Fault::State(state::StateFault::Closed)),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stages::{
        Dedupe,
        models::{Step, Undeliverable},
    };
    use state::{Clock, CommitOptions, Durability, Ledger, Record, SimulatedDisk, Store, StoreOptions};

    use super::*;
    use crate::testing;

    /// Looks a delivery up, and has no room for one that is new.
    struct Full(Dedupe);

    impl Stage for Full {
        type In = Delivery;
        type Out = Receipt;

        async fn run(&self, delivery: Delivery) -> Step<Receipt> {
            let history = self.0.run(delivery).await?.delivery().history.clone();
            Err(Exit::Verdict(Verdict::Undeliverable { why: Undeliverable::QueueFull, history }))
        }
    }

    /// Finds that each event waits.
    struct Waits;

    impl Stage for Waits {
        type In = Delivery;
        type Out = Receipt;

        async fn run(&self, _: Delivery) -> Step<Receipt> {
            Err(Exit::Verdict(Verdict::Duplicate { of: Outcome::Spilled }))
        }
    }

    #[tokio::test]
    async fn a_copy_that_waits_beside_another_one_is_its_duplicate_and_does_not_run_for_ever() {
        for waits in [true, false] {
            let mut delivery = testing::delivery("a", 0);
            delivery.on_disk = waits;
            let done = run(Arc::new(Waits), 0, delivery).await.unwrap();
            let Input::AttemptDone { end, .. } = done else { panic!("{done:?}") };
            assert_eq!(matches!(end, AttemptEnd::Verdict(Err(Verdict::Duplicate { .. }))), waits, "{end:?}");
            assert_eq!(matches!(end, AttemptEnd::FoundSpilled { .. }), !waits, "{end:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_of_what_is_on_its_way_to_disk_is_a_duplicate_and_no_dead_letter() {
        let (durability, clock) = (Durability::Process, Clock::System);
        let options = StoreOptions { durability, dedupe_window: 3_600_000, cache: 1 << 20, clock };
        let store = Store::open_simulated(&SimulatedDisk::new(), options).unwrap();
        let commits = CommitOptions { commit_max: 64, linger: Duration::from_millis(5), inbox_max: 64 };
        let (ledger, work) = Ledger::start_inline(store, commits).unwrap();
        drop(tokio::spawn(work));
        let ack = Ack::new(&ledger, Clock::System);
        let (event, mut copy) = (testing::delivery("a", 0), testing::delivery("a", 1));
        let written = ledger.record(Record::Spilled(Box::new(event.into_spilled(0))));
        copy.given_up = true;
        let end = give_up(Arc::new(Full(Dedupe::new(&ledger))), &ack, 0, copy).await.unwrap();
        assert!(matches!(end, Input::GivenUp { end: GivenUp::Recorded(_), .. }));
        let _proof = written.await.unwrap();
        assert_eq!(ledger.store().dead_letters().iter().count(), 0);
    }
}
