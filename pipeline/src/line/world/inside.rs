//! The shard's part: what it does when something arrives, ends, is written or read, or a time has come.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use rustc_hash::FxHashSet;
use stages::{
    AttemptMark, BreakerPolicy, Gate, Health, RetryBudgetPolicy,
    models::{Broker, Delivery, Terms},
};
use state::{Clock, SpillSeq, SpillUsage, SpilledDelivery};
use tokio::time::Instant;

use super::BROKERS;
use crate::line::{
    account::Account,
    limits::{Limits, Shared},
    load::{Loaded, Scan},
    memory::Place,
    queue::{Item, Origin},
    reading::Wanted,
    slot::Slot,
    testing::{broker, item, tickets},
    write::{Write, cost},
};

pub(super) type Places = BoxFuture<'static, Vec<Place>>;

/// What is to be read.
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    pub(super) scan_first: bool,
    pub(super) passing: Arc<FxHashSet<Arc<str>>>,
    pub(super) range: std::ops::Range<SpillSeq>,
    pub(super) generation: u64,
}

/// A read under way: it waits for its places, or passes the numbers.
pub(super) enum Read {
    Waits(Places, Asked),
    Scans { places: Vec<Place>, asked: Asked, at: SpillSeq, due: Vec<SpilledDelivery>, scan: Scan },
}

/// What the ledger has been given, and what the shard hears once it is durable.
pub(super) enum Commit {
    Write(usize, Write, usize),
    Verdict(usize, Delivery),
    Replay(usize, SpilledDelivery),
    Horizon(usize, u64, Loaded),
}

pub(super) enum Heard {
    Written(usize, Write),
    Replayed(usize, SpillSeq),
    Settled(usize, Delivery),
    PutBack(usize, Delivery, Option<Instant>),
    Loaded(usize, u64, Loaded),
}

pub(super) struct Side {
    pub(super) slot: Slot,
    pub(super) disk: BTreeMap<SpillSeq, SpilledDelivery>,
    pub(super) on_wire: Vec<(Delivery, AttemptMark)>,
    pub(super) read: Option<Read>,
}

/// A delivery's name for the world: its broker, its load, its place in the log.
pub(super) type Name = (usize, Arc<str>, u64);

pub(super) struct World {
    pub(super) limits: Limits,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    pub(super) sides: Vec<Side>,
    pub(super) commits: VecDeque<Commit>,
    pub(super) heard: Vec<Heard>,
    pub(super) source: VecDeque<Name>,
    pub(super) place: Option<BoxFuture<'static, Place>>,
    pub(super) log: Vec<Name>,
    pub(super) done: BTreeSet<Name>,
    pub(super) started: BTreeMap<(usize, Arc<str>), u64>,
    /// Those that were dead letters: their turn comes whenever it comes.
    pub(super) replayed: BTreeSet<Name>,
    pub(super) stopping: bool,
    pub(super) problem: Option<String>,
}

fn served() -> Arc<Broker> {
    let policy = BreakerPolicy {
        failures: std::num::NonZeroU32::new(2).unwrap(),
        open_min: Duration::from_millis(10),
        open_max: Duration::from_millis(50),
        probe_max: Duration::from_secs(86_400),
    };
    let mut broker = Arc::into_inner(broker()).unwrap();
    broker.health = Health::new(policy, RetryBudgetPolicy::default());
    broker.agree(Terms { concurrency: 2, ..(*broker.terms()).clone() });
    Arc::new(broker)
}

impl World {
    pub(super) fn new(limits: Limits) -> Self {
        let tickets = tickets();
        tickets.stopping();
        let shared = Arc::new(Shared::new(&limits, BROKERS, tickets));
        let side = || Side {
            slot: Slot::new(served(), Account::new(shared.clone(), &limits, SpillUsage::default(), 0)),
            disk: BTreeMap::new(),
            on_wire: Vec::new(),
            read: None,
        };
        let sides = (0..BROKERS).map(|_| side()).collect();
        Self {
            limits,
            shared,
            clock: Clock::simulated(1_000_000),
            sides,
            commits: VecDeque::new(),
            heard: Vec::new(),
            source: VecDeque::new(),
            place: None,
            log: Vec::new(),
            done: BTreeSet::new(),
            started: BTreeMap::new(),
            replayed: BTreeSet::new(),
            stopping: false,
            problem: None,
        }
    }

    pub(super) fn name(&self, index: usize, delivery: &Delivery) -> Name {
        (index, delivery.event().load_id.clone(), delivery.event().position.offset)
    }

    pub(super) fn submit(&mut self, index: usize, write: Write) {
        if !write.deliveries.is_empty() {
            self.commits.push_back(Commit::Write(index, write, 0));
        }
    }

    /// The intake gets as far as there are places.
    pub(super) fn take_in(&mut self) {
        while !self.source.is_empty() && !self.stopping {
            let memory = self.shared.memory.clone();
            let place =
                self.place.get_or_insert_with(|| Box::pin(async move { memory.arrival().await.unwrap() }));
            let Some(permit) = place.now_or_never() else { return };
            self.place = None;
            let Some((index, load, at)) = self.source.pop_front() else { return };
            let mut item = item(&load, at);
            item._permit = permit;
            let slot = &mut self.sides[index].slot;
            item.delivery.seq = slot.account.number();
            let mut write = Write::default();
            slot.arrive(item, &self.limits, BROKERS, &self.clock, &mut write);
            self.submit(index, write);
            self.advance(index);
        }
    }

