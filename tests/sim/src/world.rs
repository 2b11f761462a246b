//! The world around the line: simulated time, the disk that outlives a process, what receivers have seen, and the first
//! promise that was broken. After a crash, or a broken promise, nothing that the dying process still does is seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use kafka_engine::simulated::{LastClaim, SimulatedCluster, Written};
use parking_lot::{Mutex, MutexGuard};
use stages::Broker;
use state::{Crash, Durability, Outcome, SimulatedDisk, StateFault};
use tokio::{sync::Notify, time::Instant};

use crate::{
    checks::{
        disk::broker_number,
        wire::{Claimed, Wire},
    },
    draw::{kept, mix},
    plan::{Plan, RunEnd, When},
    planted::Planted,
    trace::{Step, Trace},
    violation::{Promise, Violation},
};

/// How well the receivers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// As the plan says.
    Trouble,
    /// Well, but for the bad loads.
    BadLoads,
    /// Well.
    Well,
}

/// The world; clones share it.
#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    plan: Plan,
    planted: Option<Planted>,
    state: Mutex<State>,
    over: Notify,
}

/// What changes in it.
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// The number of the run under way.
    pub(crate) run: u64,
    /// How many runs have crashed.
    pub(crate) crashes: u64,
    /// When it began: in milliseconds since the start of the simulation, and by tokio's clock.
    began: (u64, Option<Instant>),
    /// How many steps there had been, and at which step of the run it is to crash.
    steps_before: u64,
    crash_at: Option<(Crash, u64)>,
    /// Whether nothing counts any more that the process does.
    over: bool,
    /// The disk, and as the next process finds it.
    pub(crate) disk: SimulatedDisk,
    image: Option<SimulatedDisk>,
    /// The brokers of the run.
    brokers: Vec<Arc<Broker>>,
    /// The brokers that the config names now.
    pub(crate) listed: BTreeSet<usize>,
    /// The brokers that it named when each entry was routed last.
    routed: BTreeMap<usize, BTreeSet<usize>>,
    /// The cluster, if there are several members.
    cluster: Option<SimulatedCluster>,
    pub(crate) wire: Wire,
    pub(crate) trace: Trace,
    pub(crate) violation: Option<Violation>,
}

