//! Ack: deliveries that were taken go on record, one alone or as many as share a commit, for both durabilities.
//!
//! The ledger commits as soon as the group is complete, so that each group costs one flush.

use std::time::Duration;

use benches::{brokers::broker, ledgers::Books, payloads::deliveries};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use futures::{executor::block_on, future::try_join_all};
use stages::{Ack, models::Receipt};
use state::{Clock, Durability};

pub(super) fn bench(criterion: &mut Criterion) {
    let (mut group, broker) = (criterion.benchmark_group("ack"), broker());
    for (name, durability) in [("process", Durability::Process), ("power", Durability::Power)] {
        for size in [1, 64, 512] {
            let books = Books::open(durability, size, Duration::from_secs(1));
            let (ack, mut number) = (Ack::new(&books.ledger, Clock::System), 0);
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_batched(
                    || {
                        number += size as u64;
                        deliveries(number - size as u64..number, &broker)
                    },
                    |deliveries| {
                        let receipt = || Ok(Receipt { failed_attempts: 0, status: 200, at: 0 });
                        let settled = deliveries.iter().map(|delivery| ack.settle(delivery, receipt()));
                        let settled = block_on(try_join_all(settled));
                        assert!(settled.is_ok(), "{settled:?}");
                        // Given back, so that dropping them is not in the number.
                        deliveries
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
}
