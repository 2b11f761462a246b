//! Dedupe: a delivery is looked up among 100,000 others. What the ledger's size and its ids' order do to a look-up is the
//! benchmark `store`'s.

use benches::{
    brokers::several,
    corpus::Ids,
    ledgers::Books,
    payloads::{RECORDS, again, deliveries, now},
};
use criterion::{BatchSize, Criterion, Throughput};
use futures::FutureExt;
use stages::{
    Dedupe, Stage,
    models::{Delivery, Exit, Undeliverable, Verdict},
};
use state::{BodyDigest, LedgerKey, Record};

/// Others in the ledger; their ids are none of those that are looked up.
const OTHERS: u64 = 100_000;

pub(super) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dedupe");
    group.throughput(Throughput::Elements(1));
    let books = Books::filled(OTHERS, Ids::Random);
    let dedupe = Dedupe::new(&books.ledger);
    let brokers = several(4, 32);
    // To broker 0 everything was delivered, by what the ledger holds; to 1 nothing.
    let [_, missed, hit, conflicting] = &brokers[..] else { return };
    let (missed, hit, conflicting) = (
        deliveries(OTHERS..OTHERS + RECORDS, missed),
        deliveries(OTHERS..OTHERS + RECORDS, hit),
        deliveries(OTHERS..OTHERS + RECORDS, conflicting),
    );
    let other_body = BodyDigest::of(b"another body");
    let records = hit.iter().map(|delivery| record(delivery, delivery.event().digest));
    books.commit(records.chain(conflicting.iter().map(|delivery| record(delivery, other_body))).collect());

    let mut turns = missed.iter().cycle();
    group.bench_function("miss", |bencher| {
        bencher.iter_batched(
            || turns.next().map(again),
            // Dropped here, because it holds a claim, and the same event comes round again.
            |delivery| delivery.map(|delivery| drop(now(&dedupe, delivery))),
            BatchSize::SmallInput,
        );
    });
    let is_duplicate: fn(&Verdict) -> bool = |verdict| matches!(verdict, Verdict::Duplicate { .. });
    let is_conflict: fn(&Verdict) -> bool =
        |verdict| matches!(verdict, Verdict::Undeliverable { why: Undeliverable::Conflict { .. }, .. });
    for (name, deliveries, is_meant) in [("hit", hit, is_duplicate), ("conflict", conflicting, is_conflict)] {
        let mut turns = deliveries.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || turns.next().map(again),
                |delivery| match delivery.and_then(|delivery| dedupe.run(delivery).now_or_never()) {
                    Some(Err(Exit::Verdict(verdict))) if is_meant(&verdict) => verdict,
                    other => unreachable!("the ledger says something else: {other:?}"),
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn record(delivery: &Delivery, digest: BodyDigest) -> Record {
    let key = LedgerKey::new(&delivery.broker.id, &delivery.event().event_id);
    Record::Delivered { key, digest, failed_attempts: 0, spilled: None }
}