impl World {
    pub(crate) fn new(plan: Plan, planted: Option<Planted>) -> Self {
        let disk = SimulatedDisk::new();
        disk.set_latency(plan.tuning.latency);
        if planted == Some(Planted::FlushesIgnored) {
            disk.ignore_flushes();
        }
        let state = State {
            phase: Phase::Trouble,
            run: 0,
            crashes: 0,
            began: (0, None),
            steps_before: 0,
            crash_at: None,
            over: false,
            disk,
            image: None,
            brokers: Vec::new(),
            listed: BTreeSet::new(),
            routed: BTreeMap::new(),
            cluster: None,
            wire: Wire::new(&plan),
            trace: Trace::default(),
            violation: None,
        };
        Self(Arc::new(Shared { plan, planted, state: Mutex::new(state), over: Notify::new() }))
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Whether any load is refused until the last phase.
    pub(crate) fn has_bad_loads(&self) -> bool {
        self.plan().brokers.iter().any(|broker| !broker.bad_loads.is_empty())
    }

    pub(crate) fn planted(&self) -> Option<Planted> {
        self.0.planted
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// A process starts now.
    pub(crate) fn begin_run(&self, end: Option<RunEnd>) {
        let mut state = self.state();
        state.run += 1;
        state.over = false;
        state.began.1 = Some(Instant::now());
        state.steps_before = state.trace.count();
        state.crash_at = match end {
            Some(RunEnd::Crash(crash, When::Step(step))) => Some((crash, step)),
            _ => None,
        };
        state.wire.begin_run();
        state.listed = state.to_be_listed(self.plan());
        let (run, writes) = (state.run, state.disk.writes());
        drop(state);
        self.step(Step::Started { run, writes });
    }

    /// The brokers that are owed an entry, whatever it is.
    pub(crate) fn wanting(&self, number: usize) -> Vec<usize> {
        let (plan, state) = (self.plan(), self.state());
        (0..plan.brokers.len()).filter(|broker| state.wants(plan, *broker, number)).collect()
    }

    /// An entry is routed, by the config in force.
    pub(crate) fn routed(&self, number: usize) {
        let (plan, mut state) = (self.plan(), self.state());
        let listed = state.listed.clone();
        for broker in 0..plan.brokers.len() {
            if listed.contains(&broker) {
                state.wire.routed(plan, broker, plan.log.original(number));
            } else {
                state.wire.not_routed(broker, plan.log.original(number));
            }
        }
        state.routed.insert(number, listed);
    }

    /// There are several members, over this cluster.
    pub(crate) fn follow(&self, cluster: &SimulatedCluster) {
        self.state().cluster = Some(cluster.clone());
    }

    /// The brokers of the run under way.
    pub(crate) fn serve(&self, brokers: &[Arc<Broker>]) {
        self.state().brokers = brokers.to_vec();
    }

    /// The process has ended, and is down for so many milliseconds: what is still dropped of it counts no more.
    pub(crate) fn end_run(&self, down: u64) {
        let mut state = self.state();
        if !state.over {
            state.count_repeats();
        }
        state.began = (state.now() + down, None);
        state.crash_at = None;
        state.over = true;
        state.brokers.clear();
    }

    /// Nothing is left of the process; the next one finds what is on the disk.
    pub(crate) fn after_run(&self) {
        let mut state = self.state();
        state.over = false;
        if let Some(image) = state.image.take() {
            state.disk = image;
        }
    }

    /// Something happens, as the last thing if the process is to crash at this step. False if nothing counts any more.
    pub(crate) fn step(&self, step: Step) -> bool {
        let mut state = self.state();
        if state.over {
            return false;
        }
        let now = state.now();
        state.trace.push(now, step);
        let steps = state.trace.count() - state.steps_before;
        let crash = state.crash_at.filter(|(_, at)| *at <= steps).map(|(crash, _)| crash);
        drop(state);
        if let Some(crash) = crash {
            self.crash(crash);
        }
        crash.is_none()
    }

    /// The process or the machine dies at this moment.
    pub(crate) fn crash(&self, crash: Crash) {
        let mut state = self.state();
        if state.over {
            return;
        }
        let (seed, run, at_risk) = (self.0.plan.seed, state.run, state.disk.unflushed());
        let mut draws = Vec::new();
        let image = state.disk.crash(crash, |at_risk| {
            let keep = kept(seed, &[run, draws.len() as u64], at_risk);
            draws.push(keep);
            keep
        });
        let (now, kept) = (state.now(), draws.first().copied().unwrap_or_default());
        state.trace.push(now, Step::Crashed { power: crash == Crash::Power, kept, at_risk });
        state.image = Some(image);
        state.crashes += 1;
        state.count_repeats();
        if crash == Crash::Power && self.0.plan.tuning.durability == Durability::Process {
            state.wire.forget();
        }
        state.over = true;
        self.0.over.notify_one();
    }

    /// The first promise that is broken ends the simulation.
    pub(crate) fn check(&self, checked: Result<(), Broken>) -> bool {
        let mut state = self.state();
        let Err((promise, detail)) = checked else { return true };
        if state.violation.is_none() && !state.over {
            let (step, at) = (state.trace.count(), state.trace.at());
            state.violation = Some(Violation { promise, detail, step, at });
        }
        state.over = true;
        self.0.over.notify_one();
        false
    }

    /// Returns once nothing counts any more that the process does.
    pub(crate) async fn over(&self) {
        while !self.state().over {
            self.0.over.notified().await;
        }
    }

    /// A number for this thing.
    pub(crate) fn draw(&self, parts: &[u64]) -> u64 {
        mix(self.0.plan.seed, parts)
    }
}

/// A promise that is broken, and how it was seen.
pub(crate) type Broken = (Promise, String);

/// A fault of the state while it is looked at.
pub(crate) fn state_fault(fault: &StateFault) -> Broken {
    (Promise::NoFault, format!("the state directory: {fault}"))
}

impl State {
    /// Simulated milliseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        let (began, since) = self.began;
        began + since.map_or(0, |since| millis(since.elapsed()))
    }

    /// The brokers that the config is to name now: all of them once receivers are well.
    pub(crate) fn to_be_listed(&self, plan: &Plan) -> BTreeSet<usize> {
        let now = self.now();
        let is_listed = |broker: &usize| self.phase > Phase::Trouble || plan.brokers[*broker].is_listed(now);
        (0..plan.brokers.len()).filter(is_listed).collect()
    }

    /// Whether a broker is owed an entry: if the config named it when the entry was routed last.
    pub(crate) fn wants(&self, plan: &Plan, broker: usize, number: usize) -> bool {
        let was_listed = self.routed.get(&number).is_none_or(|listed| listed.contains(&broker));
        plan.wants(broker, number) && was_listed
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Lets what receivers have seen be judged by the claims of partitions that there are by now.
    pub(crate) fn look_at_claims(&mut self, plan: &Plan) {
        let Some(cluster) = self.cluster.clone() else { return };
        for partition in 0..plan.log.partitions() {
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            let Some(LastClaim { offset, member, disorders }) = cluster.claim(number) else { continue };
            let known = self.wire.known_claim(partition);
            if known.is_some_and(|(known, _)| known == offset) {
                continue;
            }
            let in_order = disorders == known.map_or(0, |(_, disorders)| disorders);
            let before = cluster
                .outcomes(number)
                .into_iter()
                .filter(|written| written.offset < offset && written.outcome == Outcome::Delivered);
            let delivered: Vec<_> = before.filter_map(|written| numbers(&written)).collect();
            let life = life_of(&member).unwrap_or(0);
            self.wire.claimed(plan, partition, Claimed { offset, disorders, life, in_order }, delivered);
        }
    }

    /// Whether the group has given the partition of an event to another process.
    pub(crate) fn is_given_away(&self, plan: &Plan, number: usize, life: u64) -> bool {
        let partition = i32::try_from(plan.log.place(number).0).unwrap_or(i32::MAX);
        let owner = self.cluster.as_ref().and_then(|cluster| life_of(&cluster.owner(partition)?));
        owner.is_some_and(|owner| owner != life)
    }

    /// Adds what the run has counted as possible repeats.
    fn count_repeats(&mut self) {
        let brokers = self.brokers.clone();
        self.count(&brokers);
    }

    /// Adds what these have counted as possible repeats.
    pub(crate) fn count(&mut self, brokers: &[Arc<Broker>]) {
        for broker in brokers {
            let counts = broker.health.counts();
            let Some(number) = broker_number(&broker.id) else { continue };
            self.wire.counted[number] +=
                counts.repeats_after_crash + counts.repeats_after_no_answer + counts.repeats_after_refusal;
        }
    }
}

/// The process that a member of this name is.
fn life_of(member: &str) -> Option<u64> {
    member.rsplit_once('.')?.1.parse().ok()
}

/// The broker and the event that an outcome is of.
pub(crate) fn numbers(written: &Written) -> Option<(usize, usize)> {
    let broker = written.broker.strip_prefix('b')?.parse().ok()?;
    Some((broker, written.event_id.strip_prefix('e')?.parse().ok()?))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
