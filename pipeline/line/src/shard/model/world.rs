//! The core with what surrounds it, and the effects it asks for.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use stages::{
    AttemptMark, BreakerPolicy, Broker, Health, Probe, RetryBudgetPolicy, Terms, WhenFull,
    models::{Delivery, Leftover},
};
use state::{
    Clock, CommitOptions, Durability, Ledger, LedgerThread, Record, Recorded, SpillSeq, SpillUsage,
    SpilledDelivery, Store, StoreOptions,
};
use tokio::time::Instant;

use super::{
    BROKERS, Do, PARTITIONS,
    part::{Part, name_of, part_of},
};
use crate::{
    command::Replay,
    counters::Counters,
    in_flight_permits::{InFlightPermits, Permit},
    limits::Limits,
    shard::{
        Pressure,
        at::At,
        broker_queue::BrokerQueue,
        core::Core,
        deferred::Listed,
        spill_batch::SpillBatch,
        spill_index::SpillIndex,
        step::{AttemptEnd, Effect, Input, ReadAsked},
    },
    spill_reader::Scan,
    testing::{broker_called, delivery_of},
    ticket::{Share, Tickets},
};

/// A read under way: it waits for its permits, or passes the numbers.
pub(super) enum Read {
    Waits(BoxFuture<'static, Vec<Permit>>, Box<ReadAsked>),
    Scans {
        permits: Vec<Permit>,
        generation: u64,
        range: Range<SpillSeq>,
        due: Vec<SpilledDelivery>,
        missing: Vec<Listed>,
        scan: Scan,
    },
}

/// What the ledger has been given, in its order.
pub(super) enum Commit {
    Write(usize, Box<SpillBatch>, usize),
    Verdict { queue: usize, load: Arc<str>, succeeded: bool, name: Name, on_disk: Option<SpillSeq> },
    GivenUp { queue: usize, seq: SpillSeq, name: Name },
    Replay(Vec<SpilledDelivery>, Vec<(usize, SpillSeq)>),
    Drop(usize),
    Input(Input),
}

/// One broker's side of the world.
#[derive(Default)]
pub(super) struct Side {
    pub(super) disk: BTreeMap<SpillSeq, SpilledDelivery>,
    pub(super) on_wire: Vec<(Delivery, AttemptMark, Option<Probe>)>,
    pub(super) read: Option<Read>,
}

/// A delivery's name for the world: its broker, its load, its place in the log.
pub(super) type Name = (usize, Arc<str>, u64);

/// What the core may ask.
pub(super) struct Around {
    pub(super) pressed: Cell<bool>,
    /// Whether a read waits for a place.
    pub(super) read_waits: Cell<bool>,
}

pub(super) struct World {
    pub(super) core: Core,
    pub(super) limits: Limits,
    pub(super) letters: bool,
    /// Whether what is on disk of a partition goes with it.
    pub(super) follows: bool,
    /// What was dropped: it waits wherever its partition's state is.
    pub(super) moved: BTreeSet<Name>,
    /// The partitions of what was dropped that the core is still to hear of, in that order.
    pub(super) dropping: Vec<usize>,
    pub(super) permits: Arc<InFlightPermits>,
    pub(super) around: Around,
    pub(super) brokers: Vec<Arc<Broker>>,
    pub(super) parts: [Part; PARTITIONS],
    /// Tickets of partitions that were lost.
    pub(super) lost: Vec<Tickets>,
    pub(super) began: Instant,
    pub(super) now: Instant,
    pub(super) sides: Vec<Side>,
    pub(super) commits: VecDeque<Commit>,
    pub(super) heard: Vec<Input>,
    pub(super) source: VecDeque<Name>,
    pub(super) place: Option<BoxFuture<'static, Permit>>,
    pub(super) log: Vec<Name>,
    pub(super) done: BTreeSet<Name>,
    pub(super) settled: BTreeSet<Name>,
    pub(super) started: BTreeMap<(usize, Arc<str>), u64>,
    /// Those that were dead letters: their turn comes whenever it comes.
    pub(super) replayed: BTreeSet<Name>,
    pub(super) problem: Option<String>,
}

impl Pressure for Around {
    fn is_pressed(&self) -> bool {
        self.pressed.get()
    }

