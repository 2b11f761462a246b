//! The arguments of `loadline produce`.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::Args;

use super::OutputArgs;

/// What to put onto a topic.
#[derive(Clone, Debug, Args)]
pub struct ProduceArgs {
    /// The events (NDJSON).
    pub file: PathBuf,
    /// Take cluster, TLS, topic and schema from this config; a Kafka cluster can only be named so.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The public address of Fluvio's controller, or of Kafka's brokers with commas between them, instead of the
    /// config's or 127.0.0.1:9003.
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<String>,
    /// The topic, instead of the config's or shipment-events.
    #[arg(long)]
    pub topic: Option<String>,
    /// Send a batch when it has so many bytes, 1 KiB to 1 MiB. A Fluvio reader's source.max_bytes must be well above it.
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = batch)]
    pub batch: usize,
    /// Give up when the cluster has taken nothing for so long.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

fn batch(text: &str) -> Result<usize, &'static str> {
    let bytes = text.parse().ok().map(|ByteSize(bytes)| bytes);
    let bytes = bytes.filter(|bytes| (1 << 10..=1 << 20).contains(bytes));
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or("give a size from 1KiB to 1MiB")
}