    /// As `Shard::replay`: a dead letter of `load` comes back, if there is room for it.
    pub(super) fn replay(&mut self, index: usize, load: &str) {
        let at = self.log.len() as u64;
        let delivery = item(load, at).delivery;
        if let Some(spilled) = self.sides[index].slot.take_back(delivery) {
            let name = (index, Arc::from(load), at);
            self.replayed.insert(name.clone());
            self.log.push(name);
            self.commits.push_back(Commit::Replay(index, spilled));
        }
    }

    pub(super) fn carry(&mut self, index: usize, delivery: Delivery) {
        let (_, load, at) = self.name(index, &delivery);
        let name = (index, load.clone(), at);
        let newest = self.started.entry((index, load.clone())).or_default();
        let beside = self.sides[index].on_wire.iter().any(|(other, _)| other.event().load_id == load);
        let overtaken = at < *newest && !self.replayed.contains(&name);
        if overtaken || beside || self.done.contains(&name) {
            self.problem = Some(format!("{at} of {load} started after {newest}, twice, or beside another"));
        }
        if !self.replayed.contains(&name) {
            *newest = at;
        }
        let side = &mut self.sides[index];
        if delivery.may_repeat {
            self.problem =
                Some(format!("{at} of {load} counts as a repeat, but every stop was in good order"));
        }
        side.slot.on_wire += 1;
        let mark = side.slot.broker.health.on_attempt();
        side.on_wire.push((delivery, mark));
    }

    /// As `Shard::advance`.
    pub(super) fn advance(&mut self, index: usize) {
        if self.stopping {
            return;
        }
        let now = Instant::now();
        let mut write = Write::default();
        let slot = &mut self.sides[index].slot;
        slot.queue.unpark(now);
        let gate = slot.gate(now);
        slot.release(gate == Gate::Disabled, now);
        match gate {
            Gate::Open | Gate::Disabled => {
                slot.held = false;
                slot.window = slot.window.min(slot.broker.concurrency());
                while self.sides[index].slot.on_wire < self.sides[index].slot.window {
                    self.relieve(index, &mut write);
                    let Some(delivery) = self.sides[index].slot.start(now) else { break };
                    self.carry(index, delivery);
                }
            }
            Gate::Probe => {
                if let Some(delivery) = slot.start_probe(now, BROKERS, &self.clock, &mut write) {
                    self.carry(index, delivery);
                }
            }
            Gate::HeldUntil(until) => slot.hold(until, now, self.limits.hold_min, &self.clock, &mut write),
        }
        self.relieve(index, &mut write);
        let slot = &mut self.sides[index].slot;
        slot.wake = slot.next_look(gate, now);
        self.submit(index, write);
        self.refill(index, gate);
    }

    pub(super) fn relieve(&mut self, index: usize, write: &mut Write) {
        self.sides[index].slot.relieve_overflow(&self.limits, BROKERS, &self.clock, write);
    }

    pub(super) fn hear(&mut self, which: usize) {
        if self.heard.is_empty() {
            return;
        }
        let index = match self.heard.remove(which % self.heard.len()) {
            Heard::Written(index, write) => {
                write
                    .deliveries
                    .iter()
                    .for_each(|spilled| self.sides[index].slot.account.written(spilled.seq));
                index
            }
            Heard::Replayed(index, seq) => {
                self.sides[index].slot.account.written(seq);
                index
            }
            Heard::Loaded(index, generation, loaded) => {
                self.sides[index].slot.take_in(loaded, generation, Instant::now(), BROKERS, &self.clock);
                index
            }
            Heard::Settled(index, delivery) => {
                if let Some(item) = self.finish(index, &delivery, true)
                    && matches!(item.origin, Origin::Disk)
                {
                    self.sides[index].slot.account.remove(item.delivery.seq, cost(&item));
                }
                self.sides[index].slot.went(&delivery.event().load_id, Instant::now());
                index
            }
            Heard::PutBack(index, delivery, not_before) => {
                if let Some(item) = self.finish(index, &delivery, false) {
                    self.put_back(index, item, delivery, not_before);
                }
                index
            }
        };
        self.advance(index);
    }

    pub(super) fn finish(&mut self, index: usize, delivery: &Delivery, succeeded: bool) -> Option<Item> {
        let (slot, now) = (&mut self.sides[index].slot, Instant::now());
        if succeeded {
            slot.window = (slot.window + 1).min(slot.broker.concurrency());
        }
        slot.meter.finish(now);
        let item = slot.queue.finish(&delivery.event().load_id);
        match &item {
            Some(item) if item.delivery.progress.is_probe() => slot.broker.health.release_probe(now),
            Some(_) => {}
            None => self.problem = Some("what ran is not in the queue".to_owned()),
        }
        item
    }

    /// As the second half of `Shard::on_carried`.
    pub(super) fn put_back(
        &mut self,
        index: usize,
        mut item: Item,
        delivery: Delivery,
        not_before: Option<Instant>,
    ) {
        item.delivery.put_back(delivery.history);
        item.not_before = not_before;
        item.rewrite = matches!(item.origin, Origin::Disk);
        let (slot, mut write) = (&mut self.sides[index].slot, Write::default());
        slot.put_back(item, Instant::now(), (&self.limits, BROKERS), &self.clock, &mut write);
        if self.stopping {
            slot.set_aside(&self.clock, &mut write);
        }
        self.submit(index, write);
    }

    pub(super) fn wake(&mut self) {
        for index in 0..BROKERS {
            if self.sides[index].slot.wake.is_some_and(|at| at <= Instant::now()) {
                self.sides[index].slot.wake = None;
                self.advance(index);
            }
        }
    }

    /// As `Shard::relieve`, with the first broker as the one that lags.
    pub(super) fn look_around(&mut self) {
        let (slot, mut write) = (&mut self.sides[0].slot, Write::default());
        slot.set_aside(&self.clock, &mut write);
        self.submit(0, write);
        self.advance(0);
    }
}
