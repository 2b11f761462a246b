//! A slot with loads that fail: what they must not hold, and what its broker is tried with.

use rustc_hash::FxHashSet;
use stages::{
    Evidence,
    models::{Failure, FailureKind},
};
use state::{FailedAttempt, SpillUsage, SpilledDelivery};
use tokio::sync::Semaphore;

use super::*;
use crate::line::{
    account::Account,
    limits::Shared,
    load::{Loaded, Scan},
    reading::Wanted,
    testing::{broker, item, limits, tickets},
    write::spilled,
};

const MINUTE: Duration = Duration::from_secs(60);

struct Bench {
    slot: Slot,
    limits: Limits,
    clock: Clock,
    /// What is on disk.
    disk: Vec<SpilledDelivery>,
}

impl Bench {
    /// A slot with room on disk for so many deliveries.
    fn new(room: u64) -> Self {
        let spill_broker_max = room * cost(&item("good", 0));
        let limits = Limits { spill_broker_max, per_broker_max: 100, ..limits() };
        let tickets = tickets();
        tickets.stopping();
        let shared = Arc::new(Shared::new(&limits, 1, tickets));
        let slot = Slot::new(broker(), Account::new(shared, &limits, SpillUsage::default(), 0));
        Self { slot, limits, clock: Clock::simulated(1_000_000), disk: Vec::new() }
    }

    fn write(&mut self, write: Write) {
        for delivery in write.deliveries {
            self.slot.account.written(delivery.seq);
            self.disk.retain(|other| other.seq != delivery.seq);
            self.disk.push(delivery);
        }
        self.disk.sort_by_key(|delivery| delivery.seq);
    }

    fn arrive(&mut self, load: &str) -> u64 {
        let seq = self.slot.account.number();
        let mut write = Write::default();
        self.slot.arrive(item(load, seq), &self.limits, 1, &self.clock, &mut write);
        self.write(write);
        seq
    }

    /// Starts the next one, which fails and has to wait for a minute.
    fn fail(&mut self) {
        let now = Instant::now();
        let load = self.slot.start(now).unwrap().event().load_id.clone();
        let mut item = self.slot.queue.finish(&load).unwrap();
        let attempt = FailedAttempt {
            at: self.clock.now(),
            status: Some(500),
            cause: String::new(),
            may_have_arrived: true,
        };
        item.delivery.history.push(attempt, true);
        (item.not_before, item.rewrite) = (Some(now + MINUTE), matches!(item.origin, Origin::Disk));
        let mut write = Write::default();
        self.slot.put_back(item, now, (&self.limits, 1), &self.clock, &mut write);
        self.write(write);
    }

    /// Reads what is wanted.
    fn read(&mut self, gate: Gate) -> Wanted {
        let wanted = self.slot.wanted(gate, 1, Instant::now());
        let generation = self.slot.account.begin_load();
        let on_disk = |seq| self.disk.iter().find(|delivery| delivery.seq == seq).cloned().unwrap();
        let due: Vec<_> = wanted.due.iter().map(|(_, seq)| on_disk(*seq)).collect();
        let mut scan = Scan::new(&wanted, self.slot.deferred.names(), self.clock.now());
        let mut cursor = self.slot.account.readable().start;
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
        let loaded = Loaded { due, missing: Vec::new(), deliveries, passed, permits, cursor, horizon: 0 };
        self.slot.take_in(loaded, generation, Instant::now(), 1, &self.clock);
        wanted
    }

    fn open_breaker(&self) {
        let health = &self.slot.broker.health;
        let failure = Failure {
            kind: FailureKind::Transient,
            status: None,
            cause: String::new(),
            retry_after: None,
            may_have_arrived: false,
        };
        for _ in 0..5 {
            health.on_failure(health.on_attempt(), Instant::now(), &failure, Evidence::Unreached);
        }
    }

