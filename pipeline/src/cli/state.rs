//! What `loadline state` is told: which partition goes into which file, or which file is taken in.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Form;

/// Move a partition of a topic from one process's state directory to another's.
#[derive(Clone, Debug, Subcommand)]
pub enum StateCommand {
    /// Give a partition away: what is remembered of it goes into a file, and it is not read here any more.
    Export(StateExportArgs),
    /// Take a partition in that another process has given away.
    Import(StateImportArgs),
}

impl StateCommand {
    /// How to answer.
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Export(StateExportArgs { form, .. }) | Self::Import(StateImportArgs { form, .. }) => *form,
        }
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> &PathBuf {
        match self {
            Self::Export(StateExportArgs { config, .. }) | Self::Import(StateImportArgs { config, .. }) => {
                config
            }
        }
    }
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
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
}

/// What to take in.
#[derive(Clone, Debug, Args)]
pub struct StateImportArgs {
    /// The file that `loadline state export` has written.
    pub file: PathBuf,
    /// The config file of the process that is to read the partition; the process must not run.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
}
