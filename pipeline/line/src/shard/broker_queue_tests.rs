//! A broker queue against a model of its disk: whatever happens in whatever order, deliveries of a load start in the order in
//! which they arrived, none is lost, and the process may end at any moment.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use stages::Gate;
use state::{Spill, SpillSeq, SpillUsage, SpilledDelivery};
use tokio::time::Instant;

use super::*;
use crate::{
    limits::Limits,
    shard::reading::Wanted,
    spill_reader::{Scan, SpillRead},
    testing::{LIVED, at, broker, delivery, item, limits},
};

/// The loads of the model.
const LOADS: usize = 3;

/// Something that happens at a broker.
#[derive(Clone, Debug)]
enum Do {
    Arrive(usize),
    Start,
    /// The first running one is done, or fails and waits for its own next attempt, or for the broker.
    Finish(usize),
    Unpark,
    Hold(bool),
    /// From now on the broker takes a delivery in ten seconds.
    Lag,
    SetAside,
    Relieve,
    /// The ledger thread writes one more delivery; the line hears of it when the last one of a batch is written.
    WriteOne,
    /// A read of at most so many.
    BeginRead(usize),
    /// The scan passes so many numbers.
    Scan(u64),
    EndRead,
}

fn doings() -> impl Strategy<Value = Vec<Do>> {
    let one = prop_oneof![
        4 => (0..LOADS).prop_map(Do::Arrive),
        4 => proptest::strategy::Just(Do::Start),
        4 => (0..6usize).prop_map(Do::Finish),
        1 => proptest::strategy::Just(Do::Unpark),
        1 => any::<bool>().prop_map(Do::Hold),
        1 => proptest::strategy::Just(Do::Lag),
        1 => proptest::strategy::Just(Do::SetAside),
        2 => proptest::strategy::Just(Do::Relieve),
        5 => proptest::strategy::Just(Do::WriteOne),
        2 => (1..5usize).prop_map(Do::BeginRead),
        2 => (1..6u64).prop_map(Do::Scan),
        2 => proptest::strategy::Just(Do::EndRead),
    ];
    prop::collection::vec(one, 0..150)
}

/// A read under way: what was read by its number, how far the scan has come and where it ends, what it has met.
struct Read {
    due: Vec<SpilledDelivery>,
    at: SpillSeq,
    end: SpillSeq,
    generation: u64,
    scan: Scan,
}

struct Model {
    queue: BrokerQueue,
    limits: Limits,
    now: Instant,
    disk: BTreeMap<SpillSeq, SpilledDelivery>,
    /// Batches on their way to the ledger, each with how many of it are written.
    writes: VecDeque<(SpillBatch, usize)>,
    read: Option<Read>,
    /// Which load each number is of.
    loads: BTreeMap<SpillSeq, Arc<str>>,
    running: Vec<(Arc<str>, SpillSeq)>,
    done: BTreeSet<SpillSeq>,
    started: BTreeMap<Arc<str>, SpillSeq>,
    problem: Option<String>,
}

impl Model {
    fn new(room: u64) -> Self {
        let cost = Spill::cost_of(delivery("L0", 0).event());
        let limits = Limits { spill_broker_max: room * cost, per_broker_max: 3, ..limits() };
        let index = SpillIndex::new(Arc::default(), &limits, SpillUsage::default(), 0);
        let now = Instant::now();
        Self {
            queue: BrokerQueue::new(broker(), index, now),
            limits,
            now,
            disk: BTreeMap::new(),
            writes: VecDeque::new(),
            read: None,
            loads: BTreeMap::new(),
            running: Vec::new(),
            done: BTreeSet::new(),
            started: BTreeMap::new(),
            problem: None,
        }
    }

    fn submit(&mut self, write: SpillBatch) {
        if !write.deliveries.is_empty() {
            self.writes.push_back((write, 0));
        }
    }

    fn arrive(&mut self, load: usize) {
        let seq = self.queue.spill.number();
        let item = item(&format!("L{load}"), seq);
        self.loads.insert(seq, item.delivery.event().load_id.clone());
        let mut write = SpillBatch::default();
        self.queue.arrive(item, at(&self.limits, 1, self.now), &mut write);
        self.submit(write);
    }

    fn start(&mut self) {
        let Some(delivery) = self.queue.start(at(&self.limits, 1, self.now)) else { return };
        let (load, seq) = (delivery.event().load_id.clone(), delivery.seq);
        if self.running.iter().any(|(running, _)| *running == load) {
            self.problem = Some(format!("two of {load} at once"));
        }
        let newest = self.started.entry(load.clone()).or_default();
        if seq < *newest || self.done.contains(&seq) {
            self.problem = Some(format!("{seq} of {load} started after {newest}, or twice"));
        }
        *newest = seq;
        self.running.push((load, seq));
    }