    fn probe(&mut self) -> Option<u64> {
        let mut write = Write::default();
        let probe = self.slot.start_probe(Instant::now(), 1, &self.clock, &mut write);
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
    assert_eq!((bench.slot.queue.waiting(), bench.slot.deferred.len(), bench.disk.len()), (0, 100, 100));
    assert!(!bench.slot.is_idle() && bench.slot.account.unloaded == 0);
    let good = bench.arrive("good");
    let last = bench.arrive("bad 0");
    assert_eq!(bench.slot.start(Instant::now()).unwrap().seq, good, "straight from memory");
    assert!(bench.slot.wanted(Gate::Open, 1, Instant::now()).is_empty());
    assert_eq!(bench.slot.next_look(Gate::Open, Instant::now()), Some(Instant::now() + MINUTE));
    tokio::time::advance(MINUTE).await;
    assert_eq!(bench.read(Gate::Open).due.len(), 8);
    assert!(bench.slot.wanted(Gate::Open, 1, Instant::now()).is_empty(), "no more before these are tried");
    let now = Instant::now();
    let first = bench.slot.start(now).unwrap();
    assert_eq!((first.seq, &*first.event().load_id), (0, "bad 0"));
    let item = bench.slot.queue.finish(&"bad 0".into()).unwrap();
    bench.slot.account.remove(item.delivery.seq, cost(&item));
    bench.slot.went(&"bad 0".into(), now);
    let rest: Vec<_> = bench.slot.deferred.due(now, u64::MAX, 99).into_iter().map(|(_, seq)| seq).collect();
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
        bench.slot.window = window;
        bench.slot.start(Instant::now()).unwrap().seq
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
    bench.slot.held = true;
    bench.arrive("good");
    bench.slot.held = false;
    tokio::time::advance(MINUTE).await;
    let listed = bench.slot.wanted(Gate::Open, 1, Instant::now());
    assert_eq!((listed.due.len(), bench.slot.account.unloaded), (8, 1));
    // The places were enough only for what was due.
    let unloaded = std::mem::take(&mut bench.slot.account.unloaded);
    bench.read(Gate::Open);
    bench.slot.account.unloaded = unloaded;
    assert_eq!(bench.slot.queue.ready(), 8);
    bench.slot.window = 1;
    assert_eq!(bench.slot.wanted(Gate::Open, 1, Instant::now()), Wanted { scan: 8, ..Wanted::default() });
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_behind_a_load_that_waits_lets_the_others_pass() {
    let mut bench = Bench::new(1);
    bench.arrive("bad");
    bench.fail();
    assert_eq!(bench.slot.deferred.len(), 1);
    let (held, good) = (bench.arrive("bad"), bench.arrive("good"));
    let behind = bench.arrive("bad");
    let mut write = Write::default();
    bench.slot.relieve_overflow(&bench.limits, 1, &bench.clock, &mut write);
    assert_eq!(bench.slot.start(Instant::now()).unwrap().seq, good);
    let left: Vec<_> = bench.slot.overflow.iter().map(|item| item.delivery.seq).collect();
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
    let mut write = Write::default();
    let (now, until) = (Instant::now(), Instant::now() + Duration::from_secs(5));
    bench.slot.hold(until, now, bench.limits.hold_min, &bench.clock, &mut write);
    let good = bench.arrive("good");
    assert_eq!(bench.slot.account.unloaded, 1, "it waits on disk");
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(bench.probe(), None, "the disk has better ones");
    assert_eq!(bench.read(Gate::Probe), Wanted { due: Vec::new(), scan: 2, fresh: true });
    assert_eq!(bench.probe(), Some(good));
    bench.slot.queue.finish(&"good".into()).unwrap();
    bench.slot.broker.health.release_probe(Instant::now());
    // There is none that never failed any more: the one that has been tried least.
    assert_eq!(bench.read(Gate::Probe).due.len(), 1);
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
        bench.slot.account.add(cost(&item));
        bench.slot.account.unload(seq);
        let number = bench.slot.account.number();
        assert_eq!(number, seq);
        bench.disk.push(spilled(&item, &bench.clock));
    }
    let passed: FxHashSet<_> = (0..1_100).collect();
    let generation = bench.slot.account.begin_load();
    let loaded = Loaded {
        due: Vec::new(),
        missing: Vec::new(),
        deliveries: bench.disk.clone(),
        passed,
        permits: Vec::new(),
        cursor: 1_100,
        horizon: 0,
    };
    bench.slot.take_in(loaded, generation, now, BROKERS, &bench.clock);
    assert_eq!((bench.slot.deferred.len(), bench.slot.account.unloaded), (1_024, 76));
    assert_eq!(bench.slot.account.cursor, 1_024);
    assert!(bench.slot.wanted(Gate::Open, BROKERS, now).is_empty());
    tokio::time::advance(MINUTE).await;
    let wanted = bench.slot.wanted(Gate::Open, BROKERS, Instant::now());
    assert_eq!((wanted.due.len(), wanted.scan), (8, 0));
    assert!(bench.slot.deferred.take(&wanted.due[0], Instant::now()));
    assert!(bench.slot.wanted(Gate::Open, BROKERS, Instant::now()).scan > 0);
}
