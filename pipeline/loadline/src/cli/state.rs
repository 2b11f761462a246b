//! The arguments of `loadline state`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ConfigArg, ConfigArgs, ConfigFile, ConfigOption, OutputArgs};

/// Look at a state directory, save what is whole of a damaged one, or move what it knows of a topic's partitions.
#[derive(Clone, Debug, Subcommand)]
pub enum StateCommand {
    /// Read the whole state directory of a process that does not run, and say what is damaged. Changes nothing.
    Check(ConfigArg),
    /// Save what is whole in a damaged state directory to a new one, and say what is not. Leaves the damaged one as it is.
    Repair(StateRepairArgs),
    /// Give a partition away: what is remembered of it goes into a file, and it is not read here any more.
    Export(StateExportArgs),
    /// Take a partition in that another process has given away.
    Import(StateImportArgs),
    /// Go on elsewhere in a partition: further on, over records that its log has lost; or further back.
    Seek(StateSeekArgs),
}

impl StateCommand {
    /// How to answer.
    pub(super) fn output(&self) -> OutputArgs {
        match self {
            Self::Check(ConfigArg { output, .. })
            | Self::Repair(StateRepairArgs { output, .. })
            | Self::Export(StateExportArgs { output, .. })
            | Self::Import(StateImportArgs { output, .. })
            | Self::Seek(StateSeekArgs { output, .. }) => *output,
        }
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> ConfigFile {
        match self {
            Self::Check(ConfigArg { config, .. }) | Self::Repair(StateRepairArgs { config, .. }) => {
                config.file()
            }
            Self::Export(StateExportArgs { config, .. })
            | Self::Import(StateImportArgs { config, .. })
            | Self::Seek(StateSeekArgs { config, .. }) => config.file(),
        }
    }
}

/// What to save, and where to.
#[derive(Clone, Debug, Args)]
pub struct StateRepairArgs {
    /// The config file of the process whose directory is damaged; the process must not run.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The new state directory, which must not exist.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to give away.
#[derive(Clone, Debug, Args)]
pub struct StateExportArgs {
    /// Write to this file, which must not exist; only its owner may read it.
    pub file: PathBuf,
    /// The partition.
    #[arg(long, value_name = "N")]
    pub partition: u32,
    /// The config file of the process that reads it now; the process must not run.
    #[command(flatten)]
    pub config: ConfigOption,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to take in.
#[derive(Clone, Debug, Args)]
pub struct StateImportArgs {
    /// The file that `loadline state export` has written.
    pub file: PathBuf,
    /// The config file of the process that is to read the partition; the process must not run.
    #[command(flatten)]
    pub config: ConfigOption,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where to go on.
#[derive(Clone, Debug, Args)]
pub struct StateSeekArgs {
    /// The partition.
    #[arg(long, value_name = "N")]
    pub partition: u32,
    /// The offset of the first record to be read. Records before it that were not delivered are not delivered at all;
    /// records behind it that were are duplicates, as long as the ledger remembers them.
    #[arg(long, value_name = "OFFSET")]
    pub to: u64,
    /// The config file of the process that reads it; the process must not run.
    #[command(flatten)]
    pub config: ConfigOption,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}
