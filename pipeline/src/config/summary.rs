//! A config in a few lines: what `loadline check` shows of one that is fine.

use std::fmt;

use serde::Serialize;
use state::Durability;

use super::{
    AdminListen, Config, SourceKind,
    units::{show_duration, show_size},
    url::shown_url,
};
use crate::source::{ClusterOptions, FluvioOptions, Partitions, Start};

/// The settings that say most about what a run will do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many brokers there are.
    pub brokers: usize,
    /// What they take together, in attempts a second.
    pub rate: f64,
    /// The source: `stdin`, `file` and its path, `http` and its address, or `fluvio`, the cluster's and the topic.
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
                Some(dead) => {
                    format!("fluvio {} {}, topic {}", dead.cluster.endpoint, tls(&dead.cluster), dead.topic)
                }
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
    let tls = tls(cluster);
    format!("fluvio {} {tls}, topic {topic}, {partitions}, {start}", cluster.endpoint)
}

fn tls(cluster: &ClusterOptions) -> &'static str {
    if cluster.tls.is_some() { "with TLS" } else { "without TLS" }
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
