//! A broker queue with loads that fail: what they must not hold, and what its broker is tried with.

use std::time::Duration;

use rustc_hash::FxHashSet;
use stages::{
    Evidence,
    models::{Failure, FailureKind},
};
use state::{FailedAttempt, SpillUsage, SpilledDelivery};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    limits::Limits,
    shard::{SpillIndex, reading::Wanted, spill_batch::spilled},
    spill_reader::{Scan, SpillRead},
    testing::{Contended, LIVED, at, broker, item, limits},
};

const MINUTE: Duration = Duration::from_secs(60);

struct Bench {
    queue: BrokerQueue,
    limits: Limits,
    /// What is on disk.
    disk: Vec<SpilledDelivery>,
}

impl Bench {
    /// A slot with room on disk for so many deliveries.
    fn new(room: u64) -> Self {
        let spill_broker_max = room * cost(&item("good", 0));
        let limits = Limits { spill_broker_max, per_broker_max: 100, ..limits() };
        let index = SpillIndex::new(Arc::default(), &limits, SpillUsage::default(), 0);
        let queue = BrokerQueue::new(broker(), index, Instant::now());
        Self { queue, limits, disk: Vec::new() }
    }

    fn write(&mut self, write: SpillBatch) {
        for delivery in write.deliveries {
            self.queue.spill.written(delivery.seq);
            self.disk.retain(|other| other.seq != delivery.seq);
            self.disk.push(delivery);
        }
        self.disk.sort_by_key(|delivery| delivery.seq);
    }

    fn arrive(&mut self, load: &str) -> u64 {
        let seq = self.queue.spill.number();
        let mut write = SpillBatch::default();
        self.queue.arrive(item(load, seq), at(&self.limits, 1, Instant::now()), &mut write);
        self.write(write);
        seq
    }

    /// Starts the next one, which fails and has to wait for a minute.
    fn fail(&mut self) {
        let now = Instant::now();
        let load = self.queue.start(at(&self.limits, 1, now)).unwrap().event().load_id.clone();
        let mut item = self.queue.loads.finish(&load).unwrap();
        let attempt = FailedAttempt {
            at: LIVED,
            status: Some(500),
            cause: String::new(),
            may_have_arrived: true,
            answer: None,
        };
        item.delivery.history.push(attempt, true);
        (item.not_before, item.rewrite) = (Some(now + MINUTE), matches!(item.backing, Backing::Disk));
        let mut write = SpillBatch::default();
        self.queue.put_back(item, at(&self.limits, 1, now), &mut write);
        self.write(write);
    }

    /// Reads what is wanted.
    fn read(&mut self, gate: Gate) -> Wanted {
        let wanted = self.queue.wanted(gate, at(&self.limits, 1, Instant::now()));
        let generation = self.queue.spill.begin_read();
        let on_disk = |seq| self.disk.iter().find(|delivery| delivery.seq == seq).cloned().unwrap();
        let due: Vec<_> = wanted.due.iter().map(|(_, seq)| on_disk(*seq)).collect();
        let mut scan = Scan::new(&wanted, self.queue.deferred.names(), LIVED);
        let mut cursor = self.queue.spill.readable().start;
        for delivery in self.disk.iter().filter(|delivery| delivery.seq >= cursor) {
            if scan.is_done() {
                break;
            }
            scan.meet(delivery.clone());
        }
        cursor = scan.deliveries.last().map_or(cursor, |last| last.seq + 1);
        let Scan { deliveries, passed, .. } = scan;
        let places = Arc::new(Semaphore::new(99));
        let permits = (0..99).map(|_| places.clone().try_acquire_owned().unwrap().into()).collect();
        let loaded = SpillRead { due, missing: Vec::new(), deliveries, passed, permits, cursor, horizon: 0 };
        self.queue.take_in(loaded, generation, at(&self.limits, 1, Instant::now()));
        wanted
    }

