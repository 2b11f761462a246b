//! Validate: an event is judged. Most of it is the digest of the body.

use benches::payloads::{now, records, rules};
use criterion::{BatchSize, Criterion, Throughput};
use stages::{Decode, Schema, Validate};
use state::Clock;

pub(super) fn bench(criterion: &mut Criterion) {
    let (decode, validate) = (Decode::new(Schema::flat()), Validate::new(rules(), Clock::System));
    let events: Vec<_> = records().into_iter().map(|record| now(&decode, record)).collect();
    let mut turns = events.iter().cycle();
    let mut group = criterion.benchmark_group("validate");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one event", |bencher| {
        bencher.iter_batched(
            || turns.next().cloned(),
            |event| event.map(|event| now(&validate, event)),
            BatchSize::SmallInput,
        );
    });
}
