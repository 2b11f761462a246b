//! Route: an event becomes its deliveries, three or four of them however many brokers there are.

use std::sync::Arc;

use benches::{
    brokers::subscribed,
    payloads::{RECORDS, events, now},
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use stages::{Route, Subscriptions};

pub(super) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(1));
    let events = events(0..RECORDS);
    for count in [12, 10_000] {
        let route = Route::new(Arc::new(Subscriptions::new(subscribed(count))));
        let mut turns = events.iter().cycle();
        group.bench_function(BenchmarkId::new("brokers", count), |bencher| {
            bencher.iter_batched(
                || turns.next().cloned(),
                |event| event.map(|event| now(&route, event)),
                BatchSize::SmallInput,
            );
        });
    }
}
