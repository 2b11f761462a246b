//! The arguments of `loadline bench`, and of the processes it starts.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, value_parser};

use crate::cli::OutputArgs;
use lab::{
    bench::{BROKERS_MIN, Section},
    traffic::corpus::Ids,
};

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// How often each contestant has its turn, 1 to 100.
    #[arg(long, value_name = "N", default_value = "3", value_parser = value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Deliveries in each turn, 100 to 10,000,000. The legacy model makes fewer: it is slow, and has a bounded time.
    #[arg(long, value_name = "N", default_value = "60000", value_parser = value_parser!(u64).range(100..=10_000_000))]
    pub deliveries: u64,
    /// Brokers, 5 to 1,000; each wants the events of one of five statuses.
    #[arg(long, value_name = "N", default_value = "12", value_parser = value_parser!(u16).range(BROKERS_MIN as i64..=1_000))]
    pub brokers: u16,
    /// Requests at once, over all brokers, 1 to 1,024; for everyone at least as many as there are brokers.
    #[arg(long, value_name = "N", default_value = "64", value_parser = value_parser!(u16).range(1..=1_024))]
    pub concurrency: u16,
    /// How event ids are made: the ledger is ordered by them, and what comes behind what is there costs least. Throughput
    /// looks at random ones anyway.
    #[arg(long, value_name = "MAKE", default_value = "time-ordered")]
    pub ids: Ids,
    /// Measure only this. Without it, everything but scale and kafka is measured, in about a minute.
    #[arg(long, value_name = "SECTION")]
    pub only: Option<Section>,
    /// Brokers of a Kafka cluster to begin with, for --only kafka. It is spoken to without encryption; topics are made
    /// there and removed again.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub bootstrap: Option<String>,
    /// The numbers of ledger entries that scale compares, up to 100,000,000. Memory and recovery are looked at with the
    /// largest up to 1,000,000.
    #[arg(long, value_name = "N,…", default_value = "10000,1000000,10000000", value_delimiter = ',', value_parser = value_parser!(u64).range(..=100_000_000))]
    pub entries: Vec<u64>,
    /// Keep logs, configs and state in this directory; it must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A part of a measurement that runs in a process of its own, until its stdin ends.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchPart {
    /// The receiver.
    Receiver {
        /// How long to take for each answer.
        #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
        delay: Duration,
        /// How many paths to tell apart.
        #[arg(long, default_value = "12", value_parser = value_parser!(u16))]
        paths: u16,
    },
    /// reqwest without Loadline.
    Client {
        /// The receiver's port on loopback.
        #[arg(long)]
        port: u16,
        /// The file of events.
        #[arg(long)]
        events: PathBuf,
        /// How many brokers they are for.
        #[arg(long)]
        brokers: usize,
        /// Requests at once.
        #[arg(long)]
        concurrency: usize,
        /// Sign them.
        #[arg(long)]
        sign: bool,
    },
}
