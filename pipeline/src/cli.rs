//! The command line: arguments enter, a typed command leaves; and `check`, the command that needs nothing but a config.
//!
//! [`Exit`] has the exit codes.

use std::{
    ffi::OsString,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    time::Duration,
};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};
use serde_json::json;

use crate::config::{Config, SecretFault, SecretRef, Summary, notes};

mod bench;
mod config;
mod dead;
mod produce;
mod state;
mod surge;

pub use bench::{BenchArgs, BenchPart};
pub use config::{ConfigArgs, ConfigFile, ConfigOption};
pub use dead::{DeadChangeArgs, DeadCommand, DeadExportArgs, DeadListArgs, DeadShowArgs, SelectArgs, When};
pub use produce::ProduceArgs;
pub use state::{StateCommand, StateExportArgs, StateImportArgs, StateRepairArgs, StateSeekArgs};
pub use surge::{OnlySystem, SurgeArgs};

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
    /// Put the events of a file onto a topic of a Fluvio cluster, keyed by load id.
    Produce(ProduceArgs),
    /// Be a broker: take deliveries, check their signatures, and misbehave as told.
    Receive(ReceiveArgs),
    /// Show the line at work: a file of events, brokers that misbehave, on this machine alone.
    Demo(DemoArgs),
    /// Replay a surge: the same traffic through a model of the legacy service and through Loadline, judged by an oracle.
    Surge(SurgeArgs),
    /// Measure what Loadline costs on this machine, beside reqwest alone and the legacy model; about a minute.
    Bench(BenchArgs),
    /// Say how a run is doing: whether it lags and why, its brokers, what could not be delivered.
    Status(StatusArgs),
    /// Pause, resume, disable or enable a broker, live if a process runs.
    #[command(subcommand)]
    Broker(BrokerCommand),
    /// Have the running process read its config again: brokers come, change and go, secrets are fetched anew.
    Reload(ConfigArg),
    /// Work with what could not be delivered: list, show, replay, export, purge.
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Check or repair a state directory; give a partition of a topic to another process, or go on elsewhere in its log.
    #[command(subcommand)]
    State(StateCommand),
    /// Be the delivery service of INC-4471: what the surge simulator runs beside the line. Wrong on purpose.
    #[command(hide = true)]
    Legacy(LegacyArgs),
    /// Be a part of what `bench` measures.
    #[command(subcommand, hide = true)]
    BenchPart(BenchPart),
}

/// How to answer; the same before the command and after it.
#[derive(Clone, Copy, Debug, Args)]
pub struct Form {
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
    pub form: Form,
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
    /// Fail if the cluster of a fluvio source is away at the start, instead of waiting for it.
    #[arg(long)]
    pub fail_fast: bool,
    /// End with exit code 6 if events became dead letters in this run, or were lost before they could be read.
    #[arg(long)]
    pub strict: bool,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
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
    pub form: Form,
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
    pub form: Form,
}

/// What to say of a run.
#[derive(Clone, Debug, Args)]
#[command(after_help = STATUS_EXITS)]
pub struct StatusArgs {
    /// The config file of the run.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Look again every second, until a signal comes.
    #[arg(long)]
    pub watch: bool,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
}

/// Pause, resume, disable or enable a broker.
#[derive(Clone, Debug, Subcommand)]
pub enum BrokerCommand {
    /// Deliver to it again.
    Enable(BrokerArgs),
    /// Deliver nothing to it; what comes for it becomes dead letters.
    Disable(BrokerArgs),
    /// Send nothing to it; what comes for it waits, on disk if need be.
    Pause(BrokerArgs),
    /// Send to it again, what waited first.
    Resume(BrokerArgs),
}

impl BrokerCommand {
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
    pub form: Form,
}

/// A reference to a secret, or why it is none; keeps nothing of a secret that was given itself, so that neither
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
    /// Never after [`Cli::read`], which has refused it then.
    pub fn reference(&self) -> Result<&SecretRef, &SecretFault> {
        self.0.as_ref()
    }
}

const RUN_EXITS: &str = "Exit codes:\n  \
    0   all was delivered or settled, or a signal ended the run in good order\n  \
    1   failed, or a second signal\n  \
    5   the source has ended and deliveries wait on disk: the next run goes on with them\n  \
    6   with --strict: events became dead letters, or were lost before they could be read\n  \
    64  the command line or the config is wrong; nothing was done";

const STATUS_EXITS: &str = "Exit codes:\n  \
    0   healthy\n  \
    1   nobody could be asked\n  \
    2   lagging or failing: events wait, or a broker refuses what it is sent\n  \
    3   faulted, or the state directory is damaged\n  \
    4   no process runs\n  \
    64  the command line or the config is wrong";

