//! What each stage costs by itself: one payload enters, nothing of the line is in the number. One group per stage.
//!
//! `cargo bench -p benches --bench stages`; a filter such as `-- route` behind it runs a part. Absolute figures belong to
//! the machine; what matters is that the stages before the ledger stay far below what a request costs (15 to 20 µs), and
//! that look-ups do not grow with the brokers.

mod ack;
mod codec;
mod decode;
mod dedupe;
mod deliver;
mod retry;
mod route;
mod sign;
mod throttle;
mod validate;

use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// For payloads that hold a claim on their event while they live: fewer at once than there are events to take turns.
const CLAIMING: BatchSize = BatchSize::NumIterations(benches::payloads::RECORDS / 2);

fn config() -> Criterion {
    let (measured, warm_up) = (Duration::from_secs(2), Duration::from_millis(500));
    Criterion::default().sample_size(30).measurement_time(measured).warm_up_time(warm_up)
}

criterion_group! {
    name = stages;
    config = config();
    targets = decode::bench, validate::bench, route::bench, dedupe::bench, throttle::bench, sign::bench,
        deliver::bench, retry::bench, ack::bench, codec::bench
}
criterion_main!(stages);
