//! The whole line, as `loadline run` runs it: from a file of 5,000 events, 12 brokers on a receiver in a thread of its
//! own get 12,000 deliveries, each signed and on record durably. Opening the state directory and closing it are in the
//! number.
//!
//! `cargo bench -p benches --bench line`.

use std::{fmt::Write, fs, net::SocketAddr, time::Duration};

use benches::{
    brokers::SECRETS,
    corpus::{self, STATUSES},
    loopback::{receiver_in_a_thread, runtime},
    must,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lab::{BrokerTable, RunDir};
use line::stop::stop;
use service::{config::Config, engine};
use tempfile::TempDir;

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const EVENTS: u64 = 5_000;
const BROKERS: usize = 12;

/// Twelve brokers with the events of one status each, a fifth of all; each shard gets its share.
const DELIVERIES: u64 = EVENTS / 5 * BROKERS as u64;

/// A directory with the events, a config, and no state yet.
fn prepared(events: &str, receiver: SocketAddr) -> (TempDir, Config) {
    let temporary = must(TempDir::new());
    let mut dir = must(RunDir::new(temporary.path()));
    must(fs::write(dir.path("events.ndjson"), events));
    dir.set("source.path", "events.ndjson");
    dir.set("rules.age_max", "3650d");
    dir.set("rules.ahead_max", "365d");
    let secret = must(dir.keep_secret("secret", SECRETS[0]));
    for (broker, status) in (0..BROKERS).zip(STATUSES.iter().cycle()) {
        let url = format!("http://{receiver}/{broker}");
        let table = BrokerTable::new(&format!("b{broker}"), url, secret.as_str());
        let table = table.with("rate", 1_000_000).with("burst", 1_000_000).with("statuses", vec![*status]);
        dir.add_broker(table);
    }
    let config = must(Config::load(&must(dir.save())));
    (temporary, config)
}

fn whole(criterion: &mut Criterion) {
    let mut events = String::new();
    for number in 0..EVENTS {
        must(writeln!(events, "{}", corpus::event(number)));
    }
    let receiver = receiver_in_a_thread();
    let mut group = criterion.benchmark_group("line");
    group.throughput(Throughput::Elements(DELIVERIES));
    group.bench_function("a file to 12 brokers", |bencher| {
        bencher.iter_batched(
            || prepared(&events, receiver),
            |(dir, config)| {
                let (_stopper, stop) = stop();
                let summary = must(runtime().block_on(engine::run(&config, stop, |_| {})));
                assert_eq!((summary.delivered, summary.dead_letters), (DELIVERIES, 0), "{summary:?}");
                dir
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group! {
    name = line;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5)).warm_up_time(Duration::from_millis(500));
    targets = whole
}
criterion_main!(line);