/// How the process ends. Other commands than `run` and `status` end with 0, 1 or 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is done; of a status: healthy. 0.
    Done,
    /// Something failed. 1.
    Failed,
    /// Of a status: events wait, or are refused. 2.
    Lagging,
    /// Of a status: nothing is settled any more, or the state directory is damaged. 3.
    Faulted,
    /// Of a status: no process runs. 4.
    NotRunning,
    /// Of a run: its source has ended, and deliveries wait on disk. 5.
    Waiting,
    /// Of a run with `--strict`: events became dead letters, or were lost before they could be read. 6.
    DeadLetters,
    /// The command line or the config is wrong; nothing was done. 64, `EX_USAGE` of sysexits.h.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Lagging => 2,
            Exit::Faulted => 3,
            Exit::NotRunning => 4,
            Exit::Waiting => 5,
            Exit::DeadLetters => 6,
            Exit::Usage => 64,
        })
    }
}

impl Command {
    /// The config it is about; none if it is about none, or has a use of its own for one.
    #[must_use]
    pub fn config(&self) -> Option<ConfigFile> {
        match self {
            Self::Run(RunArgs { config, .. })
            | Self::Check(ConfigArg { config, .. })
            | Self::Reload(ConfigArg { config, .. })
            | Self::Status(StatusArgs { config, .. }) => Some(config.file()),
            Self::Broker(command) => Some(command.args().config.file()),
            Self::Dead(command) => Some(command.config()),
            Self::State(command) => Some(command.config()),
            Self::Produce(_)
            | Self::Receive(_)
            | Self::Demo(_)
            | Self::Surge(_)
            | Self::Bench(_)
            | Self::Legacy(_)
            | Self::BenchPart(_) => None,
        }
    }

    /// Whether JSON was asked for after the command.
    fn json(&self) -> bool {
        match self {
            Self::Run(RunArgs { form, .. })
            | Self::Check(ConfigArg { form, .. })
            | Self::Reload(ConfigArg { form, .. })
            | Self::Produce(ProduceArgs { form, .. })
            | Self::Receive(ReceiveArgs { form, .. })
            | Self::Demo(DemoArgs { form, .. })
            | Self::Bench(BenchArgs { form, .. })
            | Self::Status(StatusArgs { form, .. }) => form.json,
            Self::Dead(command) => command.form().json,
            Self::State(command) => command.form().json,
            Self::Broker(command) => command.args().form.json,
            // A surge is asked for a file.
            Self::Surge(_) | Self::Legacy(_) | Self::BenchPart(_) => false,
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

    /// What clap would say wrongly: its own errors repeat the value.
    fn judged(mut self) -> Result<Self, clap::Error> {
        let (name, secrets) = match &self.command {
            Command::Receive(ReceiveArgs { secrets, .. }) => ("--secret", secrets.as_slice()),
            Command::Surge(SurgeArgs { token, .. }) => ("--token", token.as_slice()),
            _ => ("", &[][..]),
        };
        if let Some(fault) = secrets.iter().find_map(|secret| secret.0.as_ref().err()) {
            let message = format!("the value of {name} {fault}; {}", fault.remedy());
            return Err(Self::command().error(ErrorKind::ValueValidation, message));
        }
        self.json |= self.command.json();
        Ok(self)
    }
}

fn share(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or("give a number from 0 to 1")
}

/// Checks a config and answers on `out`: a summary if it is fine (nothing if `quiet`), every problem if it is not.
#[must_use]
pub fn check(path: &Path, json: bool, quiet: bool, out: &mut impl Write) -> Exit {
    let (exit, written) = match Config::load(path) {
        Ok(_) if quiet => (Exit::Done, Ok(())),
        Ok(config) => (Exit::Done, fine(path, &config, json, out)),
        Err(errors) if json => {
            let answer = json!({ "config": path, "fine": false, "problems": errors.problems });
            (Exit::Usage, writeln!(out, "{answer}"))
        }
        Err(errors) => (Exit::Usage, writeln!(out, "{errors}")),
    };
    match written {
        // Whoever has read enough may go.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => exit,
    }
}

fn fine(path: &Path, config: &Config, json: bool, out: &mut impl Write) -> io::Result<()> {
    let (summary, notes, warnings) = (Summary::from(config), notes(config), &config.warnings);
    if json {
        let told = json!({
            "config": path, "fine": true, "summary": summary, "notes": notes, "warnings": warnings,
        });
        return writeln!(out, "{told}");
    }
    writeln!(out, "{}: fine: {summary}", path.display())?;
    notes.iter().try_for_each(|note| writeln!(out, "note      {note}"))?;
    warnings.iter().try_for_each(|warning| writeln!(out, "warning   {warning}"))
}

#[cfg(test)]
mod tests;
