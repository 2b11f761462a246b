//! What each stage costs by itself: one payload enters, nothing of the line is in the number.
//!
//! `cargo bench -p benches`; a filter such as `cargo bench -p benches -- route` runs a part. Absolute figures belong
//! to the machine; what matters is that the stages before the ledger stay far below what a request costs (15 to
//! 20 µs), and that look-ups do not grow with the brokers.

use std::{hint::black_box, num::NonZeroU32, sync::Arc, time::Duration};

use benches::corpus;
use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{FutureExt, executor::block_on};
use stages::{
    BreakerPolicy, Decode, Dedupe, Egress, Endpoint, Health, Quota, RetryBudgetPolicy, Route, Rules, Schema,
    Signer, SigningKey, Stage, Subscriptions, Validate,
    models::{Broker, Delivery, LoadFilter, RawRecord, Subscription, Terms, ValidEvent},
};
use state::{
    BodyDigest, Clock, CommitOptions, Durability, Ledger, LedgerKey, Position, Record, Store, StoreOptions,
};

/// Records that take turns, so that no branch predictor learns one by heart.
const RECORDS: u64 = 1_000;

/// What one stage's result is when it must be there at once: none of the stages measured here waits.
fn now<S: Stage>(stage: &S, input: S::In) -> S::Out {
    match stage.run(input).now_or_never() {
        Some(Ok(out)) => out,
        Some(Err(exit)) => unreachable!("the corpus is clean: {exit:?}"),
        None => unreachable!("nothing holds what this stage waits for"),
    }
}

fn raw(number: u64, body: String) -> RawRecord {
    let bytes = Bytes::from(body);
    let full_len = bytes.len() as u64;
    RawRecord {
        position: Position::new("bench".into(), 0, number),
        bytes,
        full_len,
        read_at: 0,
        unreadable: None,
    }
}

/// The corpus's event in a CloudEvents 1.0 envelope.
fn cloudevent(number: u64) -> String {
    let event = corpus::event(number);
    format!(
        r#"{{"specversion":"1.0","id":"e-{number}","source":"/loads","type":"load.status","time":"2026-11-20T10:00:00Z","datacontenttype":"application/json","data":{event}}}"#
    )
}

fn records() -> Vec<RawRecord> {
    (0..RECORDS).map(|number| raw(number, corpus::event(number))).collect()
}

/// The corpus is dated; a machine whose clock is not must not matter.
fn rules() -> Rules {
    Rules { ahead_max: Duration::from_secs(100 * 365 * 86_400), ..Rules::default() }
}

fn events() -> Vec<ValidEvent> {
    let (decode, validate) = (Decode::new(Schema::flat()), Validate::new(rules(), Clock::System));
    records().into_iter().map(|record| now(&validate, now(&decode, record))).collect()
}

fn signer() -> Signer {
    let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    match key.and_then(|key| Signer::new(vec![key])) {
        Ok(signer) => signer,
        Err(error) => unreachable!("the key is well formed: {error}"),
    }
}

fn broker(ordinal: usize, loads: LoadFilter) -> Arc<Broker> {
    let timeout = Duration::from_secs(5);
    let headers = Default::default();
    let url = "https://tms.example.com/hook";
    let endpoint = Endpoint::new(url, &headers, signer(), timeout, &Egress::default());
    let quota = Quota::new(1_000.0, NonZeroU32::MIN.saturating_add(999));
    let (Ok(endpoint), Ok(quota)) = (endpoint, quota) else { unreachable!("both are well formed") };
    let subscription = Subscription { statuses: None, loads };
    let terms = Terms { subscription, endpoint, quota: Arc::new(quota), concurrency: 32 };
    let health = Health::new(BreakerPolicy::default(), RetryBudgetPolicy::default());
    Arc::new(Broker::new(format!("broker-{ordinal}"), ordinal, 0, terms, health))
}

/// Three brokers that want all loads, and others that want a hundred each by prefix.
fn brokers(count: usize) -> Vec<Arc<Broker>> {
    let loads = |ordinal: usize| match ordinal {
        0..3 => LoadFilter::All,
        _ => LoadFilter::Prefix(format!("LD-{:06}", ordinal - 3)),
    };
    (0..count).map(|ordinal| broker(ordinal, loads(ordinal))).collect()
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    let envelopes: Vec<_> = (0..RECORDS).map(|number| raw(number, cloudevent(number))).collect();
    for (name, schema, records) in
        [("flat", Schema::flat(), records()), ("cloudevents", Schema::cloudevents(), envelopes)]
    {
        let (decode, mut turns) = (Decode::new(schema), records.iter().cycle());
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || turns.next().cloned(),
                |record| record.map(|record| now(&decode, record)),
                BatchSize::SmallInput,
            );
        });
    }
}

