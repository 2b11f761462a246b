//! What the line itself costs a delivery: the real queues, shards and tickets over records in memory, with stages that
//! answer at once. A lap is from the first record taken in to the last delivery answered; starting the line and ending
//! it are not in it. One shard, so that the number is one core's.
//!
//! `brokers/loads`: each record is one delivery, the brokers take turns, and so do the loads of each. Nothing is put on
//! record. The cost should not depend on how many brokers there are.
//!
//! `one dead of sixteen`: with dedupe and ack, the stub stands only for the network. The brokers that are well should
//! not be slower for the one that fails, which spills; its own deliveries are not counted.
//!
//! `cargo bench -p benches --bench scheduler`.

use std::{sync::Arc, time::Duration};

use benches::{
    brokers::several,
    ledgers::Books,
    loopback::runtime,
    must,
    payloads::event_of,
    stub::{Fan, Known, Lap, Memory, Wire},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use line::{Limits, Line, LineReport, Settling, fixed, ingest, stop::stop};
use stages::{
    Ack, AttemptExt, Broker, Dedupe, RetryPolicy, Stage,
    models::{Delivery, RawRecord, Receipt, ValidEvent},
};
use state::{Clock, Durability, Ledger};

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As the config's default.
const UNSETTLED_MAX: usize = 65_536;

/// Brokers in the lap with a dead one.
const SIXTEEN: usize = 16;

/// The config's defaults, but for spilling: nothing here waits long enough, unless its broker is dead.
fn limits() -> Limits {
    Limits {
        in_flight_max: 4_096,
        memory_max: 512 << 20,
        per_broker_max: 1_024,
        spill_broker_max: 1 << 30,
        spill_total_max: 1 << 30,
        full_letters_max: 0,
        spill_after: Duration::from_secs(3_600),
        hold_min: Duration::from_secs(2),
        // For as long as a commit can take; only a dead broker's deliveries are waited for in vain.
        drain: Duration::from_millis(500),
        grace: Duration::from_secs(10),
        hand_over: Duration::ZERO,
        shards: 1,
    }
}

/// The deliveries of a lap, by the offset of their record.
type Deliveries = Arc<[(ValidEvent, Arc<Broker>)]>;

fn deliveries(count: u64, brokers: &[Arc<Broker>], loads: u64) -> Deliveries {
    let names: Vec<Arc<str>> = (0..loads).map(|load| format!("LD-{load:08}").into()).collect();
    let brokers_count = brokers.len() as u64;
    let delivery = |number: u64| {
        let broker = &brokers[(number % brokers_count) as usize];
        let load = &names[(number / brokers_count % loads) as usize];
        (event_of(load, number, broker), broker.clone())
    };
    (0..count).map(delivery).collect()
}

fn run<First, Second>(line: Settling<First, Second>, count: u64, ledger: &Ledger) -> LineReport
where
    First: Stage<In = RawRecord, Out = Vec<Delivery>>,
    Second: Stage<In = Delivery, Out = Receipt>,
{
    let (_stopper, stop) = stop();
    let records = must(ingest(fixed([Memory(count).into_partition()]), ledger, UNSETTLED_MAX));
    must(runtime().block_on(line.run(records, stop, |_| {})))
}

/// How long a lap took of which everything must have been answered.
fn took(lap: &Lap) -> Duration {
    let Some(took) = lap.took() else { unreachable!("not every delivery was answered: {lap:?}") };
    took
}

fn many_brokers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    let books = Books::prompt(Durability::Process);
    for count in [1_usize, 16, 256, 10_000] {
        for loads in [1, 64] {
            let brokers = several(count, 64);
            // Ten for each of ten thousand.
            let deliveries = deliveries(if count > 1_000 { 100_000 } else { 20_000 }, &brokers, loads);
            let length = deliveries.len() as u64;
            group.throughput(Throughput::Elements(length));
            let id = BenchmarkId::new(format!("{count} brokers"), format!("{loads} loads"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|laps| {
                    let one = |_| {
                        let (lap, deliveries) = (Lap::of(length), deliveries.clone());
                        let line = Line::intake(Fan { deliveries, lap: lap.clone() })
                            .per_broker(&brokers, limits())
                            .then(Known(lap.clone()))
                            .settle(Ack::new(&books.ledger, Clock::System));
                        let report = run(line, length, &books.ledger);
                        assert_eq!((report.settled, report.spilled), (length, 0), "something spilled");
                        took(&lap)
                    };
                    (0..laps).map(one).sum()
                });
            });
        }
    }
}

fn one_dead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one dead of sixteen");
    let (length, loads) = (20_000, 64);
    for (name, dead) in [("all well", 0), ("one dead", 1)] {
        let counted = length - length * dead as u64 / SIXTEEN as u64;
        group.throughput(Throughput::Elements(counted));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|laps| {
                let one = |_| {
                    // Anew each time: the ledger must not know the events, nor a broker that it is dead.
                    let (books, brokers) = (Books::prompt(Durability::Process), several(SIXTEEN, 64));
                    let (lap, deliveries) = (Lap::of(counted), deliveries(length, &brokers, loads));
                    let attempt = Wire { dead, lap: lap.clone() };
                    let line = Line::intake(Fan { deliveries, lap: lap.clone() })
                        .per_broker(&brokers, limits())
                        .then(Dedupe::new(&books.ledger))
                        .then(attempt.retry(RetryPolicy::default(), Clock::System))
                        .settle(Ack::new(&books.ledger, Clock::System));
                    let report = run(line, length, &books.ledger);
                    assert_eq!((report.settled, report.spilled), (length, length - counted), "{report:?}");
                    took(&lap)
                };
                (0..laps).map(one).sum()
            });
        });
    }
}

criterion_group! {
    name = scheduler;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = many_brokers, one_dead
}
criterion_main!(scheduler);
