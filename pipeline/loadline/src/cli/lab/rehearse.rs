//! The arguments of `loadline rehearse`.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, value_parser};

use crate::cli::{OutputArgs, exit::REHEARSE_EXITS};
use lab::rehearsal::Options;

/// The surge to rehearse. Each event is for one broker; answers take as long as is said here.
#[derive(Clone, Debug, Args)]
#[command(after_help = REHEARSE_EXITS)]
pub struct RehearseArgs {
    /// The config whose brokers and limits are to go through the surge.
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// How many times the base load comes during the surge, such as 3x.
    #[arg(long, value_name = "TIMES", default_value = "3x", value_parser = times)]
    surge: f64,
    /// How long the surge lasts, up to a day.
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = lasts)]
    lasts: Duration,
    /// The base load: events a second before and after the surge, over all brokers. Default: a third of the brokers' rates
    /// together.
    #[arg(long, value_name = "EVENTS/S", value_parser = super::above_zero)]
    rate: Option<f64>,
    /// A broker's share of the events, 0 to 1. The other brokers have the rest, in proportion to their rates.
    #[arg(long = "share", value_name = "BROKER=SHARE", value_parser = share)]
    shares: Vec<(String, f64)>,
    /// A broker that does not answer during the surge.
    #[arg(long, value_name = "BROKER")]
    dead: Vec<String>,
    /// A broker that takes so long for each answer during the surge.
    #[arg(long, value_name = "BROKER=DURATION", value_parser = slow)]
    slow: Vec<(String, Duration)>,
    /// How long every broker takes for an answer otherwise.
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = latency)]
    latency: Duration,
    /// The size of each event, up to 1MiB.
    #[arg(long, value_name = "SIZE", default_value = "600B", value_parser = body)]
    body: usize,
    /// Decides loads and the jitter of pauses: the same seed gives the same rehearsal.
    #[arg(long, default_value = "1", value_parser = value_parser!(u64))]
    seed: u64,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RehearseArgs {
    /// What to rehearse.
    #[must_use]
    pub fn options(&self) -> Options {
        let Self { rate, surge, lasts, shares, dead, slow, latency, body, seed, .. } = self.clone();
        Options { rate, surge, lasts, shares, dead, slow, latency, body, seed }
    }
}

fn times(text: &str) -> Result<f64, &'static str> {
    let number = text.strip_suffix('x').unwrap_or(text).parse().ok();
    number.filter(|times| (1.0..=1_000.0).contains(times)).ok_or("give 1x to 1000x")
}

fn lasts(text: &str) -> Result<Duration, &'static str> {
    let allowed = Duration::from_secs(1)..=Duration::from_secs(86_400);
    let lasts = humantime::parse_duration(text).ok();
    lasts.filter(|lasts| allowed.contains(lasts)).ok_or("give 1s to 1day")
}

fn latency(text: &str) -> Result<Duration, &'static str> {
    let allowed = Duration::from_millis(1)..=Duration::from_secs(3_600);
    let latency = humantime::parse_duration(text).ok();
    latency.filter(|latency| allowed.contains(latency)).ok_or("give 1ms to 1h")
}

fn share(text: &str) -> Result<(String, f64), &'static str> {
    let (broker, share) = text.split_once('=').ok_or("give BROKER=SHARE, such as acme=0.2")?;
    Ok((broker.to_owned(), super::share(share)?))
}

fn slow(text: &str) -> Result<(String, Duration), &'static str> {
    let (broker, time) = text.split_once('=').ok_or("give BROKER=DURATION, such as crane=2s")?;
    Ok((broker.to_owned(), latency(time)?))
}

fn body(text: &str) -> Result<usize, &'static str> {
    let bytes = text.parse().ok().and_then(|ByteSize(bytes)| usize::try_from(bytes).ok());
    bytes.filter(|bytes| (1..=1 << 20).contains(bytes)).ok_or("give a size up to 1MiB")
}
