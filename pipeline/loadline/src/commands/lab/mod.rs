//! The commands that try Loadline; one file each.

mod bench;
mod demo;
mod directory;
mod legacy;
mod receive;
mod rehearse;
mod surge;

use super::Answer;
use crate::cli::{Exit, LabCommand};

/// Carries out a command.
pub(super) fn carry_out(command: LabCommand, answer: Answer) -> anyhow::Result<Exit> {
    match command {
        LabCommand::Receive(args) => receive::receive(&args, answer),
        LabCommand::Demo(args) => demo::demo(&args, answer),
        LabCommand::Surge(args) => surge::surge(&args, answer),
        LabCommand::Rehearse(args) => rehearse::rehearse(&args, answer),
        LabCommand::Bench(args) => bench::bench(&args, answer),
        LabCommand::Legacy(args) => legacy::legacy(&args, answer),
        LabCommand::BenchPart(part) => bench::part(part),
    }
}
