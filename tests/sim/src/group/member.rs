//! One member: the real line, ledger and group membership over a disk, a client of the simulated cluster, and the
//! receivers, until it is stopped or dies.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use kafka_engine::simulated::{SimulatedClient, SimulatedMember};
use line::{
    LineHandle, ingest,
    stop::{Level, Stop, Stopper, stop},
};
use parking_lot::Mutex;
use simulation::START;
use stages::{Broker, Lease, Route, Subscriptions};
use state::{Crash, Ledger, LedgerKey, Restored, SimulatedDisk};
use tokio::sync::mpsc;

use super::{
    Group,
    tampered::{TamperedLog, tampered},
};
use crate::{
    chain::{Chain, brokers, line_fault, open},
    draw::kept,
    life::Life,
    trace::Step,
    violation::Promise,
    world::{Broken, state_fault},
};

/// How many late outcomes may wait.
const LATE_MAX: usize = 4_096;

/// A process that is a member.
pub(crate) struct Member {
    /// Which machine it runs on.
    pub(crate) at: usize,
    pub(crate) life: Life,
    pub(crate) name: Arc<str>,
    pub(crate) client: SimulatedClient,
    /// One rebalance at a time, as on a thread that polls.
    pub(crate) polls: tokio::sync::Mutex<()>,
    /// What the group has given away while it was cut from it.
    expelled: Mutex<BTreeSet<i32>>,
    disk: SimulatedDisk,
    cut: AtomicBool,
    leaving: AtomicBool,
    running: Mutex<Option<Running>>,
    stopper: Stopper,
}

/// What there is of it while its line runs.
#[derive(Clone)]
struct Running {
    member: Arc<SimulatedMember<Ledger>>,
    brokers: Vec<Arc<Broker>>,
    line: Option<LineHandle>,
}

impl Member {
    /// Starts a process on the machine `at`, over the disk that is there.
    pub(crate) fn start(group: &Arc<Group>, at: usize, disk: SimulatedDisk) -> Arc<Self> {
        let number = {
            let mut state = group.world.state();
            state.run += 1;
            state.run
        };
        disk.set_latency(group.world.plan().tuning.latency);
        let name: Arc<str> = format!("m{at}.{number}").into();
        let (stopper, stopped) = stop();
        let member = Arc::new(Self {
            at,
            life: Life::new(number),
            client: group.cluster.client(name.clone(), number),
            name,
            polls: tokio::sync::Mutex::default(),
            expelled: Mutex::default(),
            disk,
            cut: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            running: Mutex::default(),
            stopper,
        });
        group.world.step(Step::MemberStarted { member: at, life: number });
        let (of, group) = (member.clone(), group.clone());
        drop(tokio::spawn(async move { of.live(&group, stopped).await }));
        member
    }

    /// Whether the group hears of it.
    pub(crate) fn is_in_group(&self) -> bool {
        !self.life.is_over() && !self.cut.load(Ordering::Relaxed)
    }

    /// Whether it has been asked to stop.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// What takes and gives partitions, while it runs.
    pub(crate) fn membership(&self) -> Option<Arc<SimulatedMember<Ledger>>> {
        self.running.lock().as_ref().map(|running| running.member.clone())
    }

    /// Whether nothing is in its memory or on its disk.
    pub(crate) fn is_idle(&self) -> bool {
        let line = self.running.lock().as_ref().and_then(|running| running.line.clone());
        line.is_none_or(|line| line.in_flight() == 0 && line.spilled() == 0)
    }

    /// The partitions that its line has, each with how many records it has open, for a message.
    pub(crate) fn partitions(&self) -> Vec<String> {
        let line = self.running.lock().as_ref().and_then(|running| running.line.clone());
        let live = line.map(|line| line.partitions().snapshot());
        let each = live.iter().flat_map(|live| live.iter());
        each.map(|live| format!("{}: {}", live.source, live.tickets.span())).collect()
    }