    fn finish(&mut self, how: usize) {
        if self.running.is_empty() {
            return;
        }
        let (load, seq) = self.running.remove(0);
        let mut item = self.queue.loads.finish(&load).unwrap();
        let mut write = SpillBatch::default();
        item.rewrite = matches!(item.backing, Backing::Disk);
        match how {
            0 => {
                item.not_before = Some(self.now + Duration::from_secs(2));
                self.queue.put_back(item, at(&self.limits, 1, self.now), &mut write);
            }
            1 => self.queue.loads.push_front(item),
            _ => {
                self.done.insert(seq);
                // The verdict takes its place in the ledger's order behind all that was submitted before.
                while !self.writes.is_empty() {
                    self.write_one();
                }
                self.disk.remove(&seq);
                if matches!(item.backing, Backing::Disk) {
                    self.queue.spill.remove(seq, cost(&item));
                }
                self.queue.finished(&load, self.now);
            }
        }
        self.submit(write);
    }

    fn write_one(&mut self) {
        let Some((write, written)) = self.writes.front_mut() else { return };
        let spilled = write.deliveries[*written].clone();
        *written += 1;
        self.disk.insert(spilled.seq, spilled);
        if *written == write.deliveries.len()
            && let Some((write, _)) = self.writes.pop_front()
        {
            write.deliveries.iter().for_each(|spilled| self.queue.spill.written(spilled.seq));
        }
    }

    fn begin_read(&mut self, most: usize) {
        let range = self.queue.spill.readable();
        let scan = if self.queue.can_scan(1, &range) { most } else { 0 };
        let due = self.queue.deferred.due(self.now, range.end, most);
        let wanted = Wanted { due, scan, fresh: false };
        if self.queue.spill.reading || wanted.is_empty() {
            return;
        }
        let generation = self.queue.spill.begin_read();
        let due = wanted.due.iter().map(|(_, seq)| self.disk[seq].clone()).collect();
        let scan = Scan::new(&wanted, self.queue.deferred.names(), LIVED);
        self.read = Some(Read { due, at: range.start, end: range.end, generation, scan });
    }

    /// The scan is no snapshot: it finds what is there when it comes by.
    fn scan(&mut self, numbers: u64) {
        let Some(read) = &mut self.read else { return };
        let to = read.end.min(read.at.saturating_add(numbers));
        while read.at < to && !read.scan.is_done() {
            self.disk.get(&read.at).into_iter().for_each(|spilled| read.scan.meet(spilled.clone()));
            read.at += 1;
        }
    }

    fn end_read(&mut self) {
        self.scan(u64::MAX);
        let Some(Read { due, at: cursor, generation, scan, .. }) = self.read.take() else { return };
        let Scan { deliveries, passed, .. } = scan;
        let count = due.len() + deliveries.len();
        let places = Arc::new(tokio::sync::Semaphore::new(count));
        let permits = (0..count).map(|_| places.clone().try_acquire_owned().unwrap().into()).collect();
        let read = SpillRead { due, missing: Vec::new(), deliveries, passed, permits, cursor, horizon: 0 };
        self.queue.take_in(read, generation, at(&self.limits, 1, self.now));
    }

    fn act(&mut self, what: &Do) {
        let mut write = SpillBatch::default();
        match what {
            Do::Arrive(load) => self.arrive(*load),
            Do::Start => self.start(),
            Do::Finish(how) => self.finish(*how),
            Do::Unpark => {
                self.now += Duration::from_secs(2);
                self.queue.loads.unpark(self.now);
            }
            Do::Hold(held) => self.queue.held = *held,
            Do::Lag => self.queue.completions.finish(Instant::now() + Duration::from_secs(10)),
            Do::SetAside => self.queue.set_aside(at(&self.limits, 1, self.now), &mut write),
            Do::Relieve => self.queue.relieve_overflow(at(&self.limits, 1, self.now), &mut write),
            Do::WriteOne => self.write_one(),
            Do::BeginRead(wanted) => self.begin_read(*wanted),
            Do::Scan(numbers) => self.scan(*numbers),
            Do::EndRead => self.end_read(),
        }
        self.submit(write);
    }

    /// What the next run would find on disk if the process ended now comes before what it would read again.
    fn could_end_now(&self) -> Result<(), String> {
        for (load, disk) in self.loads.values().map(|load| (load, self.on_disk(load))) {
            let Some(newest) = disk.last() else { continue };
            let again = |seq: &&SpillSeq| {
                self.loads[*seq] == *load && !self.done.contains(*seq) && !self.disk.contains_key(*seq)
            };
            if let Some(oldest) = self.loads.keys().find(again)
                && oldest < newest
            {
                return Err(format!("{newest} of {load} is on disk, {oldest} is not"));
            }
        }
        Ok(())
    }

    fn on_disk(&self, load: &Arc<str>) -> Vec<SpillSeq> {
        let of_load = |spilled: &&SpilledDelivery| spilled.event.load_id == *load;
        self.disk.values().filter(of_load).map(|spilled| spilled.seq).collect()
    }

