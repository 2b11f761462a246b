//! The command line as typed commands. [`Exit`] has the exit codes.

use std::{ffi::OsString, io, path::Path, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};

use service::config::{SecretFault, SecretRef};

mod audit;
mod broker;
mod check;
mod config;
mod db;
mod dead;
mod exit;
#[cfg(feature = "lab")]
mod lab;
mod produce;
mod state;
mod try_broker;

pub use audit::{AuditArgs, LogForm};
pub use broker::{BrokerArgs, BrokerSubcommand};
pub use check::check;
pub use config::{ConfigArgs, ConfigOption};
pub use db::{DbArgs, DbCommand};
pub use dead::{DeadChangeArgs, DeadCommand, DeadExportArgs, DeadListArgs, DeadReplayArgs, DeadShowArgs};
pub use exit::Exit;
#[cfg(feature = "lab")]
pub use lab::{
    BenchArgs, BenchPart, DemoArgs, Engine, LabCommand, LegacyArgs, OnlySystem, ReceiveArgs, RehearseArgs,
    SurgeArgs,
};
pub use produce::ProduceArgs;
pub use service::ConfigFile;
pub use state::{StateCommand, StateExportArgs, StateImportArgs, StateSeekArgs};
pub use try_broker::TryArgs;

use exit::{RUN_EXITS, STATUS_EXITS};

/// Moves shipment events from a log to brokers' webhooks: once, in order, at each broker's pace.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadline", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Answer in JSON on stdout.
    #[arg(long)]
    pub json: bool,
    /// Say nothing but what went wrong.
    #[arg(long, global = true)]
    pub quiet: bool,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Deliver, until the source ends or a signal comes.
    Run(RunArgs),
    /// Check a config and its secrets, and say everything that is wrong with them.
    Check(ConfigArg),
    /// Send one event to one broker and show all of the exchange; nothing of it is recorded.
    Try(TryArgs),
    /// Put the events of a file onto a topic of a Fluvio or a Kafka cluster, keyed by load id.
    Produce(ProduceArgs),
    /// Find duplicates and setbacks that are in brokers' systems already, by logs of deliveries, and write corrections.
    Audit(AuditArgs),
    /// What tries Loadline.
    #[cfg(feature = "lab")]
    #[command(flatten)]
    Lab(LabCommand),
    /// Say how a run is doing: whether it lags and why, its brokers, what could not be delivered.
    Status(StatusArgs),
    /// Pause, resume, disable or enable a broker, live if a process runs.
    #[command(subcommand)]
    Broker(BrokerSubcommand),
    /// Have the running process read its config again: brokers come, change and go, secrets are fetched anew.
    Reload(ConfigArg),
    /// Work with what could not be delivered: list, show, replay, export, purge.
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Prepare the database with brokers and subscriptions: make its schema, check it, fill it from the config.
    #[command(subcommand)]
    Db(DbCommand),
    /// Check or repair a state directory; give a partition of a topic to another process, or go on elsewhere in its log.
    #[command(subcommand)]
    State(StateCommand),
}

/// How to answer; the same before the command and after it.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// Answer in JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// A config file.
#[derive(Clone, Debug, Args)]
pub struct ConfigArg {
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to deliver, and what to tell meanwhile.
#[derive(Clone, Debug, Args)]
#[command(after_help = RUN_EXITS)]
pub struct RunArgs {
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the status so often, one JSON object a line on stdout; the run ends in good order when nobody reads it
    /// any more.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub status_every: Option<Duration>,
    /// Fail if the cluster of the source, or the database of subscriptions, is away at the start, instead of waiting for it.
    #[arg(long)]
    pub fail_fast: bool,
    /// End with exit code 6 if events became dead letters in this run, or were lost before they could be read.
    #[arg(long)]
    pub strict: bool,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to say of a run.
#[derive(Clone, Debug, Args)]
#[command(after_help = STATUS_EXITS)]
pub struct StatusArgs {
    /// The config file of the run.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Look again every second, until a signal comes.
    #[arg(long, conflicts_with = "group")]
    pub watch: bool,
    /// Show all members of the Kafka group, as the one of this config knows them (state.follow).
    #[arg(long)]
    pub group: bool,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A reference to a secret, or why it is none. Keeps nothing of a secret that was given instead, so that neither
/// `Debug` nor a usage error can repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretArg(Result<SecretRef, SecretFault>);

impl From<String> for SecretArg {
    fn from(text: String) -> Self {
        Self(SecretRef::parse(&text, Path::new("")))
    }
}

impl SecretArg {
    /// The reference; a relative path starts at the working directory.
    ///
    /// # Errors
    /// None after [`Cli::read`], which refuses a wrong one.
    pub fn reference(&self) -> Result<&SecretRef, &SecretFault> {
        self.0.as_ref()
    }
}

impl Command {
    /// The config of the command; none if it takes none, or uses one in its own way.
    #[must_use]
    pub fn config(&self) -> Option<ConfigFile> {
        match self {
            Self::Run(RunArgs { config, .. })
            | Self::Check(ConfigArg { config, .. })
            | Self::Reload(ConfigArg { config, .. })
            | Self::Status(StatusArgs { config, .. }) => Some(config.file()),
            Self::Broker(command) => Some(command.args().config.file()),
            Self::Dead(command) => Some(command.config()),
            Self::Db(command) => Some(command.args().config.file()),
            Self::State(command) => Some(command.config()),
            Self::Try(TryArgs { config, .. }) => Some(config.file()),
            Self::Produce(_) | Self::Audit(_) => None,
            #[cfg(feature = "lab")]
            Self::Lab(_) => None,
        }
    }

    /// Whether JSON was asked for after the command.
    fn json(&self) -> bool {
        match self {
            Self::Run(RunArgs { output, .. })
            | Self::Check(ConfigArg { output, .. })
            | Self::Reload(ConfigArg { output, .. })
            | Self::Produce(ProduceArgs { output, .. })
            | Self::Audit(AuditArgs { output, .. })
            | Self::Try(TryArgs { output, .. })
            | Self::Status(StatusArgs { output, .. }) => output.json,
            Self::Dead(command) => command.output().json,
            Self::Db(command) => command.args().output.json,
            Self::State(command) => command.output().json,
            Self::Broker(command) => command.args().output.json,
            #[cfg(feature = "lab")]
            Self::Lab(command) => command.json(),
        }
    }
}

impl Command {
    /// The option that names secrets, and its values.
    fn secrets(&self) -> (&'static str, &[SecretArg]) {
        match self {
            #[cfg(feature = "lab")]
            Self::Lab(command) => command.secrets(),
            _ => ("", &[]),
        }
    }
}

impl Cli {
    /// Reads the command line; clap's own answers (help, version, usage) are printed here.
    ///
    /// # Errors
    /// How to end: [`Exit::Done`] after help or version, [`Exit::Usage`] after an error.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Exit> {
        Self::try_parse_from(arguments).and_then(Self::judged).map_err(|error| {
            match (error.print(), error.use_stderr()) {
                (_, true) => Exit::Usage,
                (Ok(()), false) => Exit::Done,
                (Err(error), false) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
                (Err(_), false) => Exit::Failed,
            }
        })
    }

    /// Reports errors that clap must not, because its own messages repeat the value.
    fn judged(mut self) -> Result<Self, clap::Error> {
        let (name, secrets) = self.command.secrets();
        if let Some(fault) = secrets.iter().find_map(|secret| secret.0.as_ref().err()) {
            let message = format!("the value of {name} {fault}; {}", fault.remedy());
            return Err(Self::command().error(ErrorKind::ValueValidation, message));
        }
        self.json |= self.command.json();
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
