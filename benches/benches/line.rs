//! The whole line, as `loadline run` runs it: a file of 5,000 events enters, 12 brokers on a receiver in a thread of its
//! own get 12,000 deliveries, each signed and on record durably. Opening the state directory and closing it are in the
//! number.
//!
//! `cargo bench -p benches --bench line`.

use std::{fmt::Write, fs, net::SocketAddr, path::Path, time::Duration};

use benches::{
    brokers::SECRETS,
    corpus,
    loopback::{receiver_in_a_thread, runtime},
    must,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pipeline::{config::Config, engine, stop::stop};
use tempfile::TempDir;

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const EVENTS: u64 = 5_000;
const BROKERS: usize = 12;

/// The statuses the brokers take turns to want: each gets a fifth of the events, and each shard its share.
const STATUSES: [&str; 5] = ["posted", "matched", "accepted", "in-transit", "delivered"];

/// Twelve brokers with a fifth of the events each.
const DELIVERIES: u64 = EVENTS / 5 * BROKERS as u64;

fn config(dir: &Path, receiver: SocketAddr) -> String {
    let dir = dir.display();
    let mut config = format!(
        "[source]\nkind = \"file\"\npath = \"{dir}/events.ndjson\"\n\
         [state]\ndir = \"{dir}/state\"\n\
         [delivery]\nallow_http = true\nallow_networks = [\"127.0.0.0/8\"]\n\
         [rules]\nage_max = \"3650d\"\nahead_max = \"365d\"\n"
    );
    for (broker, status) in (0..BROKERS).zip(STATUSES.iter().cycle()) {
        must(write!(
            config,
            "[[brokers]]\nid = \"b{broker}\"\nurl = \"http://{receiver}/{broker}\"\nsecrets = [\"file:{dir}/secret\"]\n\
             rate = 1000000\nburst = 1000000\nstatuses = [\"{status}\"]\n"
        ));
    }
    config
}

/// A directory with the events, a config, and no state yet.
fn prepared(events: &str, receiver: SocketAddr) -> (TempDir, Config) {
    let dir = must(TempDir::new());
    must(fs::write(dir.path().join("events.ndjson"), events));
    must(fs::write(dir.path().join("secret"), SECRETS[0]));
    let path = dir.path().join("loadline.toml");
    must(fs::write(&path, config(dir.path(), receiver)));
    let config = must(Config::load(&path));
    (dir, config)
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