    /// Lets everything go on until nothing is left, or for long enough.
    fn finish_all(&mut self) {
        self.queue.held = false;
        for _ in 0..2_000 {
            for what in [
                Do::Unpark,
                Do::Relieve,
                Do::WriteOne,
                Do::BeginRead(8),
                Do::EndRead,
                Do::Start,
                Do::Start,
                Do::Finish(2),
            ] {
                self.act(&what);
            }
        }
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(6 * proptest::test_runner::Config::default().cases))]
    #[test]
    fn order_is_kept_and_nothing_is_lost_whatever_happens(doings in doings(), room in 0..12u64) {
        let mut model = Model::new(room);
        for what in &doings {
            model.act(what);
            prop_assert_eq!(&model.problem, &None, "at {:?}", what);
            let rule = model.could_end_now();
            prop_assert!(rule.is_ok(), "at {:?}: {:?}", what, rule);
        }
        model.finish_all();
        prop_assert_eq!(&model.problem, &None);
        prop_assert_eq!(model.done.len(), model.loads.len(), "left: {:?}", model.queue);
        prop_assert!(model.queue.is_idle() && model.disk.is_empty());
        prop_assert!(model.queue.spill.has_room(room * cost(&item("L0", 0))), "the index keeps what is gone");
    }
}

#[test]
fn what_comes_to_disk_during_a_read_does_not_overtake_what_the_read_came_by_too_early_for() {
    let mut model = Model::new(3);
    model.act(&Do::Hold(true));
    // Three go to disk, two find no room.
    (0..5).for_each(|_| model.act(&Do::Arrive(0)));
    (0..3).for_each(|_| model.act(&Do::WriteOne));
    for what in [Do::Hold(false), Do::BeginRead(2), Do::EndRead] {
        model.act(&what);
    }
    // The next read passes the fourth, which is not there yet; then the first two are done and make room.
    for what in [Do::BeginRead(8), Do::Scan(2), Do::Start, Do::Finish(2), Do::Start, Do::Finish(2)] {
        model.act(&what);
    }
    for what in [Do::Relieve, Do::WriteOne, Do::WriteOne, Do::EndRead] {
        model.act(&what);
    }
    model.finish_all();
    assert_eq!((model.problem, model.done.len()), (None, 5));
}

#[tokio::test(start_paused = true)]
async fn a_broker_with_nothing_to_do_does_not_lag() {
    let model = Model::new(9);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(!model.queue.lags(at(&model.limits, 1, Instant::now())));
    assert!(!model.queue.has_lagged(at(&model.limits, 1, Instant::now())));
}

#[test]
fn a_probe_that_finds_nothing_to_start_is_given_back() {
    let mut model = Model::new(9);
    model.arrive(0);
    model.start();
    model.finish(0);
    let health = &model.queue.broker.health;
    let failure = stages::models::Failure {
        kind: stages::models::FailureKind::Transient,
        status: None,
        cause: String::new(),
        retry_after: None,
        may_have_arrived: false,
        answer: None,
    };
    for _ in 0..5 {
        health.on_failure(health.on_attempt(), model.now, &failure, stages::Evidence::Unreached);
    }
    let later = model.now + Duration::from_millis(900);
    assert_eq!(model.queue.broker.health.gate(later), Gate::HeldUntil(model.now + Duration::from_secs(5)));
    let half_open = model.now + Duration::from_secs(5);
    model.queue.loads.take_waiting().into_iter().for_each(|mut item| {
        item.not_before = Some(half_open + Duration::from_secs(60));
        model.queue.loads.push(item);
    });
    let mut write = SpillBatch::default();
    assert!(model.queue.start_probe(at(&model.limits, 1, half_open), &mut write).is_none());
    assert_eq!(
        model.queue.broker.health.gate(half_open),
        Gate::Probe,
        "the probe is lost until its deadline"
    );
}

#[test]
fn a_repeat_that_goes_to_disk_untried_is_still_a_repeat() {
    let mut model = Model::new(9);
    model.queue.held = true;
    let mut repeat = item("L0", model.queue.spill.number());
    repeat.delivery.may_repeat = true;
    let mut write = SpillBatch::default();
    model.queue.arrive(repeat, at(&model.limits, 1, model.now), &mut write);
    assert!(write.deliveries[0].may_repeat);
}

#[test]
fn what_fails_in_good_order_after_it_was_set_aside_is_no_repeat_however_full_the_disk_is() {
    let mut model = Model::new(1);
    for what in [Do::Arrive(0), Do::Start, Do::SetAside, Do::WriteOne] {
        model.act(&what);
    }
    assert!(
        model.queue.spill.horizon > 0,
        "it is on the wire: that what is on disk may be sent goes with it"
    );
    assert!(!model.disk[&0].may_repeat, "the attempts journal knows");
    // Another one runs, for which there is no room, when the first fails and the line stops.
    for what in [Do::Arrive(1), Do::Start, Do::Finish(1), Do::SetAside, Do::WriteOne] {
        model.act(&what);
    }
    assert!(!model.disk[&0].may_repeat, "the failed attempt is known, and counted");
    model.finish_all();
    assert_eq!((model.problem, model.done.len()), (None, 2));
}