    /// Its disk as somebody finds it who looks at it now.
    pub(crate) fn disk(&self) -> SimulatedDisk {
        self.disk.crash(Crash::Process, |at_risk| at_risk)
    }

    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
        self.client.cut(cut);
    }

    /// The group has given a partition of it away, or will.
    pub(crate) fn expel(&self, partition: i32) {
        self.expelled.lock().insert(partition);
    }

    /// What it has lost that way since it was asked last.
    pub(crate) fn take_expelled(&self) -> Vec<i32> {
        std::mem::take(&mut *self.expelled.lock()).into_iter().collect()
    }

    /// Asks it to stop in good order.
    pub(crate) fn stop(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.stopper.ask(Level::Drain);
    }

    /// It dies; gives its disk as the next start finds it.
    pub(crate) fn crash(&self, group: &Group, crash: Crash) -> SimulatedDisk {
        if !self.life.end() {
            return self.disk.clone();
        }
        let (world, number, mut draws) = (&group.world, self.life.number(), 0);
        let mut keep = |at_risk: usize| {
            draws += 1;
            kept(world.plan().seed, &[8, number, draws], at_risk)
        };
        let image = self.disk.crash(crash, &mut keep);
        self.client.crash(&mut keep);
        let mut state = world.state();
        state.look_at_claims(world.plan());
        state.wire.died(number);
        state.crashes += 1;
        if let Some(running) = &*self.running.lock() {
            state.count(&running.brokers);
        }
        drop(state);
        // What is left of it in the simulation ends soon, and is not seen.
        self.stopper.ask(Level::Now);
        image
    }

    async fn live(&self, group: &Arc<Group>, stopped: Stop) {
        let ended = self.run(group, stopped).await;
        let running = self.running.lock().take();
        if self.life.is_over() {
            return;
        }
        if let Some(running) = running {
            group.world.state().count(&running.brokers);
        }
        group.world.check(ended);
        group.world.step(Step::MemberEnded { member: self.at });
        self.life.end();
    }

    async fn run(&self, group: &Arc<Group>, stopped: Stop) -> Result<(), Broken> {
        let (world, tuning) = (&group.world, &group.world.plan().tuning);
        let store = open(world, &self.disk, START + world.state().now())?;
        let log = TamperedLog::new(self.client.log(), group, self.at);
        let started = Ledger::start_inline_following(store.clone(), tuning.commits, log);
        let (ledger, work) = started.map_err(|fault| state_fault(&fault))?;
        let ledger_ends = tokio::spawn(work);
        let brokers = brokers(world)?;
        let (clock, session) = (store.clock().clone(), group.plan.session);
        let lease = Arc::new(Lease::new(clock.clone()));
        let member = Arc::new(self.client.join(ledger.clone(), clock, (lease.clone(), session)));
        let late = merge_late(&member, &ledger);
        let (step, planted) = (group.plan.horizon_step, world.planted());
        let of = ledger.clone();
        let partitions = member
            .partitions()
            .map(move |partition| Ok(tampered(partition?.with_horizon_step(step), planted, &of)));
        let records =
            ingest(partitions, &ledger, tuning.unsettled_max).map_err(|fault| line_fault(&fault))?;
        let route = Route::new(Arc::new(Subscriptions::new(brokers.clone())));
        let chain = Chain {
            world,
            life: &self.life,
            ledger: &ledger,
            brokers: &brokers,
            route,
            limits: tuning.limits,
            lease: Some(lease),
        };
        let (attached, (started, mut starts)) = (member.clone(), mpsc::channel(1));
        let line = chain.run(records, stopped, move |line| {
            attached.attach(line.clone());
            let _first = started.try_send(line).is_ok();
        })?;
        *self.running.lock() = Some(Running { member: member.clone(), brokers, line: None });
        let runs = async {
            let line = starts.recv().await;
            if let Some(running) = &mut *self.running.lock() {
                running.line = line;
            }
            pending::<Infallible>().await
        };
        let report = tokio::select! {
            biased;
            report = line => report.map_err(|fault| line_fault(&fault)),
            never = runs => match never {},
            never = late => match never {},
            () = member.commit_on() => return Ok(()),
        };
        if report.is_ok() {
            member.finish().await;
        }
        // Whoever takes partitions away from it meanwhile finds it gone.
        let running = self.running.lock().take();
        if let (Some(running), false) = (running, self.life.is_over()) {
            world.state().count(&running.brokers);
        }
        drop((ledger, store, member));
        report?;
        let ended = ledger_ends.await.map_err(|panic| (Promise::NoFault, format!("the ledger: {panic}")))?;
        ended.map_err(|fault| state_fault(&fault))
    }

    /// Carries what this process sends to the state topics.
    pub(crate) async fn pump(&self, group: &Group) {
        let mut count = 0;
        let latency = move |topic: usize| {
            if group.stalled.load(Ordering::Relaxed) {
                return None;
            }
            count += 1;
            let draw = group.world.draw(&[9, self.life.number(), topic as u64, count]);
            Some(Duration::from_millis(draw % (group.plan.latency[topic] + 1)))
        };
        self.client.pump(latency).await;
    }
}

/// Puts into the ledger what whoever had a partition before has delivered and told late, as a real run does.
fn merge_late(
    member: &SimulatedMember<Ledger>,
    ledger: &Ledger,
) -> impl Future<Output = Infallible> + Send + use<> {
    let (late, mut arrived) = mpsc::channel(LATE_MAX);
    member.on_late(move |_, restored| {
        if let Restored::Outcome { broker, event_id, entry } = restored {
            let _room = late.try_send((LedgerKey::new(&broker, &event_id), entry)).is_ok();
        }
    });
    let ledger = ledger.clone();
    async move {
        while let Some(outcome) = arrived.recv().await {
            let _merged = ledger.restore(vec![outcome]).await.is_ok();
        }
        pending().await
    }
}