fn validate(criterion: &mut Criterion) {
    let (decode, validate) = (Decode::new(Schema::flat()), Validate::new(rules(), Clock::System));
    let events: Vec<_> = records().into_iter().map(|record| now(&decode, record)).collect();
    let mut turns = events.iter().cycle();
    let mut group = criterion.benchmark_group("validate");
    group.throughput(Throughput::Elements(1));
    // Most of it is the digest of the body.
    group.bench_function("one event", |bencher| {
        bencher.iter_batched(
            || turns.next().cloned(),
            |event| event.map(|event| now(&validate, event)),
            BatchSize::SmallInput,
        );
    });
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(1));
    let events = events();
    for count in [12, 10_000] {
        let route = Route::new(Arc::new(Subscriptions::new(brokers(count))));
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

fn sign(criterion: &mut Criterion) {
    let (signer, body) = (signer(), corpus::event(1));
    let mut group = criterion.benchmark_group("sign");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("one key", |bencher| {
        bencher.iter(|| {
            signer.sign(black_box("01a1e407-3f5e-710e"), black_box(1_795_000_000), black_box(body.as_bytes()))
        });
    });
}

/// A ledger in a directory of its own; the directory goes when the caller is done.
fn ledger(durability: Durability) -> (Ledger, tempfile::TempDir) {
    let options =
        StoreOptions { durability, dedupe_window: 7 * 86_400_000, cache: 128 << 20, clock: Clock::System };
    // No linger: a lone record would measure the wait for company.
    let commits = CommitOptions { commit_max: 512, linger: Duration::ZERO, inbox_max: 4_096 };
    let opened = tempfile::tempdir().ok().and_then(|dir| {
        let store = Store::open(dir.path(), options).ok()?;
        Ledger::start(store, commits).ok().map(|(ledger, _thread)| (ledger, dir))
    });
    match opened {
        Some(opened) => opened,
        None => unreachable!("a new directory opens"),
    }
}

fn delivered(event_id: &str) -> Record {
    let (key, digest) = (LedgerKey::new("broker-0", event_id), BodyDigest::of(event_id.as_bytes()));
    Record::Delivered { key, digest, failed_attempts: 0, spilled: None }
}

fn commit_all(ledger: &Ledger, records: Vec<Record>) {
    if let Err(fault) = block_on(ledger.record_all(records)) {
        unreachable!("the ledger writes: {fault}");
    }
}

fn dedupe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dedupe");
    group.throughput(Throughput::Elements(1));
    let (ledger, _dir) = ledger(Durability::Process);
    for chunk in 0..100 {
        let ids = (0..1_000).map(|number| format!("{:032x}", spread(chunk * 1_000 + number)));
        commit_all(&ledger, ids.map(|id| delivered(&id)).collect());
    }
    let dedupe = Dedupe::new(&ledger);
    let broker = broker(0, LoadFilter::All);
    let deliveries: Vec<_> = events().into_iter().map(|event| Delivery::new(event, broker.clone())).collect();
    let fresh = |delivery: &Delivery| Delivery::new(delivery.event.clone(), delivery.broker.clone());
    let mut turns = deliveries.iter().cycle();
    group.bench_function("miss among 100,000 entries", |bencher| {
        bencher.iter_batched(
            || turns.next().map(fresh),
            // Dropped here, because it holds a claim, and the same event comes round again.
            |delivery| delivery.map(|delivery| drop(now(&dedupe, delivery))),
            BatchSize::SmallInput,
        );
    });
    let records = deliveries.iter().map(|delivery| {
        let (event, broker) = (delivery.event(), &delivery.broker.id);
        let key = LedgerKey::new(broker, &event.event_id);
        Record::Delivered { key, digest: event.digest, failed_attempts: 0, spilled: None }
    });
    commit_all(&ledger, records.collect());
    group.bench_function("hit among 100,000 entries", |bencher| {
        bencher.iter_batched(
            || turns.next().map(fresh),
            |delivery| delivery.map(|delivery| drop(dedupe.run(delivery).now_or_never())),
            BatchSize::SmallInput,
        );
    });
}

/// Event ids that are not those of the corpus, spread like random ones.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit");
    for (name, durability) in [("process", Durability::Process), ("power", Durability::Power)] {
        for size in [1_u64, 64, 512] {
            let ((ledger, _dir), mut number) = (ledger(durability), 0);
            group.throughput(Throughput::Elements(size));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_batched(
                    || {
                        number += size;
                        (number - size..number).map(|id| delivered(&format!("{id:032x}"))).collect()
                    },
                    |records| commit_all(&ledger, records),
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

criterion_group! {
    name = stages;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = decode, validate, route, sign, dedupe, commit
}
criterion_main!(stages);
