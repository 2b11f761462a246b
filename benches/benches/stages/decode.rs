//! Decode: a record becomes an event, with the flat schema and with CloudEvents' envelope around it.

use benches::payloads::{RECORDS, cloudevent, now, raw, records};
use criterion::{BatchSize, Criterion, Throughput};
use stages::{Decode, Schema};

pub(super) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    let envelopes = (0..RECORDS).map(|number| raw(number, cloudevent(number))).collect();
    let inputs = [("flat", Schema::flat(), records()), ("cloudevents", Schema::cloudevents(), envelopes)];
    for (name, schema, records) in inputs {
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
