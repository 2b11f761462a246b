//! The codec: what is kept goes into bytes and comes back: a ledger entry, a delivery that waits on disk (its event with
//! it), a dead letter.

use std::hint::black_box;

use benches::{
    brokers::broker,
    ledgers::Books,
    must,
    payloads::{dead_letter, spilled},
};
use criterion::{Criterion, Throughput};
use state::{BodyDigest, DeadLetter, Durability, LedgerEntry, Outcome};

pub(super) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let digest = BodyDigest::of(b"a body");
    let entry =
        LedgerEntry { outcome: Outcome::Delivered, digest, failed_attempts: 1, at: 1_795_000_000_000 };
    let bytes = must(entry.to_bytes());
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("ledger entry/encode", |bencher| bencher.iter(|| black_box(&entry).to_bytes()));
    group.bench_function("ledger entry/decode", |bencher| {
        bencher.iter(|| LedgerEntry::from_bytes(black_box(&bytes)));
    });

    let books = Books::prompt(Durability::Process);
    let (broker, spill) = (broker(), books.ledger.store().spill());
    let delivery = spilled(1, &broker);
    let bytes = must(spill.encode(&delivery));
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("spilled delivery/encode", |bencher| {
        bencher.iter(|| spill.encode(black_box(&delivery)));
    });
    group.bench_function("spilled delivery/decode", |bencher| {
        bencher.iter(|| spill.decode(&broker.id, 1, black_box(&bytes)));
    });

    let letter = dead_letter(1, &broker);
    let bytes = must(letter.to_bytes());
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("dead letter/encode", |bencher| bencher.iter(|| black_box(&letter).to_bytes()));
    group.bench_function("dead letter/decode", |bencher| {
        bencher.iter(|| DeadLetter::from_bytes(black_box(&bytes)));
    });
}
