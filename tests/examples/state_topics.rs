//! Measures the state topics on a cluster of one node that it starts: what an append costs, and how fast a partition is
//! restored. Run by hand: `cargo run --release -p tests --features kafka-engine/client --example state_topics [ENTRIES]`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "run by hand")]

use std::{collections::VecDeque, env, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use kafka_engine::{
    follow::{ClaimRequest, FollowOptions, StateTopics},
    name_of,
};
use rustix::time::{ClockId, clock_gettime};
use state::{
    BodyDigest, Event, LedgerEntry, Outcome, PartitionChange, PartitionLog, Position, Restored,
    SpilledDelivery,
};
use tests::KafkaCluster;
use tokio::{runtime::Builder, time::Instant};

/// Records of a group commit.
const COMMIT: usize = 500;
/// Group commits under way.
const UNDER_WAY: usize = 4;

fn main() {
    let entries =
        env::args().nth(1).map_or(1_000_000, |entries| entries.parse().expect("a number of entries"));
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(1);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let one = open(topic.follow_options(1)).await;
        let _new = restore(&one).await;
        let source = name_of(topic.name(), 0);
        let outcomes = (0..entries).map(|event| outcome(event, Outcome::Delivered));
        append("outcomes", &one, &source, outcomes).await;
        let waiting = (0..entries / 10).flat_map(|event| {
            [PartitionChange::Waiting(Box::new(delivery(&source, event))), outcome(event, Outcome::Spilled)]
        });
        append("waiting deliveries of 1 KiB and their outcomes", &one, &source, waiting).await;
        one.release(0, None).await.unwrap();
        one.finish().await;
        let two = open(topic.follow_options(2)).await;
        let (began, cpu) = (Instant::now(), cpu_time());
        let restored = restore(&two).await;
        told("restored", restored, began.elapsed(), cpu_time() - cpu);
        two.finish().await;
    });
}

async fn open(options: FollowOptions) -> StateTopics {
    let topics = StateTopics::new(options).unwrap();
    topics.cover(1, false).await.unwrap();
    topics
}

async fn append(
    what: &str,
    topics: &StateTopics,
    source: &Arc<str>,
    changes: impl Iterator<Item = PartitionChange>,
) {
    let (mut under_way, mut latency, mut count) = (VecDeque::new(), Vec::new(), 0);
    let mut changes = changes.peekable();
    let (began, cpu) = (Instant::now(), cpu_time());
    while changes.peek().is_some() {
        let commit: Vec<_> = changes.by_ref().take(COMMIT).collect();
        count += commit.len();
        under_way.push_back((Instant::now(), topics.append(source, commit)));
        if under_way.len() == UNDER_WAY {
            let (since, appended) = under_way.pop_front().unwrap();
            appended.await.unwrap();
            latency.push(since.elapsed());
        }
    }
    for (_, appended) in under_way {
        appended.await.unwrap();
    }
    told(&format!("appended: {what}"), count, began.elapsed(), cpu_time() - cpu);
    latency.sort_unstable();
    let at = |share: usize| latency.get(latency.len() * share / 100).copied().unwrap_or_default();
    println!("  a group commit of {COMMIT}, {UNDER_WAY} under way: p50 {:?}, p99 {:?}", at(50), at(99));
}

async fn restore(topics: &StateTopics) -> usize {
    let mut restored = topics.claim(ClaimRequest { partition: 0, committed_under: None, from: None });
    let mut count = 0;
    while let Some(item) = restored.next().await {
        count += usize::from(!matches!(item.unwrap(), Restored::Left(_)));
    }
    count
}

fn told(what: &str, count: usize, took: Duration, cpu: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{what}: {count} in {seconds:.1} s, {:.0} per second, {:.2} us of CPU each",
        count as f64 / seconds,
        cpu.as_secs_f64() * 1e6 / count as f64
    );
}

/// What this process has used; the cluster is others.
fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.cast_unsigned(), u32::try_from(used.tv_nsec).unwrap_or_default())
}

fn outcome(event: usize, outcome: Outcome) -> PartitionChange {
    let entry =
        LedgerEntry { outcome, digest: BodyDigest::of(b""), failed_attempts: 0, at: 1_700_000_000_000 };
    let event_id = Arc::from(format!("7f3a0c52-0000-4000-8000-{event:012}"));
    PartitionChange::Outcome { broker: "acme-logistics".into(), event_id, entry }
}

fn delivery(source: &Arc<str>, event: usize) -> SpilledDelivery {
    let body = Bytes::from(vec![b'x'; 1_024]);
    let event = Event {
        position: Position::new(Arc::clone(source), 0, event as u64),
        event_id: format!("7f3a0c52-0000-4000-8000-{event:012}").into(),
        load_id: format!("LD-{}", event % 1_000).into(),
        status: "posted".into(),
        occurred_at: 5,
        sequence: None,
        traceparent: None,
        read_at: 6,
        digest: BodyDigest::of(b""),
        body,
    };
    let broker = Arc::from("acme-logistics");
    SpilledDelivery { not_before: 7, ..SpilledDelivery::untried(broker, 0, event) }
}
