//! Retry: what an attempt that succeeds at once pays for the loop around it.

use benches::{
    brokers::broker,
    ledgers::Books,
    payloads::{RECORDS, deliveries, fresh, now},
    stub::{Lap, Wire},
};
use criterion::{Criterion, Throughput};
use stages::{AttemptExt, Dedupe, RetryPolicy};
use state::{Clock, Durability};

pub(super) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retry");
    group.throughput(Throughput::Elements(1));
    let books = Books::prompt(Durability::Process);
    let dedupe = Dedupe::new(&books.ledger);
    let deliveries = deliveries(0..RECORDS, &broker());
    let attempt = Wire { dead: 0, lap: Lap::of(u64::MAX) }.retry(RetryPolicy::default(), Clock::System);
    let mut turns = deliveries.iter().cycle();
    group.bench_function("taken at once", |bencher| {
        bencher.iter_batched(
            || turns.next().map(|delivery| fresh(&dedupe, delivery)),
            |fresh| fresh.map(|fresh| now(&attempt, fresh)),
            super::CLAIMING,
        );
    });
}
