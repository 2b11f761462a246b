//! `[dead_topic]`: the topic dead letters are published to. Off unless the section is there.

use std::time::Duration;

use super::{
    SourceConfig, SourceKind,
    cluster::{self, TLS_KEYS},
    problem::Refusal,
    section::Section,
    units::{DURATION, size},
};
use crate::source::ClusterOptions;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Where dead letters are published, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadTopicConfig {
    /// The cluster; the source's if the section names none.
    pub cluster: ClusterOptions,
    /// The topic; never the source's on the same cluster.
    pub topic: String,
    /// The longest value, in bytes (default 256 KiB, 16 KiB to 4 MiB); a longer letter goes without its body. A batch is
    /// at most this long or [`BATCH_BYTES`](crate::produce::BATCH_BYTES).
    pub value_max: usize,
    /// How long the cluster may take for an answer (default 10 s, 100 ms to 10 min).
    pub timeout: Duration,
    /// The first pause between two tries (default 200 ms, 10 ms to 1 min).
    pub backoff_min: Duration,
    /// The longest (default 30 s, 10 ms to 1 h).
    pub backoff_max: Duration,
    /// For how long a run that has ended goes on publishing (default 5 s, 0 to 10 min).
    pub grace: Duration,
}

impl DeadTopicConfig {
    /// None if the section is not there, or if something is missing, which has been reported then.
    pub(super) fn read(s: &mut Section<'_, '_>, source: Option<&SourceConfig>) -> Option<Self> {
        let there = s.is_there();
        let cluster = cluster_of(s, there, source);
        s.know("topic", None, None);
        let topic = s.item("topic");
        if topic.is_none() && there {
            s.report_missing("topic", "name the topic that dead letters go to; create it on the cluster");
        }
        let topic = topic.and_then(|item| cluster::topic(s, &item));
        let value_max = s.ranged("value_max", 256 << 10, 16 << 10..=4 << 20, &size());
        let timeout = s.ranged("timeout", 10 * SECOND, 100 * MILLI..=10 * MINUTE, &DURATION);
        let backoff_min = s.ranged("backoff_min", 200 * MILLI, 10 * MILLI..=MINUTE, &DURATION);
        let backoff_max = s.ranged("backoff_max", 30 * SECOND, 10 * MILLI..=HOUR, &DURATION);
        let grace = s.ranged("grace", 5 * SECOND, Duration::ZERO..=10 * MINUTE, &DURATION);
        let cluster = cluster?.answering_within(timeout);
        Some(Self { cluster, topic: topic?, value_max, timeout, backoff_min, backoff_max, grace })
    }
}

/// The section's own cluster if it names one, or else the source's, as a whole: what shows one cluster who Loadline is
/// is not for another.
fn cluster_of(s: &mut Section<'_, '_>, there: bool, source: Option<&SourceConfig>) -> Option<ClusterOptions> {
    let named = s.item("endpoint").is_some();
    let own = cluster::read(s, there && named, "source.endpoint");
    if named {
        return Some(own);
    }
    for key in std::iter::once("tls").chain(TLS_KEYS) {
        if let Some(item) = s.item(key) {
            let problem = "has no meaning without dead_topic.endpoint";
            s.report(&item, Refusal::new(problem, "name the cluster, or leave it out to take the source's"));
        }
    }
    match source.map(|source| &source.kind) {
        Some(SourceKind::Fluvio(fluvio)) => Some(fluvio.cluster.clone()),
        _ => {
            if there {
                s.report_missing(
                    "endpoint",
                    "the source has no cluster: give the controller's public address",
                );
            }
            None
        }
    }
}
