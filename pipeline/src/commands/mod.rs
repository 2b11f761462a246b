//! The commands: arguments enter, an exit code leaves; one file each.

mod ask;
mod bench;
mod broker;
mod dead;
mod demo;
mod directory;
mod last_resort;
mod leave;
mod legacy;
mod produce;
mod progress;
mod receive;
mod reload;
mod run;
mod signals;
mod state;
mod status;
mod status_lines;
mod surge;
mod survey;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use anyhow::Context;
use serde_json::json;

use crate::{
    cli::{Cli, Command, ConfigFile, Exit, check},
    config::{Config, Place},
};

/// How a command answers.
#[derive(Clone, Copy, Debug)]
struct Answer {
    json: bool,
    quiet: bool,
}

impl Answer {
    /// Whether progress may be shown: someone is looking at stderr and wants to.
    fn shows_progress(self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }
}

/// Carries out a command.
///
/// # Errors
/// What made it fail, with what it was about; the exit code is 1 then.
pub fn execute(cli: Cli) -> anyhow::Result<Exit> {
    let config = cli.command.config();
    match carry_out(cli) {
        // Whoever has read enough may go: `loadline dead list | head` is no failure.
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
            with_place(&args.config.file(), answer, |place| status::status(place, &args, answer))
        }
        Command::Broker(command) => {
            let args = command.args();
            with_place(&args.config.file(), answer, |place| broker::broker(place, &command, args, answer))
        }
        Command::Dead(command) => {
            with_place(&command.config(), answer, |place| dead::dead(place, &command, answer))
        }
        Command::Reload(arg) => {
            let config = arg.config.file();
            with_place(&config, answer, |place| reload::reload(place, &config, answer))
        }
        Command::State(command) => state::state(&command, answer),
        Command::Produce(args) => produce::run(&args, answer),
        Command::Receive(args) => receive::receive(&args, answer),
        Command::Demo(args) => demo::demo(&args, answer),
        Command::Surge(args) => surge::surge(&args, answer),
        Command::Legacy(args) => legacy::legacy(&args, answer),
        Command::Bench(args) => bench::bench(&args, answer),
        Command::BenchPart(part) => bench::part(part),
    }
}

/// Loads the config, or says everything that is wrong with it.
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

/// Says everything that is wrong with a config.
fn check_config(path: &Path, answer: Answer) -> Exit {
    check(path, answer.json, answer.quiet, &mut io::stderr().lock())
}

/// Reads where a run is to be found, or says what is wrong with that.
fn with_place(
    config: &ConfigFile,
    answer: Answer,
    then: impl FnOnce(&Place) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let path = config.path();
    match Place::load(path) {
        Ok(place) => then(&place),
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

/// Whether a command only failed because whoever read its answer has gone.
fn is_unread(error: &anyhow::Error) -> bool {
    let kind = error.chain().find_map(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        io.or_else(|| cause.downcast_ref::<serde_json::Error>()?.io_error_kind())
    });
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// Writes an answer to stdout, for a command whose exit code says more than that it was read: a reader who has gone
/// changes nothing of that. Whether there still is one.
fn tell(text: &[u8]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// The runtime of everything that is not a shard: the intake, sources, signals, progress.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}
