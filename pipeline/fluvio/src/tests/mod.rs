//! The source against a scripted cluster: streams that jump, stall, repeat, end and fail.

mod full_line;
mod monitoring;
mod reading;
mod recreated;
mod start;

use std::{future::ready, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use state::Clock;
use topics::Mark;

use super::{
    FluvioSource, PartitionCounts,
    mirror::SettledOffset,
    name_of,
    options::{ClusterOptions, FluvioOptions, Isolation, Partitions, Start},
    partition::Partition,
    scripted::{ScriptStep, ScriptedPartition},
};
use crate::TopicFault;
use line::SourceRecord;

const SECOND: Duration = Duration::from_secs(1);

fn options() -> FluvioOptions {
    FluvioOptions {
        cluster: ClusterOptions { endpoint: "script:9003".to_owned(), tls: None },
        topic: "t".to_owned(),
        partitions: Partitions::All,
        start: Start::Beginning,
        isolation: Isolation::Committed,
        max_bytes: 1 << 20,
        stall_after: 20 * SECOND,
        connect_timeout: 10 * SECOND,
        backoff_min: Duration::from_millis(200),
        backoff_max: 30 * SECOND,
        mirror: None,
        record_max: 1 << 10,
    }
}

/// A source that begins at `at` of a scripted partition whose log holds `bounds`.
fn source(
    at: u64,
    bounds: (u64, u64),
    steps: impl IntoIterator<Item = ScriptStep>,
) -> (ScriptedPartition, FluvioSource<ScriptedPartition>) {
    let script = ScriptedPartition::new(bounds, steps);
    let source = again(&script, (at, bounds.1), Mark::new("t", 3));
    (script, source)
}

/// A source that begins at `at` of a partition whose log ends at `end`, with the mark of its checkpoint.
fn again(script: &ScriptedPartition, (at, end): (u64, u64), mark: Mark) -> FluvioSource<ScriptedPartition> {
    let clock = Clock::simulated(1_000_000);
    marked(&options(), script.clone(), (3, at, end), mark, None, clock)
}

/// A source that begins at `at` of partition `number` that ends at `end`.
fn source_of<P: Partition>(
    options: &FluvioOptions,
    partition: P,
    place: (u32, u64, u64),
    settled: Option<SettledOffset>,
    clock: Clock,
) -> FluvioSource<P> {
    marked(options, partition, place, Mark::new("t", place.0), settled, clock)
}

fn marked<P: Partition>(
    options: &FluvioOptions,
    partition: P,
    (number, at, end): (u32, u64, u64),
    mark: Mark,
    settled: Option<SettledOffset>,
    clock: Clock,
) -> FluvioSource<P> {
    let counts = Arc::new(PartitionCounts::new(name_of("t", number), number, at, end));
    let begun = (Arc::new(partition), ready(Ok(())));
    FluvioSource::new(options, mark, begun, counts, settled, clock)
}

/// The offsets of the first `count` records, or the fault that came before.
async fn offsets(source: FluvioSource<ScriptedPartition>, count: usize) -> Result<Vec<u64>, TopicFault> {
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, count).await
}

async fn take(
    stream: &mut (impl Stream<Item = Result<SourceRecord, TopicFault>> + Unpin),
    count: usize,
) -> Result<Vec<u64>, TopicFault> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let record = stream.next().await.expect("a partition has no end")?;
        assert_eq!(record.next.offset, record.raw.position.offset + 1);
        assert_eq!(record.raw.bytes, format!("record {}", record.raw.position.offset));
        offsets.push(record.raw.position.offset);
    }
    Ok(offsets)
}
