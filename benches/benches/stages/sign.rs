//! Sign: the signature of one body, with one key and with two as while one takes over from the other.

use std::hint::black_box;

use benches::{brokers::signer, corpus};
use criterion::{Criterion, Throughput};

pub(super) fn bench(criterion: &mut Criterion) {
    let body = corpus::event(1);
    let mut group = criterion.benchmark_group("sign");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for (name, keys) in [("one key", 1), ("two keys", 2)] {
        let signer = signer(keys);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (id, timestamp) = (black_box("01a1e407-3f5e-710e"), black_box(1_795_000_000));
                signer.sign(id, timestamp, black_box(body.as_bytes()))
            });
        });
    }
}
