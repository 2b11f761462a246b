//! The commands, one file each: carries out arguments and returns an exit code.

mod ask;
mod audit;
mod broker;
mod db;
mod dead;
mod exit_now;
#[cfg(feature = "lab")]
mod lab;
mod last_resort;
mod produce;
mod progress;
mod reload;
mod run;
mod signals;
mod state;
mod state_check;
mod status;
mod status_lines;
mod try_broker;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use anyhow::Context;
use serde_json::json;

use crate::cli::{Cli, Command, ConfigFile, Exit, check};
use service::config::{Config, Target};

/// How a command prints its answer.
#[derive(Clone, Copy, Debug)]
struct Answer {
    json: bool,
    quiet: bool,
}

impl Answer {
    /// Whether progress may be shown: stderr is a terminal, and not `--quiet`.
    fn shows_progress(self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }
}

/// Carries out a command.
///
/// # Errors
/// Why it failed, with its context; the exit code is 1 then.
pub fn execute(cli: Cli) -> anyhow::Result<Exit> {
    let config = cli.command.config();
    match carry_out(cli) {
        // A closed pipe is no failure: `loadline dead list | head`.
        Err(error) if is_unread(&error) => Ok(Exit::Done),
        Err(error) => Err(match config {
            Some(config) => anyhow::anyhow!(config.complete(&format!("{error:#}"))),
            None => error,
        }),
        done => done,
    }
}

fn carry_out(cli: Cli) -> anyhow::Result<Exit> {
    let answer = Answer { json: cli.json, quiet: cli.quiet };
    match cli.command {
        Command::Check(arg) => {
            Ok(check(arg.config.file().path(), cli.json, cli.quiet, &mut io::stdout().lock()))
        }
        Command::Run(args) => {
            with_config(&args.config.file(), answer, |config| run::run(config, &args, answer))
        }
        Command::Status(args) => {
            with_target(&args.config.file(), answer, |target| status::status(target, &args, answer))
        }
        Command::Broker(command) => {
            let args = command.args();
            with_target(&args.config.file(), answer, |target| broker::broker(target, &command, args, answer))
        }
        Command::Dead(command) => {
            with_target(&command.config(), answer, |target| dead::dead(target, &command, answer))
        }
        Command::Reload(arg) => {
            let config = arg.config.file();
            with_target(&config, answer, |target| reload::reload(target, &config, answer))
        }
        Command::Db(command) => {
            with_config(&command.args().config.file(), answer, |config| db::run(config, &command, answer))
        }
        Command::State(command) => state::state(&command, answer),
        Command::Try(args) => {
            with_config(&args.config.file(), answer, |config| try_broker::run(config, &args, answer))
        }
        Command::Produce(args) => produce::run(&args, answer),
        Command::Audit(args) => audit::run(&args, answer),
        #[cfg(feature = "lab")]
        Command::Lab(command) => lab::carry_out(command, answer),
    }
}

/// Loads the config, or prints all its problems.
fn with_config(
    config: &ConfigFile,
    answer: Answer,
    then: impl FnOnce(&Config) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    match Config::load(config.path()) {
        Ok(config) => then(&config),
        Err(_) => Ok(check_config(config.path(), answer)),
    }
}

/// Prints all problems of a config.
fn check_config(path: &Path, answer: Answer) -> Exit {
    check(path, answer.json, answer.quiet, &mut io::stderr().lock())
}

/// Reads how to find a run, or prints the problems of that.
fn with_target(
    config: &ConfigFile,
    answer: Answer,
    then: impl FnOnce(&Target) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let path = config.path();
    match Target::load(path) {
        Ok(target) => then(&target),
        Err(errors) if answer.json => {
            let told = json!({ "config": path, "fine": false, "problems": errors.problems });
            writeln!(io::stderr().lock(), "{told}")?;
            Ok(Exit::Usage)
        }
        Err(errors) => {
            writeln!(
                io::stderr().lock(),
                "{errors}\na process that runs keeps the config it has; without this file it answers at its admin \
                 endpoint, such as: curl --unix-socket state/admin.sock http://localhost/status"
            )?;
            Ok(Exit::Usage)
        }
    }
}

/// Whether a command only failed because the reader has closed the pipe.
fn is_unread(error: &anyhow::Error) -> bool {
    let kind = error.chain().find_map(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        io.or_else(|| cause.downcast_ref::<serde_json::Error>()?.io_error_kind())
    });
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// Writes an answer to stdout, for a command whose exit code has a meaning of its own, which a closed pipe does not
/// change. Returns whether there still is a reader.
fn tell(text: &[u8]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// The runtime of everything but the shards: the intake, sources, signals, progress.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}