    fn is_contended(&self) -> bool {
        self.pressed.get() || self.read_waits.get()
    }

    fn full_letters_room(&self) -> u64 {
        u64::MAX
    }
}

/// A proof, as only a ledger gives one; it proves nothing here.
pub(super) fn proof() -> Recorded {
    static LEDGER: OnceLock<(Ledger, LedgerThread, tempfile::TempDir)> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: 3_600_000,
            cache: 8 << 20,
            clock: Clock::System,
        };
        let commits = CommitOptions { commit_max: 64, linger: Duration::from_millis(1), inbox_max: 64 };
        let (ledger, thread) = Ledger::start(Store::open(dir.path(), options).unwrap(), commits).unwrap();
        (ledger, thread, dir)
    };
    // What changes nothing is on record at once.
    LEDGER.get_or_init(make).0.record(Record::Noop { spilled: None }).now_or_never().unwrap().unwrap()
}

fn served(ordinal: usize, letters: bool) -> Arc<Broker> {
    let policy = BreakerPolicy {
        failures: std::num::NonZeroU32::new(2).unwrap(),
        open_min: Duration::from_millis(10),
        open_max: Duration::from_millis(50),
        probe_max: Duration::from_secs(86_400),
    };
    let mut broker = Arc::into_inner(broker_called(&format!("b{ordinal}"), ordinal)).unwrap();
    broker.health = Health::new(policy, RetryBudgetPolicy::default());
    let when_full = if letters { WhenFull::DeadLetter } else { WhenFull::Hold };
    broker.agree(Terms { concurrency: 2, when_full, ..(*broker.terms()).clone() });
    Arc::new(broker)
}

impl World {
    pub(super) fn new(limits: Limits, letters: bool) -> Self {
        Self::on(vec![SpillUsage::default(); BROKERS], limits, letters, Instant::now())
    }

    /// A new process over disks that hold so much.
    pub(super) fn on(usage: Vec<SpillUsage>, limits: Limits, letters: bool, now: Instant) -> Self {
        let (counters, brokers) = (Arc::new(Counters::default()), (0..BROKERS).map(|at| served(at, letters)));
        let brokers: Vec<_> = brokers.collect();
        let queues = brokers.iter().zip(usage).map(|(broker, usage)| {
            BrokerQueue::new(broker.clone(), SpillIndex::new(counters.clone(), &limits, usage, 0), now)
        });
        let queues = queues.collect();
        Self {
            core: Core::new(counters.clone(), queues, now),
            limits,
            letters,
            follows: false,
            moved: BTreeSet::new(),
            dropping: Vec::new(),
            permits: Arc::new(InFlightPermits::new(limits.in_flight_max, limits.memory_max)),
            around: Around { pressed: Cell::new(false), read_waits: Cell::new(false) },
            brokers,
            parts: Default::default(),
            lost: Vec::new(),
            began: now,
            now,
            sides: (0..BROKERS).map(|_| Side::default()).collect(),
            commits: VecDeque::new(),
            heard: Vec::new(),
            source: VecDeque::new(),
            place: None,
            log: Vec::new(),
            done: BTreeSet::new(),
            settled: BTreeSet::new(),
            started: BTreeMap::new(),
            replayed: BTreeSet::new(),
            problem: None,
        }
    }

