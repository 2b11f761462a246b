//! The arguments of the commands that try Loadline.

mod bench;
mod rehearse;
mod surge;

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Subcommand};

use super::{OutputArgs, SecretArg};

pub use bench::{BenchArgs, BenchPart};
pub use rehearse::RehearseArgs;
pub use surge::{Engine, OnlySystem, SurgeArgs};

/// What tries Loadline.
#[derive(Clone, Debug, Subcommand)]
pub enum LabCommand {
    /// Be a broker: take deliveries, check their signatures, and misbehave as told.
    Receive(ReceiveArgs),
    /// Show the line at work: a file of events, brokers that misbehave, on this machine alone.
    Demo(DemoArgs),
    /// Replay a surge: the same traffic through a model of the legacy service and through Loadline, judged by an oracle.
    Surge(SurgeArgs),
    /// Put the brokers and limits of a config through a surge in simulated time, and say which limit is reached and what
    /// would hold.
    Rehearse(RehearseArgs),
    /// Measure what Loadline costs on this machine, beside reqwest alone and the legacy model; about a minute.
    Bench(BenchArgs),
    /// Be the delivery service of INC-4471: what the surge simulator runs beside the line. Wrong on purpose.
    #[command(hide = true)]
    Legacy(LegacyArgs),
    /// Be a part of what `bench` measures.
    #[command(subcommand, hide = true)]
    BenchPart(BenchPart),
}

/// How to be a broker.
#[derive(Clone, Debug, Args)]
pub struct ReceiveArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// The signing key to check deliveries with: env:NAME or file:PATH. Give it again for each more that is accepted, as
    /// while keys are rotated.
    #[arg(long = "secret", value_name = "REF")]
    pub secrets: Vec<SecretArg>,
    /// How long to take for each answer.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub latency: Duration,
    /// The status of the answer to deliveries that nothing else befalls; a delivery is taken only with a 2xx.
    #[arg(long, value_name = "CODE", default_value = "200", value_parser = http::StatusCode::from_str)]
    pub status: http::StatusCode,
    /// The share of deliveries answered 500, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub fail_rate: f64,
    /// The share of deliveries answered 429, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub throttle_rate: f64,
    /// What a 429 says in Retry-After.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub retry_after: Option<Duration>,
    /// How long to go on; until a signal if not given.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub run_for: Option<Duration>,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How to be the legacy delivery service.
#[derive(Clone, Debug, Args)]
pub struct LegacyArgs {
    /// The config of the model.
    pub config: PathBuf,
    /// How often to report on stdout.
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = humantime::parse_duration)]
    pub every: Duration,
}

/// How to show the line at work.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Keep the demo's files in this directory; it must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Replay these events (NDJSON) instead of the demo's own.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl LabCommand {
    /// Whether JSON was asked for after the command.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Receive(ReceiveArgs { output, .. })
            | Self::Demo(DemoArgs { output, .. })
            | Self::Rehearse(RehearseArgs { output, .. })
            | Self::Bench(BenchArgs { output, .. }) => output.json,
            // A surge writes its JSON to a file.
            Self::Surge(_) | Self::Legacy(_) | Self::BenchPart(_) => false,
        }
    }

    /// The option that names secrets, and its values.
    pub(super) fn secrets(&self) -> (&'static str, &[SecretArg]) {
        match self {
            Self::Receive(ReceiveArgs { secrets, .. }) => ("--secret", secrets.as_slice()),
            Self::Surge(SurgeArgs { token, .. }) => ("--token", token.as_slice()),
            Self::Demo(_) | Self::Rehearse(_) | Self::Bench(_) | Self::Legacy(_) | Self::BenchPart(_) => {
                ("", &[])
            }
        }
    }
}

fn share(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or("give a number from 0 to 1")
}

fn above_zero(text: &str) -> Result<f64, &'static str> {
    let above_zero = |rate: &f64| rate.is_finite() && *rate > 0.0;
    text.parse().ok().filter(above_zero).ok_or("give a number above 0")
}
