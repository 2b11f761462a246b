//! The arguments of `loadline try`.

use std::path::PathBuf;

use clap::Args;

use super::{ConfigOption, OutputArgs};

/// What to try, and how.
#[derive(Clone, Debug, Args)]
pub struct TryArgs {
    /// The broker's id in the config.
    #[arg(value_name = "BROKER")]
    pub broker: String,
    /// A file with one event in it, as the source has it.
    #[arg(long, value_name = "FILE")]
    pub event: PathBuf,
    /// Print the request and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the request as a command for curl and send nothing; secrets stand in it as variables.
    #[arg(long)]
    pub curl: bool,
    /// The config file.
    #[command(flatten)]
    pub config: ConfigOption,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}
