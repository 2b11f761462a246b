//! A short summary of a config, for `loadline check`.

use std::fmt;

use serde::Serialize;
use state::Durability;

use super::{
    AdminListen, Config, DeadCluster, SourceKind,
    units::{show_duration, show_size},
    url::shown_url,
};
use fluvio_engine::{ClusterOptions, FluvioOptions, Partitions, Start};
use kafka_engine::{GroupOptions, GroupProtocol, KafkaOptions, OnLoss, Reading, SaslMechanism};

/// The settings that say most about what a run will do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many brokers there are.
    pub brokers: usize,
    /// What they take together, in attempts a second.
    pub rate: f64,
    /// The source: `stdin`, `file` and its path, `http` and its address, or `fluvio` or `kafka`,
    /// the cluster's and the topic.
    pub source: String,
    /// The state directory.
    pub state: String,
    /// Where a running process answers: `unix:PATH`, an address, or `off`.
    pub admin: String,
    /// Where spans go, without what could be a secret: `off`, or the endpoint and the ratio.
    pub telemetry: String,
    /// Where dead letters are published: `off`, or the cluster and the topic.
    pub dead_topic: String,
    /// What a flushed record survives: `power` or `process`.
    pub durability: &'static str,
    /// How long a delivery is remembered.
    pub dedupe_window: String,
    /// Deliveries in memory over all brokers.
    pub in_flight_max: usize,
    /// Bytes of their bodies.
    pub memory_max: String,
    /// Of these, what one broker may hold.
    pub per_broker_max: usize,
    /// What may wait on disk.
    pub spill_total_max: String,
    /// Attempts before a dead letter.
    pub attempts_max: u32,
    /// The age at which a delivery becomes one.
    pub age_max: String,
}

impl From<&Config> for Summary {
    fn from(config: &Config) -> Self {
        Self {
            brokers: config.brokers.len(),
            rate: config.brokers.iter().map(|broker| broker.rate).sum(),
            source: match &config.source.kind {
                SourceKind::File { path, follow: true, .. } => format!("file {}, followed", path.display()),
                SourceKind::File { path, .. } => format!("file {}", path.display()),
                SourceKind::Stdin => "stdin".to_owned(),
                SourceKind::Http(http) => format!(
                    "http {}, {}, at most {} records or {} unsettled",
                    http.listen,
                    if http.token.is_some() { "with a token" } else { "without a token" },
                    http.backlog_max,
                    show_size(http.backlog_bytes_max),
                ),
                SourceKind::Fluvio(fluvio) => topic(fluvio),
                SourceKind::Kafka(kafka) => kafka_topic(kafka),
            },
            state: config.state.dir.display().to_string(),
            admin: match (&config.admin.listen, &config.admin.token) {
                (AdminListen::Address(addr), Some(_)) => format!("{addr}, with a token"),
                (AdminListen::Address(addr), None) => format!("{addr}, without a token"),
                (listen, _) => listen.to_string(),
            },
            telemetry: match &config.telemetry.endpoint {
                None => "off".to_owned(),
                Some(url) => {
                    format!("{}, {} of traces", shown_url(url), config.telemetry.sample_ratio)
                }
            },
            dead_topic: match &config.dead_topic {
                None => "off".to_owned(),
                Some(dead) => match &dead.cluster {
                    DeadCluster::Fluvio(cluster) => {
                        format!("{}, topic {}", fluvio_cluster(cluster), dead.topic)
                    }
                    DeadCluster::Kafka(cluster) => {
                        format!("{}, topic {}", kafka_cluster(cluster), dead.topic)
                    }
                },
            },
            durability: match config.state.durability {
                Durability::Power => "power",
                Durability::Process => "process",
            },
            dedupe_window: show_duration(config.state.dedupe_window),
            in_flight_max: config.limits.in_flight_max,
            memory_max: show_size(config.limits.memory_max),
            per_broker_max: config.limits.per_broker_max,
            spill_total_max: show_size(config.limits.spill_total_max),
            attempts_max: config.retry.attempts_max,
            age_max: show_duration(config.retry.age_max),
        }
    }
}

