//! Runs a whole line: one intake, one thread per shard, one checkpoint behind the watermark.
//!
//! Guarantees: when this returns without a fault, every record read is settled, or on disk, or below nothing the
//! checkpoint has passed; the horizons are removed only if the outcome of everything that was sent is on record. A
//! fault ends it within [`PATIENCE`], whatever still waits for a disk that does not answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use futures::{Stream, StreamExt, stream::FuturesUnordered};
use stages::{
    Ack, Stage,
    models::{Broker, Delivery, Fault, RawRecord, Receipt},
};
use state::{SpillUsage, StateFault};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    PerBroker, Settling,
    admit::Newcomer,
    command::{self, Command},
    fault::LineFault,
    follow::Follow,
    intake::Intake,
    limits::{Limits, Shared},
    partitions::{Partition, Partitions},
    records::{Records, Taken},
    shard::{Arrival, Shard, ShardReport},
    slot::Slot,
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

/// A view into a running line, cheap to ask.
#[derive(Clone, Debug)]
pub struct Watch {
    pub(super) shared: Arc<Shared>,
    commands: Arc<[mpsc::Sender<Command>]>,
}

impl Watch {
    /// Where a shard is told what to do.
    pub(super) fn commands(&self, shard: usize) -> Option<&mpsc::Sender<Command>> {
        self.commands.get(shard)
    }

    /// Deliveries in memory.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.memory.taken()
    }

    /// Bytes of bodies in memory: each counts once, in whole KiB, however many brokers get it.
    #[must_use]
    pub fn in_flight_bytes(&self) -> u64 {
        self.shared.memory.bytes()
    }

    /// Deliveries on disk.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        self.shared.spill_deliveries.load(Ordering::Relaxed)
    }

    /// Whether backpressure holds the intake.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.shared.is_pressed()
    }

    /// Whether backpressure holds this partition: it alone, or all of them.
    #[must_use]
    pub fn holds(&self, partition: &Partition) -> bool {
        self.shared.holds(partition)
    }

    /// What waits on disk for brokers that the config has not named in this run.
    #[must_use]
    pub fn stranded(&self) -> BTreeMap<Arc<str>, SpillUsage> {
        self.shared.stranded()
    }

    /// Records read, settled and dropped, and each partition's place.
    #[must_use]
    pub fn partitions(&self) -> &Partitions {
        &self.shared.partitions
    }
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
    pub async fn run<S>(
        self,
        records: Records<S>,
        mut stop_asked: Stop,
        started: impl FnOnce(Watch),
    ) -> Result<LineReport, LineFault>
    where
        S: Stream<Item = Taken>,
    {
        let Records { stream, partitions } = records;
        let Self { front: PerBroker { intake, brokers, limits }, stages, ack } = self;
        let shared = Arc::new(Shared::new(&limits, brokers.len(), partitions.clone()));
        let (stopper, inner) = stop();
        let plan = Plan {
            stages: Arc::new(stages),
            ack: ack.clone(),
            limits,
            shared: shared.clone(),
            stop: inner.clone(),
        };
        let Started { inboxes, commands, ends: mut shards } = plan.start(&brokers)?;
        started(Watch { shared: shared.clone(), commands: commands.into() });
        let (mut checkpoint, pulse) =
            (Follow::new(ack.ledger().clone(), &partitions), ack.ledger().pulse().clone());
        let intake = Intake { stages: intake, ack, shared: shared.clone(), shards: inboxes };
        let mut intake = Box::pin(intake.run(stream, inner));
        let mut run = Progress { reading: true, abandoned: 0, fault: None, leave: Instant::now() };
        while run.reading || !shards.is_empty() {
            tokio::select! {
                level = stop_asked.changed() => { partitions.stopping(); stopper.ask(level) }
                read = &mut intake, if run.reading => run.end_of_input(read),
                Some(end) = shards.next(), if !shards.is_empty() => run.end_of_shard(end),
                followed = checkpoint.step() => run.note(followed),
                fault = pulse.failed(), if run.fault.is_none() => run.note(Err(fault.into())),
                () = sleep_until(run.leave), if run.fault.is_some() => {
                    tracing::error!(shards = shards.len(), "the line ends without its threads: they do not answer");
                    break;
                }
            }
            if run.fault.is_some() {
                partitions.stopping();
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
            finished = checkpoint.finish(run.abandoned == 0, &admitted) => finished?,
            fault = pulse.failed() => return Err(fault.into()),
        }
        let spilled = shared.spill_deliveries.load(Ordering::Relaxed);
        Ok(LineReport {
            records: partitions.issued(),
            settled: partitions.settled(),
            abandoned: run.abandoned,
            spilled,
        })
    }
}

/// How far the run has come.
struct Progress {
    reading: bool,
    abandoned: usize,
    fault: Option<LineFault>,
    /// When the threads are waited for no longer, once there is a fault.
    leave: Instant,
}

impl Progress {
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

/// The shards' threads, as the run sees them.
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
    /// Starts the shards' threads.
    fn start(
        self,
        brokers: &[Arc<Broker>],
    ) -> Result<Started<impl Future<Output = ShardEnd> + use<Stages>>, LineFault> {
        let mut slots = self.slots(brokers)?;
        let mut started =
            Started { inboxes: Vec::new(), commands: Vec::new(), ends: FuturesUnordered::new() };
        for (index, slots) in slots.drain(..).enumerate() {
            // As many as there are permits, so that sending never waits.
            let (inbox, arrivals) = mpsc::channel(self.limits.in_flight_max);
            let (command, commands) = command::commands();
            let (report, end) = oneshot::channel();
            let (stages, ack) = (self.stages.clone(), self.ack.clone());
            let (limits, shared, stop) = (self.limits, self.shared.clone(), self.stop.clone());
            let name = format!("shard-{index}");
            let fault = |error| LineFault::Thread { name: name.clone(), error };
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
            let body = move || {
                let shard = async {
                    Shard::new(stages, ack, limits, shared, slots).run(arrivals, commands, stop).await
                };
                // Nobody waits any more if the run was dropped.
                let _gone = report.send(runtime.block_on(shard));
            };
            thread::Builder::new().name(name.clone()).spawn(body).map_err(fault)?;
            started.inboxes.push(inbox);
            started.commands.push(command);
            started.ends.push(async move { (index, end.await) });
        }
        Ok(started)
    }

    /// One slot per broker, by shard, with what waits on disk.
    fn slots(&self, brokers: &[Arc<Broker>]) -> Result<Vec<Vec<Slot>>, LineFault> {
        let store = self.ack.ledger().store();
        let mut usage = store.spill().usage()?;
        let mut slots: Vec<Vec<Slot>> = (0..self.limits.shards).map(|_| Vec::new()).collect();
        for broker in brokers {
            let usage = usage.remove(&broker.id).unwrap_or_default();
            let newcomer = Newcomer::new(broker.clone(), usage, store)?;
            slots[broker.shard].push(newcomer.slot(&self.shared, &self.limits));
        }
        for (broker, usage) in usage {
            tracing::warn!(%broker, deliveries = usage.deliveries, "deliveries wait on disk for a broker the config does not name");
            self.shared.strand(broker, usage);
        }
        Ok(slots)
    }
}
