//! The arguments of `loadline db`.

use clap::{Args, Subcommand};

use super::{ConfigArgs, OutputArgs};

/// Prepare the database with brokers and subscriptions that the config names.
#[derive(Clone, Debug, Subcommand)]
pub enum DbCommand {
    /// Make the default schema; what is there of it stays. Its user needs the right to create tables.
    Init(DbArgs),
    /// Connect, check the queries, their plan and each broker's row, as a run does; changes nothing.
    Check(DbArgs),
    /// Write the config's brokers that have a list of loads into the default schema, with their subscriptions.
    Import(DbArgs),
}

/// What to do with a database, or only to say.
#[derive(Clone, Debug, Args)]
pub struct DbArgs {
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print what would be done, without connecting.
    #[arg(long)]
    pub dry_run: bool,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl DbCommand {
    /// Its arguments.
    #[must_use]
    pub fn args(&self) -> &DbArgs {
        match self {
            Self::Init(args) | Self::Check(args) | Self::Import(args) => args,
        }
    }
}