fn topic(options: &FluvioOptions) -> String {
    let FluvioOptions { cluster, topic, partitions, start, .. } = options;
    let partitions = match partitions {
        Partitions::All => "all partitions".to_owned(),
        Partitions::These(these) => format!("partitions {these:?}"),
    };
    let start = match start {
        Start::Beginning => "from its beginning at first".to_owned(),
        Start::End => "from its end at first".to_owned(),
        Start::Checkpoint => "from a checkpoint only".to_owned(),
        Start::Offset(offset) => format!("from offset {offset} at least"),
    };
    format!("{}, topic {topic}, {partitions}, {start}", fluvio_cluster(cluster))
}

fn kafka_topic(options: &KafkaOptions) -> String {
    let KafkaOptions { cluster, topic, reading, start, on_loss, .. } = options;
    let (reading, recorded) = match reading {
        Reading::Group(GroupOptions { id, protocol, instance_id, .. }) => {
            let protocol = match protocol {
                GroupProtocol::Classic => "classic",
                GroupProtocol::Consumer => "consumer",
            };
            let member = instance_id.as_ref().map_or(String::new(), |name| format!(" as member {name}"));
            (format!("group {id} ({protocol}){member}"), "committed offsets")
        }
        Reading::Partitions(these) => (format!("partitions {these:?} without a group"), "a checkpoint"),
    };
    let start = match start {
        kafka_engine::Start::Beginning => "from its beginning at first".to_owned(),
        kafka_engine::Start::End => "from its end at first".to_owned(),
        kafka_engine::Start::Committed => format!("from {recorded} only"),
        kafka_engine::Start::Offset(offset) => format!("from offset {offset} at first"),
    };
    let loss = match on_loss {
        OnLoss::Stop => "",
        OnLoss::Continue => ", goes on behind what is lost",
    };
    format!("{}, topic {topic}, {reading}, {start}{loss}", kafka_cluster(cluster))
}

fn fluvio_cluster(cluster: &ClusterOptions) -> String {
    format!("fluvio {} {}", cluster.endpoint, tls(cluster.tls.is_some()))
}

fn kafka_cluster(cluster: &kafka_engine::ClusterOptions) -> String {
    let sasl = cluster.sasl.as_ref().map_or(String::new(), |sasl| {
        let mechanism = match sasl.mechanism {
            SaslMechanism::Plain => "plain",
            SaslMechanism::ScramSha256 => "scram-sha-256",
            SaslMechanism::ScramSha512 => "scram-sha-512",
        };
        format!(" and {mechanism}")
    });
    format!("kafka {} {}{sasl}", cluster.bootstrap.join(","), tls(cluster.tls.is_some()))
}

fn tls(on: bool) -> &'static str {
    if on { "with TLS" } else { "without TLS" }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { brokers, rate, source, state, admin, telemetry, durability, dedupe_window, .. } = self;
        let Self {
            in_flight_max, memory_max, per_broker_max, spill_total_max, attempts_max, age_max, ..
        } = self;
        let noun = if *brokers == 1 { "broker" } else { "brokers" };
        writeln!(f, "{brokers} {noun}, {rate} attempts a second in all")?;
        writeln!(f, "source    {source}")?;
        writeln!(f, "state     {state}, survives loss of {durability}, remembers {dedupe_window}")?;
        writeln!(f, "admin     {admin}")?;
        writeln!(f, "traces    {telemetry}")?;
        if let Some(topic) = Some(&self.dead_topic).filter(|topic| *topic != "off") {
            writeln!(f, "letters   also to {topic}")?;
        }
        writeln!(
            f,
            "in memory {in_flight_max} deliveries or {memory_max} of bodies, {per_broker_max} of one broker"
        )?;
        writeln!(f, "on disk   {spill_total_max} of deliveries that wait")?;
        write!(f, "retries   {attempts_max} attempts or {age_max}")
    }
}
