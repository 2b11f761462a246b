//! Runs a whole line: one intake, the shards where the [`Executor`] puts them, one checkpoint behind the watermark.
//!
//! Guarantees: when this returns without a fault, every record read is settled, or on disk, or below nothing the
//! checkpoint has passed; the horizons are removed only if the outcome of everything that was sent is on record. A
//! fault ends it within [`PATIENCE`], whatever still waits for a disk that does not answer.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::MaybeDone, stream::FuturesUnordered};
use stages::{
    Ack, Broker, Stage,
    models::{Delivery, Fault, RawRecord, Receipt},
};
use state::StateFault;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    PerBroker, Settling,
    checkpointer::Checkpointer,
    command::{self, Command},
    executor::Executor,
    fault::LineFault,
    handle::LineHandle,
    ingest::Ingest,
    intake::Intake,
    limits::{Limits, Shared},
    moves::Moves,
    new_broker::NewBroker,
    shard::{Arrival, BrokerQueue, Driver, ShardReport},
};
use crate::stop::{Level, Stop, stop};

/// How long the line waits for its threads after a fault. Each of them ends at once, unless it waits for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a run did, as a whole; each broker's part is in its tally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineReport {
    /// Records read.
    pub records: u64,
    /// Records settled.
    pub settled: u64,
    /// Deliveries that were on the wire when the line was stopped: they may repeat.
    pub abandoned: usize,
    /// Deliveries that wait on disk.
    pub spilled: u64,
}

/// A shard's thread, as the run sees it.
type ShardEnd = (usize, Result<Result<ShardReport, Fault>, oneshot::error::RecvError>);

impl<First, Second> Settling<First, Second>
where
    First: Stage<In = RawRecord, Out = Vec<Delivery>>,
    Second: Stage<In = Delivery, Out = Receipt>,
{
    /// Runs the line over `records` until they end and everything is settled or on disk, or until `stop` says so.
    /// `started` is given a view into the line before the first record is read.
    ///
    /// # Errors
    /// What stopped the line; nothing recorded is lost, and the next run reads the rest again.
    pub async fn run(
        self,
        records: Ingest,
        stop_asked: Stop,
        started: impl FnOnce(LineHandle),
    ) -> Result<LineReport, LineFault> {
        self.run_on(Executor::Threads, records, stop_asked, started).await
    }

    /// As [`run`](Self::run), with the shards on `executor`. On [`Executor::CurrentThread`] the caller's runtime must be a
    /// current-thread one.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_on(
        self,
        executor: Executor,
        records: Ingest,
        mut stop_asked: Stop,
        started: impl FnOnce(LineHandle),
    ) -> Result<LineReport, LineFault> {
        let Ingest { records, mut arriving, partitions } = records;
        let Self { front: PerBroker { split, intake, brokers, limits, look_ahead }, stages, ack } = self;
        let shared = Arc::new(Shared::new(&limits, brokers.len(), partitions.clone()).on(executor));
        let ((stop_reading, stop_intake), (stopper, inner)) = (stop(), stop());
        let plan = Plan {
            stages: Arc::new(stages),
            ack: ack.clone(),
            limits,
            shared: shared.clone(),
            stop: inner.clone(),
        };
        let Started { inboxes, commands, ends: mut shards } = plan.start(&brokers)?;
        let commands: Arc<[_]> = commands.into();
        started(LineHandle { shared: shared.clone(), commands: commands.clone() });
        let (mut checkpoint, ledger_status) =
            (Checkpointer::new(ack.ledger().clone(), &partitions), ack.ledger().status().clone());
        let lost = partitions.clone();
        ack.ledger().on_superseded(move |source| lost.supersede(source));
        let mut moves = Moves::new(&shared, commands, ack.ledger(), limits.hand_over);
        let intake = Intake {
            split,
            stages: intake,
            ack: ack.clone(),
            shared: shared.clone(),
            shards: inboxes,
            limits,
        };
        let mut intake = match look_ahead {
            None => intake.run(records, stop_intake, inner).boxed(),
            Some(bounds) => intake.run_ahead(bounds, records, stop_intake, inner).boxed(),
        };
        let mut handing_over = MaybeDone::Gone;
        let mut run = RunStatus { reading: true, abandoned: 0, fault: None, leave: Instant::now() };
        while run.reading || !shards.is_empty() {
            tokio::select! {
                // In this order, so that a run can be repeated; none of them is ready again and again.
                biased;
                level = stop_asked.changed() => {
                    partitions.stopping();
                    stop_reading.ask(level);
                    match level {
                        Level::Drain => handing_over = MaybeDone::Future(moves.hand_over_all().boxed()),
                        level => stopper.ask(level),
                    }
                }
                // The shards go on until then.
                () = &mut handing_over, if matches!(handing_over, MaybeDone::Future(_)) => stopper.ask(Level::Drain),
                Some(end) = shards.next(), if !shards.is_empty() => run.end_of_shard(end),
                taken = arriving.step(), if run.reading => run.note(taken),
                () = partitions.asked() => run.note(moves.see_to(&mut arriving)),
                moved = moves.step() => run.note(moved),
                followed = checkpoint.step() => run.note(followed),
                fault = ledger_status.failed(), if run.fault.is_none() => run.note(Err(fault.into())),
                read = &mut intake, if run.reading => run.end_of_input(read),
                () = sleep_until(run.leave), if run.fault.is_some() => {
                    tracing::error!(shards = shards.len(), "the line ends without its threads: they do not answer");
                    break;
                }
            }
            if run.fault.is_some() {
                partitions.stopping();
                stop_reading.ask(Level::Now);
                stopper.ask(Level::Now);
            }
        }
        drop(intake);
        let count = partitions.nack_count();
        if let Some(fault) = run.fault {
            return Err(fault);
        }
        if count > 0 {
            return Err(LineFault::Unsettled { count });
        }
        let admitted = shared.admitted();
        tokio::select! {
            biased;
            finished = checkpoint.finish(run.abandoned == 0, &admitted) => {
                partitions.finished(finished?);
            }
            fault = ledger_status.failed() => return Err(fault.into()),
        }
        let spilled = shared.counters.spilled();
        Ok(LineReport {
            records: partitions.issued(),
            settled: partitions.settled(),
            abandoned: run.abandoned,
            spilled,
        })
    }
}

