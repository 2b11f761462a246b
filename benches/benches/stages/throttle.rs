//! Throttle: a fresh delivery gets leave to be attempted from a quota that has permits left.

use benches::{
    brokers::broker,
    ledgers::Books,
    payloads::{RECORDS, deliveries, fresh, now},
};
use criterion::{Criterion, Throughput};
use stages::{Dedupe, Throttle};
use state::Durability;

pub(super) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("throttle");
    group.throughput(Throughput::Elements(1));
    let books = Books::prompt(Durability::Process);
    let (dedupe, throttle) = (Dedupe::new(&books.ledger), Throttle::new());
    let deliveries = deliveries(0..RECORDS, &broker());
    let mut turns = deliveries.iter().cycle();
    group.bench_function("open", |bencher| {
        bencher.iter_batched(
            || turns.next().map(|delivery| fresh(&dedupe, delivery)),
            |fresh| fresh.map(|fresh| now(&throttle, fresh)),
            super::CLAIMING,
        );
    });
}
