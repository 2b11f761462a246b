//! The arguments of `loadline surge`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::cli::SecretArg;

/// How to replay a surge.
#[derive(Clone, Debug, Args)]
pub struct SurgeArgs {
    /// The profile: one of Loadline's own (see --list) or the path of a TOML file. By default inc-4471, with --engine kafka
    /// inc-4471-kafka.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// What carries the log: a file, which one process reads; or a topic of a Kafka cluster, which a group of processes
    /// reads. A topic is made for each run and removed after it.
    #[arg(long, default_value = "file", conflicts_with = "target")]
    pub engine: Engine,
    /// With --engine kafka: brokers of the cluster to begin with. It is spoken to without encryption.
    #[arg(long, value_name = "HOST:PORT,…", required_if_eq("engine", "kafka"))]
    pub bootstrap: Option<String>,
    /// Name the profiles that are built in.
    #[arg(long)]
    pub list: bool,
    /// Print the profile's text and do nothing else: a file to copy and change.
    #[arg(long)]
    pub show: bool,
    /// The seed of the traffic, instead of the profile's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Events a second before and after the surge, instead of the profile's.
    #[arg(long, value_name = "EVENTS/S", value_parser = super::above_zero)]
    pub rate: Option<f64>,
    /// How long events are appended: the profile's times are stretched to it.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub run_for: Option<Duration>,
    /// Run only one of the two.
    #[arg(long)]
    pub only: Option<OnlySystem>,
    /// Put a pipeline that already runs through it, instead of starting one: the URL of its intake, http://…/events, or
    /// the file it follows, file:PATH, or the topic it reads, fluvio:HOST:PORT/TOPIC or kafka:HOST:PORT/TOPIC, or fluvio: or
    /// kafka: for the one its config names. Needs --config.
    #[arg(long, value_name = "URL|file:PATH|fluvio:…|kafka:…", requires = "config", conflicts_with = "only")]
    pub target: Option<String>,
    /// The config of that pipeline: its brokers are simulated on the ports it names.
    #[arg(long, value_name = "FILE", requires = "target")]
    pub config: Option<PathBuf>,
    /// The token the intake asks for: env:NAME or file:PATH.
    #[arg(long, value_name = "REF", requires = "target")]
    pub token: Option<SecretArg>,
    /// How long the cluster of a topic may take nothing before the run is given up.
    #[arg(long, value_name = "DURATION", default_value = "30s", requires = "target", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Write the outcome as JSON, samples included.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the outcome as a page with plots.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Keep logs, configs and state in this directory; it must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Fail (exit code 1) on missed goals of time too, not only on violations.
    #[arg(long)]
    pub strict: bool,
}

/// What carries the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// A file.
    File,
    /// A topic of a Kafka cluster.
    Kafka,
}

impl SurgeArgs {
    /// The profile's name or path.
    #[must_use]
    pub fn profile(&self) -> &str {
        match (&self.profile, self.engine) {
            (Some(profile), _) => profile,
            (None, Engine::File) => "inc-4471",
            (None, Engine::Kafka) => "inc-4471-kafka",
        }
    }
}

/// One of the two systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnlySystem {
    /// Loadline.
    Loadline,
    /// The model of the legacy service.
    Legacy,
}
