//! Deliver: a permitted delivery is posted, and the answer read.
//!
//! `headers` is all that happens before the HTTP client. The client cannot be taken away from the stage, so the least
//! that a delivery can cost is measured against a stub on the same thread, which only knows where a request ends;
//! `loopback` is the hyper receiver in a thread of its own.

use std::net::SocketAddr;

use benches::{
    brokers::broker_at,
    ledgers::Books,
    loopback::{receiver_in_a_thread, runtime, stub_on},
    must,
    payloads::{RECORDS, deliveries, permitted},
};
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use futures::future::join_all;
use stages::{
    Dedupe, Deliver, HttpClients, HttpOptions, LoadFilter, Stage,
    models::{Attempt, Ordinal},
};
use state::{Clock, Durability};
use std::time::Duration;
use tokio::runtime::Runtime;

/// The most deliveries under way at once.
const AT_ONCE: usize = 64;

pub(super) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deliver");
    headers(&mut group);
    let stub = runtime();
    let address = stub_on(&stub);
    exchange(&mut group, "stub", &stub, address);
    let shard = runtime();
    exchange(&mut group, "loopback", &shard, receiver_in_a_thread());
}

fn headers(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.throughput(Throughput::Elements(1));
    let broker = broker_at("https://tms.example.com/hook", 0, LoadFilter::All, 1);
    let deliveries = deliveries(0..RECORDS, &broker);
    let (terms, mut turns) = (broker.terms(), deliveries.iter().cycle());
    group.bench_function("headers", |bencher| {
        bencher.iter(|| {
            let event = turns.next()?.event();
            terms
                .endpoint
                .headers(
                    &event.event_id,
                    1_795_000_000,
                    &event.body,
                    Ordinal { attempt: 1, may_repeat: false },
                )
                .ok()
        });
    });
}

fn exchange(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, runtime: &Runtime, receiver: SocketAddr) {
    let options = HttpOptions {
        connection_age_max: Duration::from_secs(300),
        connect_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(60),
        idle_per_host_max: AT_ONCE,
        extra_ca_pem: Vec::new(),
    };
    let clients = must(HttpClients::new(1, &options));
    let deliver = Deliver::new(clients, Clock::System, 64 << 10);
    let books = Books::prompt(Durability::Process);
    let dedupe = Dedupe::new(&books.ledger);
    let broker = broker_at(&format!("http://{receiver}/hook"), 0, LoadFilter::All, AT_ONCE);
    let deliveries = deliveries(0..RECORDS, &broker);
    let mut turns = deliveries.iter().cycle();
    for at_once in [1, AT_ONCE] {
        group.throughput(Throughput::Elements(at_once as u64));
        group.bench_function(BenchmarkId::new(name, at_once), |bencher| {
            bencher.iter_batched(
                || turns.by_ref().take(at_once).map(|delivery| permitted(&dedupe, delivery)).collect(),
                |batch: Vec<_>| {
                    let attempts = runtime.block_on(join_all(batch.into_iter().map(|one| deliver.run(one))));
                    for attempt in attempts {
                        assert!(matches!(attempt, Ok(Attempt::Accepted(_))), "{attempt:?}");
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
}
