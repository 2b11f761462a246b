//! What the ledger costs as it grows: with ten thousand entries, a million, and ten million if asked for.
//!
//! Look-ups of what is not there and of what is, a commit of 64 records, and opening the directory as a process leaves it
//! that was killed. The goal is a cost that stays level.
//!
//! `cargo bench -p benches --bench store` goes up to a million entries and takes about two minutes, part of it to fill
//! the ledgers, through the same calls as the line. `LOADLINE_BENCH_ENTRIES=10000000` in the environment adds ten
//! million: some minutes more, and by what a million takes about 4 GiB of memory and 6 GiB in the temporary directory
//! (`TMPDIR`), because the copy that is opened stands beside the ledger it is a copy of.
//! `LOADLINE_BENCH_IDS=time-ordered` fills them with ids that grow with time instead of ids that look random, which is
//! the cheap order. With `-- --test` only the smallest is filled.

use std::{cell::OnceCell, time::Duration};

use benches::{
    corpus::Ids,
    is_test,
    ledgers::{Books, copied, delivered, options},
    must,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use state::{Durability, LedgerKey, Store};

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How many entries there are.
const SIZES: [u64; 3] = [10_000, 1_000_000, 10_000_000];

/// Of those, the largest without being asked.
const COMMON: u64 = 1_000_000;

/// Records in a commit.
const BATCH: u64 = 64;

/// The largest ledger to fill.
fn entries_max() -> u64 {
    if is_test() {
        return SIZES[0];
    }
    std::env::var("LOADLINE_BENCH_ENTRIES").map_or(COMMON, |asked| must(asked.parse()))
}

fn ids() -> Ids {
    match std::env::var("LOADLINE_BENCH_IDS").as_deref() {
        Err(_) | Ok("random") => Ids::Random,
        Ok("time-ordered") => Ids::TimeOrdered,
        Ok(other) => unreachable!("LOADLINE_BENCH_IDS is {other:?}: give random or time-ordered"),
    }
}

fn store(criterion: &mut Criterion) {
    let (most, ids) = (entries_max(), ids());
    for entries in SIZES.into_iter().filter(|entries| *entries <= most) {
        // Filled by the first benchmark that the filter lets through.
        let books = OnceCell::new();
        let books = || books.get_or_init(|| Books::filled(entries, ids));
        recovery(criterion, entries, books);
        look_ups(criterion, entries, ids, books);
        record(criterion, entries, ids, books);
    }
}

fn recovery<'b>(criterion: &mut Criterion, entries: u64, books: impl Fn() -> &'b Books) {
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10).warm_up_time(Duration::from_millis(1));
    group.bench_function(BenchmarkId::new("open after a kill", entries), |bencher| {
        let left = books().abandoned();
        bencher.iter_batched(
            || copied(left.path()),
            // Given back before the directory, so that closing the store is not in the number.
            |dir| (must(Store::open(dir.path(), options(Durability::Process))), dir),
            BatchSize::PerIteration,
        );
    });
}

fn look_ups<'b>(criterion: &mut Criterion, entries: u64, ids: Ids, books: impl Fn() -> &'b Books) {
    let mut group = criterion.benchmark_group("look-up");
    group.throughput(Throughput::Elements(1));
    for (name, from, is_there) in [("miss", entries, false), ("hit", 0, true)] {
        group.bench_function(BenchmarkId::new(name, entries), |bencher| {
            // Spread over the whole ledger, and the same few never come twice in a row.
            let key = |turn: u64| {
                let number = from + turn.wrapping_mul(7_919) % entries;
                LedgerKey::new("broker-0", &ids.id(number))
            };
            let (ledger, mut turn) = (&books().ledger, 0);
            bencher.iter_batched(
                || {
                    turn += 1;
                    key(turn)
                },
                |key| {
                    let found = must(ledger.look_up(&key));
                    assert_eq!(found.is_some(), is_there, "{key:?}");
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn record<'b>(criterion: &mut Criterion, entries: u64, ids: Ids, books: impl Fn() -> &'b Books) {
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(BATCH));
    // Behind what is looked up and not found.
    let mut number = 2 * entries;
    group.bench_function(BenchmarkId::new("64 in a commit", entries), |bencher| {
        let books = books();
        bencher.iter_batched(
            || {
                number += BATCH;
                (number - BATCH..number).map(|number| delivered(&ids.id(number))).collect()
            },
            |records| books.commit(records),
            BatchSize::PerIteration,
        );
    });
}

criterion_group! {
    name = stores;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = store
}
criterion_main!(stores);