    fn open_breaker(&self) {
        let health = &self.queue.broker.health;
        let failure = Failure {
            kind: FailureKind::Transient,
            status: None,
            cause: String::new(),
            retry_after: None,
            may_have_arrived: false,
            answer: None,
        };
        for _ in 0..5 {
            health.on_failure(health.on_attempt(), Instant::now(), &failure, Evidence::Unreached);
        }
    }

    fn probe(&mut self) -> Option<u64> {
        let mut write = SpillBatch::default();
        let probe = self.queue.start_probe(at(&self.limits, 1, Instant::now()), &mut write);
        self.write(write);
        probe.map(|delivery| delivery.seq)
    }
}

#[tokio::test(start_paused = true)]
async fn loads_that_wait_take_no_place_hold_no_other_and_come_back_in_order() {
    let mut bench = Bench::new(1_000);
    for load in 0..50 {
        bench.arrive(&format!("bad {load}"));
        bench.arrive(&format!("bad {load}"));
        bench.fail();
    }
    assert_eq!((bench.queue.loads.waiting(), bench.queue.deferred.len(), bench.disk.len()), (0, 100, 100));
    assert!(!bench.queue.is_idle() && bench.queue.spill.unloaded == 0);
    let good = bench.arrive("good");
    let last = bench.arrive("bad 0");
    assert_eq!(
        bench.queue.start(at(&bench.limits, 1, Instant::now())).unwrap().seq,
        good,
        "straight from memory"
    );
    assert!(bench.queue.wanted(Gate::Open, at(&bench.limits, 1, Instant::now())).is_empty());
    assert_eq!(bench.queue.next_look(Gate::Open, Instant::now()), Some(Instant::now() + MINUTE));
    tokio::time::advance(MINUTE).await;
    assert_eq!(bench.read(Gate::Open).due.len(), 8);
    assert!(
        bench.queue.wanted(Gate::Open, at(&bench.limits, 1, Instant::now())).is_empty(),
        "no more before these are tried"
    );
    let now = Instant::now();
    let first = bench.queue.start(at(&bench.limits, 1, now)).unwrap();
    assert_eq!((first.seq, &*first.event().load_id), (0, "bad 0"));
    let item = bench.queue.loads.finish(&"bad 0".into()).unwrap();
    bench.queue.spill.remove(item.delivery.seq, cost(&item));
    bench.queue.finished(&"bad 0".into(), now);
    let rest: Vec<_> = bench.queue.deferred.due(now, u64::MAX, 99).into_iter().map(|(_, seq)| seq).collect();
    assert!(rest.contains(&1) && rest.contains(&last), "what was behind it follows at once: {rest:?}");
}

#[tokio::test(start_paused = true)]
async fn loads_that_failed_leave_half_of_the_window_to_others_and_all_of_a_window_of_one() {
    let mut bench = Bench::new(1_000);
    for load in 0..8 {
        bench.arrive(&format!("bad {load}"));
    }
    (0..8).for_each(|_| bench.fail());
    tokio::time::advance(MINUTE).await;
    assert_eq!(bench.read(Gate::Open).due.len(), 8);
    let good: Vec<_> = (0..3).map(|load| bench.arrive(&format!("good {load}"))).collect();
    let mut start = |window| {
        bench.queue.window = window;
        bench.queue.start(at(&bench.limits, 1, Instant::now())).unwrap().seq
    };
    assert_eq!(start(1), good[0]);
    assert_eq!([start(4), start(4)], [0, 1]);
    assert_eq!([start(4), start(4)], [good[1], good[2]]);
    assert_eq!(start(4), 2, "there is nothing else");
}

