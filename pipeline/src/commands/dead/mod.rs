//! `loadline dead …`: what could not be delivered is listed, shown, sent again, written out or removed; in the running
//! process or, with none running, in the state directory.

mod change;
mod export;
mod reach;
mod read;
mod replay;

use super::{Answer, runtime};
use crate::{
    cli::{DeadCommand, Exit},
    config::Place,
};

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
