//! The commands: arguments enter, an exit code leaves; one file each.

mod broker;
mod dead;
mod demo;
mod directory;
mod legacy;
mod progress;
mod receive;
mod run;
mod signals;
mod status_lines;
mod surge;

use std::{
    io::{self, IsTerminal},
    path::Path,
};

use anyhow::Context;

use crate::{
    cli::{Cli, Command, DeadCommand, Exit, check},
    config::Config,
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
    let answer = Answer { json: cli.json, quiet: cli.quiet };
    match cli.command {
        Command::Check(arg) => Ok(check(&arg.config, cli.json, cli.quiet, &mut io::stdout().lock())),
        Command::Run(args) => {
            with_config(&args.config, answer, |config| run::run(config, args.status_every, answer))
        }
        Command::Broker(command) => broker::broker(&command, answer),
        Command::Dead(DeadCommand::List(arg)) => {
            with_config(&arg.config, answer, |config| dead::list(config, answer))
        }
        Command::Receive(args) => receive::receive(&args, answer),
        Command::Demo(args) => demo::demo(&args, answer),
        Command::Surge(args) => surge::surge(&args, answer),
        Command::Legacy(args) => legacy::legacy(&args, answer),
    }
}

/// Loads the config, or says everything that is wrong with it.
fn with_config(
    path: &Path,
    answer: Answer,
    then: impl FnOnce(&Config) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    match Config::load(path) {
        Ok(config) => then(&config),
        Err(_) => Ok(check(path, answer.json, answer.quiet, &mut io::stderr().lock())),
    }
}

/// The runtime of everything that is not a shard: the intake, sources, signals, progress.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}
