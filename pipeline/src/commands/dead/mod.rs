//! `loadline dead …`: what could not be delivered is listed, shown, sent again, written out or removed; in the running
//! process or, with none running, in the state directory.

mod change;
mod export;
mod known;
mod reach;
mod read;
mod replay;

use std::io::{self, Write};

use super::{Answer, runtime};
use crate::{
    cli::{DeadCommand, Exit},
    config::Place,
    dead::Selection,
};

/// How a command ends that has found so many letters: none at all may be a slip in its conditions, which is told.
fn ends(found: u64, selection: &Selection, place: &Place) -> anyhow::Result<Exit> {
    match known::impossible(selection, place).filter(|_| found == 0) {
        Some(why) => {
            writeln!(io::stderr().lock(), "loadline: {why}")?;
            Ok(Exit::Usage)
        }
        None => Ok(Exit::Done),
    }
}

pub(super) fn dead(place: &Place, command: &DeadCommand, answer: Answer) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        match command {
            DeadCommand::List(args) if args.summary => read::summary(place, args, answer).await,
            DeadCommand::List(args) => read::list(place, args, answer).await,
            DeadCommand::Show(args) => read::show(place, args, answer).await,
            DeadCommand::Export(args) => export::export(place, args, answer).await,
            DeadCommand::Purge(args) => change::purge(place, args, answer).await,
            DeadCommand::Replay(args) => replay::replay(place, args, answer).await,
        }
    })
}
