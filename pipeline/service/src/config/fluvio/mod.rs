//! `[source]` of kind `fluvio`: the cluster, the topic, and how it is read.

mod cluster;

use std::time::Duration;

pub(super) use cluster::{ENDPOINT, read as read_cluster};

use super::{
    section::Section,
    topic::{StartAt, TopicKeys},
    units::{DURATION, size},
};
use fluvio_engine::{FluvioOptions, Isolation, Partitions, Start};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The keys that only this kind has.
pub(super) const FLUVIO_KEYS: [&str; 5] =
    ["endpoint", "tls_domain", "max_bytes", "stall_after", "mirror_offsets"];

/// Reads the keys of its own beside `topic`, those of every topic; `wanted` is whether this is the kind of the source, so
/// that something may be missing.
pub(super) fn read(
    s: &mut Section<'_, '_>,
    wanted: bool,
    keys: &TopicKeys,
    record_max: usize,
) -> FluvioOptions {
    let TopicKeys { tls, topic, partitions, start, committed, pace } = keys;
    let cluster = read_cluster(s, wanted, tls.as_ref(), ENDPOINT);
    FluvioOptions {
        cluster: cluster.answering_within(pace.timeout),
        partitions: partitions.clone().map_or(Partitions::All, Partitions::These),
        start: match start {
            StartAt::Beginning => Start::Beginning,
            StartAt::End => Start::End,
            StartAt::Recorded => Start::Checkpoint,
            StartAt::Offset(offset) => Start::Offset(*offset),
        },
        isolation: if *committed { Isolation::Committed } else { Isolation::Uncommitted },
        max_bytes: s.ranged("max_bytes", 2 << 20, 64 << 10..=256 << 20, &size()),
        stall_after: s.ranged("stall_after", 20 * SECOND, SECOND..=HOUR, &DURATION),
        connect_timeout: pace.timeout,
        backoff_min: pace.backoff_min,
        backoff_max: pace.backoff_max,
        mirror: s.flag("mirror_offsets", false).then(|| format!("loadline-{topic}")),
        topic: topic.clone(),
        record_max,
    }
}
