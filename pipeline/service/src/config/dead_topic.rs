//! `[dead_topic]`: the topic for dead letters. Off unless the section is present.

use std::{fmt, time::Duration};

use super::{
    SourceConfig, SourceKind, fluvio,
    kafka::{self, CLUSTER_KEYS},
    problem::Refusal,
    section::Section,
    tls::{self, TLS_FILES},
    topic::{Engine, Pace},
    units::{DURATION, size},
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Where dead letters are published, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadTopicConfig {
    /// The cluster; the source's if the section names none.
    pub cluster: DeadCluster,
    /// The topic; never the source's on the same cluster.
    pub topic: String,
    /// The longest value, in bytes (default 256 KiB, 16 KiB to 4 MiB); a longer letter goes without its body. A batch is
    /// at most this long or [`BATCH_BYTES`](fluvio_engine::produce::BATCH_BYTES).
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

/// Where the topic is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadCluster {
    /// On a Fluvio cluster.
    Fluvio(fluvio_engine::ClusterOptions),
    /// On a Kafka cluster.
    Kafka(Box<kafka_engine::ClusterOptions>),
}

impl fmt::Display for DeadCluster {
    /// Where it is: an endpoint, or several with commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fluvio(cluster) => f.write_str(&cluster.endpoint),
            Self::Kafka(cluster) => f.write_str(&cluster.bootstrap.join(",")),
        }
    }
}

impl DeadCluster {
    fn engine(&self) -> Engine {
        match self {
            Self::Fluvio(_) => Engine::Fluvio,
            Self::Kafka(_) => Engine::Kafka,
        }
    }
}

impl DeadTopicConfig {
    /// None if the section is not there, or if something is missing, which has been reported then.
    pub(super) fn read(s: &mut Section<'_, '_>, source: Option<&SourceConfig>) -> Option<Self> {
        let there = s.is_there();
        let value_max = s.ranged("value_max", 256 << 10, 16 << 10..=4 << 20, &size());
        let timeout = s.ranged("timeout", 10 * SECOND, 100 * MILLI..=10 * MINUTE, &DURATION);
        let backoff_min = s.ranged("backoff_min", 200 * MILLI, 10 * MILLI..=MINUTE, &DURATION);
        let backoff_max = s.ranged("backoff_max", 30 * SECOND, 10 * MILLI..=HOUR, &DURATION);
        let grace = s.ranged("grace", 5 * SECOND, Duration::ZERO..=10 * MINUTE, &DURATION);
        let cluster = cluster(s, there, source, Pace { timeout, backoff_min, backoff_max });
        s.know("topic", None, None);
        let topic = s.item("topic");
        if topic.is_none() && there {
            s.report_missing("topic", "name the topic that dead letters go to; create it on the cluster");
        }
        let cluster = cluster?;
        let engine = cluster.engine();
        if there && let Some(refusal) = engine.without_client(engine.has_client()) {
            s.report_key("topic", refusal);
        }
        let topic = topic.and_then(|item| engine.topic(s, &item));
        Some(Self { cluster, topic: topic?, value_max, timeout, backoff_min, backoff_max, grace })
    }
}

/// The section's own cluster if it names one, or else the source's, as a whole: what shows one cluster who Loadline is
/// is not for another.
fn cluster(
    s: &mut Section<'_, '_>,
    there: bool,
    source: Option<&SourceConfig>,
    pace: Pace,
) -> Option<DeadCluster> {
    let fluvio_named = s.item("endpoint").is_some();
    let kafka_named = s.item("bootstrap");
    if let Some(item) = kafka_named.as_ref().filter(|_| fluvio_named) {
        let remedy = "name one cluster: endpoint is a Fluvio cluster's, bootstrap a Kafka cluster's";
        s.report(item, Refusal::new("stands beside dead_topic.endpoint", remedy));
    }
    let kafka_named = kafka_named.is_some() && !fluvio_named;
    let tls = tls::read(s, there && (fluvio_named || kafka_named));
    let fluvio = fluvio::read_cluster(s, there && fluvio_named, tls.as_ref(), "source.endpoint");
    let kafka = kafka::read_cluster(s, there && kafka_named, tls.as_ref(), pace);
    if fluvio_named {
        refuse(s, &CLUSTER_KEYS, "has no meaning for a Fluvio cluster", "leave it out");
        return Some(DeadCluster::Fluvio(fluvio.answering_within(pace.timeout)));
    }
    if kafka_named {
        refuse(s, &["tls_domain"], "has no meaning for a Kafka cluster", "leave it out");
        return Some(DeadCluster::Kafka(Box::new(kafka)));
    }
    let keys: Vec<&str> = ["tls", "tls_domain"].into_iter().chain(TLS_FILES).chain(CLUSTER_KEYS).collect();
    let problem = "has no meaning without dead_topic.endpoint or dead_topic.bootstrap";
    refuse(s, &keys, problem, "name the cluster, or leave it out to take the source's");
    match source.map(|source| &source.kind) {
        Some(SourceKind::Fluvio(fluvio)) => {
            Some(DeadCluster::Fluvio(fluvio.cluster.clone().answering_within(pace.timeout)))
        }
        Some(SourceKind::Kafka(kafka)) => {
            let Pace { timeout, backoff_min, backoff_max } = pace;
            let cluster = kafka.cluster.clone();
            let cluster = kafka_engine::ClusterOptions { timeout, backoff_min, backoff_max, ..cluster };
            Some(DeadCluster::Kafka(Box::new(cluster)))
        }
        _ => {
            if there {
                let remedy = "the source has no cluster: give a Fluvio controller's public address, or bootstrap of \
                              a Kafka cluster";
                s.report_missing("endpoint", remedy);
            }
            None
        }
    }
}

fn refuse(s: &mut Section<'_, '_>, keys: &[&'static str], problem: &str, remedy: &str) {
    for key in keys {
        if let Some(item) = s.item(key) {
            s.report_hidden(&item, Refusal::new(problem, remedy));
        }
    }
}