/// How far the run has come.
struct RunStatus {
    reading: bool,
    abandoned: usize,
    fault: Option<LineFault>,
    /// When the threads are waited for no longer, once there is a fault.
    leave: Instant,
}

impl RunStatus {
    fn end_of_input(&mut self, read: Result<(), LineFault>) {
        self.reading = false;
        self.note(read);
    }

    fn end_of_shard(&mut self, (shard, end): ShardEnd) {
        match end {
            Ok(Ok(report)) => self.abandoned += report.abandoned,
            Ok(Err(fault)) => self.note(Err(fault.into())),
            Err(_) => self.note(Err(LineFault::ShardLost { shard })),
        }
    }

    /// Keeps the first fault: what follows is its consequence. That a shard is lost, or the ledger closed, is seen before
    /// the report of why, so any other fault takes that one's place.
    fn note(&mut self, result: Result<(), LineFault>) {
        let Err(fault) = result else { return };
        if self.fault.is_none() {
            self.leave = Instant::now() + PATIENCE;
        }
        if matches!(
            self.fault,
            None | Some(LineFault::ShardLost { .. } | LineFault::State(StateFault::Closed))
        ) {
            self.fault = Some(fault);
        }
    }
}

/// The shards, as the run sees them.
struct Started<End> {
    /// Where deliveries go, by shard.
    inboxes: Vec<mpsc::Sender<Arrival>>,
    /// Where commands go, by shard.
    commands: Vec<mpsc::Sender<Command>>,
    ends: FuturesUnordered<End>,
}

/// What every shard of a run is made of.
struct Plan<Stages> {
    stages: Arc<Stages>,
    ack: Ack,
    limits: Limits,
    shared: Arc<Shared>,
    stop: Stop,
}

impl<Stages: Stage<In = Delivery, Out = Receipt>> Plan<Stages> {
    /// Starts the shards.
    fn start(
        self,
        brokers: &[Arc<Broker>],
    ) -> Result<Started<impl Future<Output = ShardEnd> + use<Stages>>, LineFault> {
        let mut queues = self.queues(brokers)?;
        let mut started =
            Started { inboxes: Vec::new(), commands: Vec::new(), ends: FuturesUnordered::new() };
        for (index, queues) in queues.drain(..).enumerate() {
            // As many as there are permits, so that sending never waits.
            let (inbox, arrivals) = mpsc::channel(self.limits.in_flight_max);
            let (command, commands) = command::commands();
            let (report, end) = oneshot::channel();
            let (stages, ack) = (self.stages.clone(), self.ack.clone());
            let (limits, shared, stop) = (self.limits, self.shared.clone(), self.stop.clone());
            let name = format!("shard-{index}");
            let fault = |error| LineFault::Thread { name: name.clone(), error };
            let executor = shared.executor;
            let body = async move {
                let ended =
                    Driver::new(stages, ack, limits, shared, queues).run(arrivals, commands, stop).await;
                // Nobody waits any more if the run was dropped.
                let _gone = report.send(ended);
            };
            executor.spawn(&name, body.boxed()).map_err(fault)?;
            started.inboxes.push(inbox);
            started.commands.push(command);
            started.ends.push(async move { (index, end.await) });
        }
        Ok(started)
    }

    /// One queue per broker, by shard, with what waits on disk.
    fn queues(&self, brokers: &[Arc<Broker>]) -> Result<Vec<Vec<BrokerQueue>>, LineFault> {
        let store = self.ack.ledger().store();
        let mut usage = store.spill().usage()?;
        let mut queues: Vec<Vec<BrokerQueue>> = (0..self.limits.shards).map(|_| Vec::new()).collect();
        for broker in brokers {
            let usage = usage.remove(&broker.id).unwrap_or_default();
            let new_broker = NewBroker::new(broker.clone(), usage, store)?;
            queues[broker.shard].push(new_broker.into_queue(&self.shared, &self.limits));
        }
        for (broker, usage) in usage {
            tracing::warn!(%broker, deliveries = usage.deliveries, "deliveries wait on disk for a broker the config does not name");
            self.shared.strand(broker, usage);
        }
        Ok(queues)
    }
}
