//! `[source]` of kind `kafka`: the cluster, the topic, the group, and how it is read.

mod cluster;
mod group;

use std::time::Duration;

pub(super) use cluster::{CLUSTER_KEYS, read as read_cluster};

use super::{
    section::Section,
    topic::{StartAt, TopicKeys},
    units::{DURATION, size},
};
use kafka_engine::{FetchOptions, Framing, Isolation, KafkaOptions, OnLoss, Start};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The keys that only this kind has.
pub(super) const KAFKA_KEYS: [&str; 16] = [
    "bootstrap",
    "sasl",
    "username",
    "password",
    "properties",
    "group",
    "group_protocol",
    "instance_id",
    "session_timeout",
    "max_poll_interval",
    "on_loss",
    "framing",
    "fetch_partition_max",
    "fetch_queue_max",
    "fetch_wait",
    "commit_every",
];

/// Reads the keys of its own beside `keys`, those of every topic; `wanted` is whether this is the kind of the source, so
/// that something may be missing.
pub(super) fn read(
    s: &mut Section<'_, '_>,
    wanted: bool,
    keys: &TopicKeys,
    record_max: usize,
) -> KafkaOptions {
    let TopicKeys { tls, topic, partitions, start, committed, pace } = keys;
    KafkaOptions {
        cluster: read_cluster(s, wanted, tls.as_ref(), *pace),
        topic: topic.clone(),
        reading: group::read(s, wanted, partitions.as_deref()),
        start: match start {
            StartAt::Beginning => Start::Beginning,
            StartAt::End => Start::End,
            StartAt::Recorded => Start::Committed,
            StartAt::Offset(offset) => Start::Offset(*offset),
        },
        isolation: if *committed { Isolation::Committed } else { Isolation::Uncommitted },
        on_loss: s.choice("on_loss", ("stop", OnLoss::Stop), &[("continue", OnLoss::Continue)]),
        framing: s.choice(
            "framing",
            ("none", Framing::None),
            &[("schema-registry", Framing::SchemaRegistry), ("cloudevents", Framing::CloudEvents)],
        ),
        // The schema says, which is read later.
        id_header: None,
        fetch: FetchOptions {
            partition_max: s.ranged("fetch_partition_max", 1 << 20, 64 << 10..=256 << 20, &size()),
            queue_max: s.ranged("fetch_queue_max", 4 << 20, 64 << 10..=1 << 30, &size()),
            wait_max: s.ranged("fetch_wait", 500 * MILLI, 10 * MILLI..=10 * SECOND, &DURATION),
        },
        commit_every: s.ranged("commit_every", SECOND, 100 * MILLI..=MINUTE, &DURATION),
        record_max,
    }
}
