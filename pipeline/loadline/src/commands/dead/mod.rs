//! `loadline dead …`: lists, shows, replays, exports and purges dead letters, in the running process or, while none
//! runs, in the state directory.

mod change;
mod export;
mod host;
mod no_match;
mod read;
mod replay;

use std::io::{self, Write};

use super::{Answer, runtime};
use crate::cli::{DeadCommand, Exit};
use service::{config::Target, dead::Selection};

/// The exit of a command that has found `found` letters. If none, possible mistakes in its conditions are reported.
fn ends(found: u64, selection: &Selection, target: &Target) -> anyhow::Result<Exit> {
    match no_match::why(selection, target).filter(|_| found == 0) {
        Some(why) => {
            writeln!(io::stderr().lock(), "loadline: {why}")?;
            Ok(Exit::Usage)
        }
        None => Ok(Exit::Done),
    }
}

pub(super) fn dead(target: &Target, command: &DeadCommand, answer: Answer) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        match command {
            DeadCommand::List(args) if args.summary => read::summary(target, args, answer).await,
            DeadCommand::List(args) => read::list(target, args, answer).await,
            DeadCommand::Show(args) => read::show(target, args, answer).await,
            DeadCommand::Export(args) => export::export(target, args, answer).await,
            DeadCommand::Purge(args) => change::purge(target, args, answer).await,
            DeadCommand::Replay(args) => replay::replay(target, args, answer).await,
        }
    })
}