    pub(super) fn at(&self) -> At<'_> {
        At {
            now: self.now,
            lived: self.monotonic(),
            limits: &self.limits,
            brokers: BROKERS,
            around: &self.around,
        }
    }

    pub(super) fn monotonic(&self) -> u64 {
        1_000_000 + (self.now - self.began).as_millis() as u64
    }

    pub(super) fn delivery(&self, (queue, load, at): &Name) -> Delivery {
        let mut delivery = delivery_of(&name_of(part_of(load)), load, *at);
        delivery.broker = self.brokers[*queue].clone();
        delivery
    }

    pub(super) fn name(&self, queue: usize, delivery: &Delivery) -> Name {
        (queue, delivery.event().load_id.clone(), delivery.event().position.offset)
    }

    /// Gives the core one input and carries out what it asks for.
    pub(super) fn give(&mut self, input: Input) {
        let mut effects = Vec::new();
        let waits = |side: &Side| matches!(side.read, Some(Read::Waits(..)));
        self.around.read_waits.set(self.sides.iter().any(waits));
        let (mut core, at) =
            (std::mem::replace(&mut self.core, Core::new(Arc::default(), vec![], self.now)), self.at());
        core.step(input, at, &mut effects);
        self.core = core;
        effects.into_iter().for_each(|effect| self.perform(effect));
        self.advance(false);
    }

    /// Lets the core start what it may; all of its queues at the beginning of a run.
    pub(super) fn advance(&mut self, all: bool) {
        let mut effects = Vec::new();
        let (mut core, at) =
            (std::mem::replace(&mut self.core, Core::new(Arc::default(), vec![], self.now)), self.at());
        if all {
            core.advance_all(at, &mut effects);
        } else {
            core.advance_dirty(at, &mut effects);
        }
        self.core = core;
        effects.into_iter().for_each(|effect| self.perform(effect));
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start { queue, delivery } => self.start(queue, delivery),
            Effect::Record { queue, delivery, end } => {
                let (name, on_disk) = (self.name(queue, &delivery), delivery.on_disk.then_some(delivery.seq));
                let load = delivery.event().load_id.clone();
                let succeeded = end.is_ok();
                if !succeeded {
                    self.problem = Some(format!("{name:?} was taken for a duplicate of itself"));
                }
                self.commits.push_back(Commit::Verdict { queue, load, succeeded, name, on_disk });
            }
            Effect::GiveUp { queue, delivery } => {
                let name = self.name(queue, &delivery);
                self.commits.push_back(Commit::GivenUp { queue, seq: delivery.seq, name });
            }
            Effect::Write { queue, batch } => self.commits.push_back(Commit::Write(queue, batch, 0)),
            Effect::WriteReplayed { deliveries, placed, .. } => {
                let deliveries = deliveries.into_iter().map(|(delivery, _)| delivery).collect();
                self.commits.push_back(Commit::Replay(deliveries, placed));
            }
            Effect::Read { queue, asked } => {
                let (permits, count) = (self.permits.clone(), asked.wanted.due.len() + asked.wanted.scan);
                let permits = Box::pin(async move { permits.reads(count).await.unwrap() });
                // It takes its place among those that wait.
                self.sides[queue].read = Some(Read::Waits(permits, asked));
                self.read(queue, 0);
            }
            Effect::Settle { share, proof } => self.settle(share, proof),
            Effect::Finish { share, permit, proof } => {
                if let Some(share) = share {
                    self.settle(share, proof);
                }
                drop(permit);
            }
            Effect::Free(permit) => drop(permit),
            Effect::ClearMark(mark) => mark.clear(),
            Effect::Quiet(reply) => reply.send(),
            Effect::Abandon(items) => self.read_again(items),
            Effect::HaltEach { .. }
            | Effect::Halt { .. }
            | Effect::Show { .. }
            | Effect::ShowOldest { .. }
            | Effect::Log { .. } => {}
        }
    }

    fn settle(&mut self, share: Share, proof: Recorded) {
        let at = share.position().offset;
        share.settle(proof);
        match self.log.iter().find(|name| name.2 == at) {
            Some(name) => drop(self.settled.insert(name.clone())),
            None => self.problem = Some(format!("{at} was settled, which never was in the log")),
        }
    }

    fn start(&mut self, queue: usize, delivery: Delivery) {
        let health = &self.brokers[queue].health;
        let (_, load, at) = self.name(queue, &delivery);
        let probe = if delivery.probe { health.begin_probe(self.now) } else { None };
        if delivery.probe && probe.is_none() {
            let (history, left) = (delivery.history, Leftover::default());
            self.heard.push(Input::AttemptDone {
                queue,
                load,
                end: AttemptEnd::PutBack { history, not_before: None, left },
            });
            return;
        }
        let name = (queue, load.clone(), at);
        let newest = self.started.entry((queue, load.clone())).or_default();
        let beside = self.sides[queue].on_wire.iter().any(|(other, ..)| other.event().load_id == load);
        let overtaken = at < *newest && !self.replayed.contains(&name);
        if overtaken || beside || self.done.contains(&name) {
            self.problem = Some(format!("{at} of {load} started after {newest}, twice, or beside another"));
        }
        if !self.replayed.contains(&name) {
            *newest = at;
        }
        if self.is_leaving(&load) {
            self.problem = Some(format!("{at} of {load} is started, and its partition is leaving"));
        }
        if delivery.may_repeat {
            self.problem = Some(format!("{at} of {load} counts as a repeat"));
        }
        if delivery.probe && self.sides[queue].on_wire.iter().any(|(other, ..)| other.probe) {
            self.problem = Some(format!("{at} of {load} is a second probe"));
        }
        let mark = health.on_attempt();
        self.sides[queue].on_wire.push((delivery, mark, probe));
    }

    /// The intake gets as far as there are permits.
    pub(super) fn take_in(&mut self) {
        while !self.core.is_stopping() {
            let Some(next) = self.source.iter().position(|name| self.is_here(name)) else {
                // Whoever waited for a place has been taken away.
                self.place = None;
                self.around.pressed.set(false);
                return;
            };
            let permits = self.permits.clone();
            let place =
                self.place.get_or_insert_with(|| Box::pin(async move { permits.arrival().await.unwrap() }));
            let permit = place.now_or_never();
            self.around.pressed.set(permit.is_none());
            let Some(permit) = permit else { return };
            self.place = None;
            let Some(name) = self.source.remove(next) else { return };
            let arrival = self.arrival(&name, permit);
            self.give(Input::Arrived(arrival));
        }
    }

    pub(super) fn act(&mut self, what: &Do) {
        match what {
            Do::Arrive(queue, load) => {
                let name = (*queue, Arc::from(format!("L{load}")), self.log.len() as u64);
                self.log.push(name.clone());
                self.source.push_back(name);
            }
            Do::Replay(queue, load) => {
                let at = self.log.len() as u64;
                let name: Name = (*queue, Arc::from(format!("L{load}")), at);
                let delivery = self.delivery(&name);
                self.replayed.insert(name.clone());
                self.log.push(name);
                self.give(Input::Replay(vec![Replay { delivery, letter: None }]));
                self.forget_letters();
            }
            Do::End(queue, which, how) => self.end(*queue, *which, *how),
            Do::Commit => self.commit(),
            Do::Hear(which) => self.hear(*which),
            Do::Read(queue, numbers) => self.read(*queue, *numbers),
            Do::Pass(millis) => {
                self.now += Duration::from_millis(*millis);
                if self.core.next_wake(None) <= self.now {
                    self.give(Input::TimeReached);
                }
            }
            Do::HandOver(part) => self.hand_over(*part),
            Do::Release(part) => self.release(*part),
            Do::Come(part) => self.come(*part),
            Do::Lose(part) => self.lose(*part),
            Do::Restart => self.restart(),
            Do::Crash => self.start_again(),
        }
        self.take_in();
        self.settle_moves();
    }

    pub(super) fn hear(&mut self, which: usize) {
        if !self.heard.is_empty() {
            let mut which = which % self.heard.len();
            let is_drop = |input: &Input| matches!(input, Input::Dropped(_));
            if is_drop(&self.heard[which]) {
                // What a line says of one partition after the other comes in that order.
                which = self.heard.iter().position(is_drop).unwrap_or(which);
                self.heard_of_dropped();
            }
            let input = self.heard.remove(which);
            self.give(input);
        }
    }

    /// What is not done.
    pub(super) fn left(&self) -> impl Iterator<Item = &Name> {
        self.log.iter().filter(|name| !self.done.contains(*name))
    }
}