#[tokio::test(start_paused = true)]
async fn what_has_come_due_is_no_reason_to_read_nothing_else() {
    let mut bench = Bench::new(1_000);
    for load in 0..8 {
        bench.arrive(&format!("bad {load}"));
    }
    (0..8).for_each(|_| bench.fail());
    bench.queue.held = true;
    bench.arrive("good");
    bench.queue.held = false;
    tokio::time::advance(MINUTE).await;
    let listed = bench.queue.wanted(Gate::Open, at(&bench.limits, 1, Instant::now()));
    assert_eq!((listed.due.len(), bench.queue.spill.unloaded), (8, 1));
    // The places were enough only for what was due.
    let unloaded = std::mem::take(&mut bench.queue.spill.unloaded);
    bench.read(Gate::Open);
    bench.queue.spill.unloaded = unloaded;
    assert_eq!(bench.queue.loads.ready(), 8);
    bench.queue.window = 1;
    assert_eq!(
        bench.queue.wanted(Gate::Open, at(&bench.limits, 1, Instant::now())),
        Wanted { scan: 8, ..Wanted::default() }
    );
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_behind_a_load_that_waits_lets_the_others_pass() {
    let mut bench = Bench::new(1);
    bench.arrive("bad");
    bench.fail();
    assert_eq!(bench.queue.deferred.len(), 1);
    let (held, good) = (bench.arrive("bad"), bench.arrive("good"));
    let behind = bench.arrive("bad");
    let mut write = SpillBatch::default();
    bench.queue.relieve_overflow(at(&bench.limits, 1, Instant::now()), &mut write);
    assert_eq!(bench.queue.start(at(&bench.limits, 1, Instant::now())).unwrap().seq, good);
    let left: Vec<_> = bench.queue.overflow.iter().map(|item| item.delivery.seq).collect();
    assert_eq!(left, [held, behind]);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_is_tried_with_a_load_that_never_failed_wherever_it_is() {
    let mut bench = Bench::new(1_000);
    for load in 0..4 {
        bench.arrive(&format!("bad {load}"));
    }
    (0..4).for_each(|_| bench.fail());
    bench.open_breaker();
    let mut write = SpillBatch::default();
    let (now, until) = (Instant::now(), Instant::now() + Duration::from_secs(5));
    bench.queue.hold(until, at(&bench.limits, 1, now), &mut write);
    let good = bench.arrive("good");
    assert_eq!(bench.queue.spill.unloaded, 1, "it waits on disk");
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(bench.probe(), None, "the disk has better ones");
    assert_eq!(bench.read(Gate::Probe), Wanted { due: Vec::new(), scan: 2, fresh: true });
    assert_eq!(bench.probe(), Some(good));
    bench.queue.loads.finish(&"good".into()).unwrap();
    // There is none that never failed any more: the one that has been tried least.
    assert_eq!(bench.read(Gate::Probe).due.len(), 1);
    assert_eq!(bench.probe(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_outlasts_its_deadline_is_joined_by_no_second_one() {
    let mut bench = Bench::new(100);
    for load in ["a", "b"] {
        bench.arrive(load);
    }
    bench.open_breaker();
    tokio::time::advance(MINUTE).await;
    assert_eq!(bench.probe(), Some(0));
    tokio::time::advance(60 * MINUTE).await;
    assert_eq!(bench.probe(), None, "it waits for the lease, and so would the other");
    bench.queue.loads.finish(&"a".into()).unwrap();
    assert_eq!(bench.probe(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_is_tried_with_what_waits_on_disk_if_memory_has_failed_more_often() {
    let mut bench = Bench::new(100);
    bench.arrive("good");
    bench.fail();
    bench.arrive("bad");
    bench.open_breaker();
    tokio::time::advance(2 * MINUTE).await;
    let fails = |bench: &mut Bench, times| {
        assert_eq!(bench.probe(), Some(1), "what is in memory");
        let mut item = bench.queue.loads.finish(&"bad".into()).unwrap();
        item.delivery.history.attempts = times;
        bench.queue.loads.push_front(item);
    };
    fails(&mut bench, 1);
    assert!(bench.read(Gate::Probe).is_empty(), "both have failed once");
    fails(&mut bench, 2);
    assert_eq!(bench.read(Gate::Probe).due.len(), 1);
    assert_eq!(bench.probe(), Some(0), "the good one");
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_one_of_its_load_that_is_under_way_is_not_read_from_disk_again_and_again() {
    let mut bench = Bench::new(100);
    bench.arrive("a");
    assert!(bench.queue.start(at(&bench.limits, 1, Instant::now())).is_some(), "an attempt that takes long");
    bench.open_breaker();
    let mut write = SpillBatch::default();
    bench.queue.hold(Instant::now() + MINUTE, at(&bench.limits, 1, Instant::now()), &mut write);
    bench.write(write);
    for load in ["a", "a", "a", "b"] {
        bench.arrive(load);
    }
    let (mut reads, mut probe) = (0, None);
    while probe.is_none() && reads < 10 {
        probe = bench.probe();
        reads += usize::from(!bench.read(Gate::Probe).is_empty());
    }
    assert_eq!(probe, Some(4), "the load that could be tried, after {reads} reads");
    assert!(reads <= 3, "{reads} reads");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_set_aside_keeps_how_often_it_was_tried() {
    let mut bench = Bench::new(100);
    for load in ["bad", "good"] {
        bench.arrive(load);
        bench.arrive(load);
    }
    bench.fail();
    bench.fail();
    tokio::time::advance(MINUTE).await;
    bench.read(Gate::Open);
    let load = bench.queue.start(at(&bench.limits, 1, Instant::now())).unwrap().event().load_id.clone();
    let mut item = bench.queue.loads.finish(&load).unwrap();
    item.delivery.history.attempts = 9;
    item.rewrite = true;
    let mut write = SpillBatch::default();
    bench.queue.put_back(item, at(&bench.limits, 1, Instant::now()), &mut write);
    bench.queue.set_aside(at(&bench.limits, 1, Instant::now()), &mut write);
    bench.write(write);
    let least = bench.queue.deferred.least_tried(Instant::now(), u64::MAX, u32::MAX).unwrap();
    assert_ne!(least.0, load, "the other one has been tried once");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_has_failed_and_is_set_aside_is_not_the_next_to_be_met_on_disk() {
    let mut bench = Bench::new(100);
    bench.arrive("bad");
    bench.fail();
    tokio::time::advance(MINUTE).await;
    let now = Instant::now();
    bench.queue.held = true;
    let good = bench.arrive("good");
    bench.queue.held = false;
    assert_eq!(bench.read(Gate::Open).due.len(), 1);
    let mut write = SpillBatch::default();
    bench.queue.set_aside(at(&bench.limits, 1, now), &mut write);
    bench.write(write);
    assert_eq!((bench.queue.deferred.len(), bench.queue.spill.unloaded), (1, 1));
    assert_eq!(bench.queue.spill.readable().start, good);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_has_failed_does_not_come_before_what_is_set_aside_in_front_of_it() {
    let mut bench = Bench::new(100);
    let (now, mut write) = (Instant::now(), SpillBatch::default());
    for attempts in [0, 0, 3, 0] {
        let mut waits = item("a", bench.queue.spill.number());
        waits.delivery.history.attempts = attempts;
        bench.queue.loads.push(waits);
    }
    bench.queue.set_aside(at(&bench.limits, 1, now), &mut write);
    bench.write(write);
    bench.read(Gate::Open);
    bench.read(Gate::Open);
    let first = bench.queue.start(at(&bench.limits, 1, now)).unwrap();
    assert_eq!(first.seq, 0);
}

#[tokio::test(start_paused = true)]
async fn loads_that_were_read_and_set_aside_untried_keep_their_turn() {
    let mut bench = Bench::new(100);
    // Not in the order of their names.
    for load in ["c", "b", "a"] {
        bench.arrive(load);
        bench.fail();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::advance(MINUTE).await;
    let (now, mut write) = (Instant::now(), SpillBatch::default());
    assert_eq!(bench.read(Gate::Open).due.len(), 3);
    bench.queue.set_aside(at(&bench.limits, 1, now), &mut write);
    bench.write(write);
    let due = bench.queue.deferred.due(now, u64::MAX, 3);
    assert_eq!(due.iter().map(|(load, _)| &**load).collect::<Vec<_>>(), ["c", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_is_not_tried_with_a_load_of_which_an_earlier_one_is_being_given_up() {
    let mut bench = Bench::new(0);
    bench.queue.giving_up.insert(item("a", 0));
    bench.queue.held = true;
    assert_eq!(bench.arrive("a"), 0);
    bench.open_breaker();
    assert_eq!((bench.queue.overflow.len(), bench.probe()), (1, None));
    bench.queue.giving_up.remove(0);
    assert_eq!(bench.probe(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn reading_stops_at_the_bound_of_loads_that_wait_and_goes_on_behind_it() {
    // So many brokers that each may list a thousand.
    const BROKERS: usize = 1_000_000;
    let mut bench = Bench::new(10_000);
    let now = Instant::now();
    for seq in 0..1_100 {
        let mut item = item(&format!("L{seq}"), seq);
        item.not_before = Some(now + MINUTE);
        bench.queue.spill.add(cost(&item));
        bench.queue.spill.unload(seq);
        let number = bench.queue.spill.number();
        assert_eq!(number, seq);
        bench.disk.push(spilled(&item, at(&bench.limits, 1, now)));
    }
    let passed: FxHashSet<_> = (0..1_100).collect();
    let generation = bench.queue.spill.begin_read();
    let loaded = SpillRead {
        due: Vec::new(),
        missing: Vec::new(),
        deliveries: bench.disk.clone(),
        passed,
        permits: Vec::new(),
        cursor: 1_100,
        horizon: 0,
    };
    bench.queue.take_in(loaded, generation, at(&bench.limits, BROKERS, now));
    assert_eq!((bench.queue.deferred.len(), bench.queue.spill.unloaded), (1_024, 76));
    assert_eq!(bench.queue.spill.cursor, 1_024);
    assert!(bench.queue.wanted(Gate::Open, at(&bench.limits, BROKERS, now)).is_empty());
    tokio::time::advance(MINUTE).await;
    let wanted = bench.queue.wanted(Gate::Open, at(&bench.limits, BROKERS, Instant::now()));
    assert_eq!((wanted.due.len(), wanted.scan), (8, 0));
    assert!(bench.queue.deferred.take(&wanted.due[0], Instant::now()));
    assert!(bench.queue.wanted(Gate::Open, at(&bench.limits, BROKERS, Instant::now())).scan > 0);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_often_keeps_no_place_from_whoever_waits_for_one() {
    for (attempts, contended, leaves) in
        [(OFTEN, true, true), (OFTEN, false, false), (OFTEN - 1, true, false)]
    {
        let mut bench = Bench::new(100);
        bench.arrive("bad");
        bench.arrive("bad");
        let now = Instant::now();
        let at = match contended {
            true => At { around: &Contended, ..at(&bench.limits, 1, now) },
            false => at(&bench.limits, 1, now),
        };
        let load = bench.queue.start(at).unwrap().event().load_id.clone();
        let mut item = bench.queue.loads.finish(&load).unwrap();
        item.delivery.history.attempts = attempts;
        // Not too long to be waited out in memory.
        item.not_before = Some(now + at.limits.hold_min);
        let mut write = SpillBatch::default();
        bench.queue.put_back(item, at, &mut write);
        let expected = if leaves { (0, 2) } else { (2, 0) };
        let found = (bench.queue.loads.waiting(), bench.queue.deferred.len());
        assert_eq!(found, expected, "{attempts} attempts, contended: {contended}");
    }
}
