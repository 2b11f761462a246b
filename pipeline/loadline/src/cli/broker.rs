//! The arguments of `loadline broker`.

use clap::{Args, Subcommand};

use super::{ConfigOption, OutputArgs};

/// Pause, resume, disable or enable a broker.
#[derive(Clone, Debug, Subcommand)]
pub enum BrokerSubcommand {
    /// Deliver to it again.
    Enable(BrokerArgs),
    /// Deliver nothing to it; what comes for it becomes dead letters.
    Disable(BrokerArgs),
    /// Send nothing to it; what comes for it waits, on disk if need be.
    Pause(BrokerArgs),
    /// Send to it again, what waited first.
    Resume(BrokerArgs),
}

impl BrokerSubcommand {
    /// Which broker, and where its config is.
    #[must_use]
    pub fn args(&self) -> &BrokerArgs {
        match self {
            Self::Enable(args) | Self::Disable(args) | Self::Pause(args) | Self::Resume(args) => args,
        }
    }
}

/// A broker of a config.
#[derive(Clone, Debug, Args)]
pub struct BrokerArgs {
    /// The broker's id.
    pub name: String,
    /// The config file.
    #[command(flatten)]
    pub config: ConfigOption,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}
