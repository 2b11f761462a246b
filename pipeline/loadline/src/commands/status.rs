//! `loadline status`: the status of a run, from its process or, while none runs, from its state directory.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use state::{Escaped, StateFault};

use super::{
    Answer,
    ask::{Answered, NoStateYet, process_or_directory},
    runtime, tell,
};
use crate::cli::{ConfigFile, Exit, StatusArgs};
use service::{
    admin::client::{AskFault, ask},
    config::Target,
    status::{Condition, GroupPicture, Status, directory, write_group, write_table},
    text_table::shown_in,
};

/// The interval of `--watch`.
const EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal and moves to its top (ECMA-48: ED and CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";
const PROCESS: &str = "process";
const DIRECTORY: &str = "directory";

pub(super) fn status(target: &Target, args: &StatusArgs, answer: Answer) -> anyhow::Result<Exit> {
    if args.group {
        return group(target, answer);
    }
    runtime()?.block_on(async {
        let (mut status, mut by) = match look(target).await {
            Ok(seen) => seen,
            Err(error) => return unseen(error, &args.config.file()),
        };
        let clears = args.watch && !answer.json && io::stdout().is_terminal();
        loop {
            let is_read = show(&status, by, answer, clears)?;
            if !args.watch || !is_read {
                return Ok(exit(&status));
            }
            tokio::time::sleep(EVERY).await;
            // Once no process runs, the directory is not opened again: that would block a process that starts.
            match ask(&target.admin, Method::GET, "/status").await {
                Ok(told) => (status, by) = (serde_json::from_value(told)?, PROCESS),
                Err(_) if by == DIRECTORY => {}
                Err(_) => (status, by) = look(target).await?,
            }
        }
    })
}

/// All members of the group; healthy if all of them answer and read all partitions.
fn group(target: &Target, answer: Answer) -> anyhow::Result<Exit> {
    let told = match runtime()?.block_on(ask(&target.admin, Method::GET, "/group")) {
        Ok(told) => told,
        Err(fault @ AskFault::NoProcess { .. }) => {
            let here = "a group is known to its running members; ask one, with its config";
            writeln!(io::stderr().lock(), "loadline: {}; {here}", Escaped(&fault.to_string()))?;
            return Ok(Exit::NotRunning);
        }
        Err(fault) => return Err(fault.into()),
    };
    let picture: GroupPicture = serde_json::from_value(told)?;
    let mut out = Vec::new();
    if answer.json {
        writeln!(out, "{}", json!(picture))?;
    } else if !answer.quiet || !picture.is_whole() {
        write_group(&mut out, &picture)?;
    }
    // A reader that has gone changes nothing about the group.
    let _read = tell(&out)?;
    Ok(if picture.is_whole() { Exit::Done } else { Exit::Lagging })
}

/// The exit code.
fn exit(status: &Status) -> Exit {
    match status.verdict.as_ref().map(|verdict| verdict.word) {
        Some(Condition::Healthy) => Exit::Done,
        Some(Condition::Lagging | Condition::Failing) => Exit::Lagging,
        Some(Condition::Faulted) => Exit::Faulted,
        Some(Condition::NotRunning) => Exit::NotRunning,
        // A process of an earlier version has no verdict.
        None => Exit::Failed,
    }
}

/// Handles a missing status: a state directory that cannot be opened is a fault; where nothing has ever run, no
/// process runs.
fn unseen(error: anyhow::Error, config: &ConfigFile) -> anyhow::Result<Exit> {
    let exit = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(StateFault::Locked { .. }), _) | (None, None) => return Err(error),
        (Some(_), _) => Exit::Faulted,
        (_, Some(NoStateYet { .. })) => Exit::NotRunning,
    };
    writeln!(io::stderr().lock(), "loadline: {}", Escaped(&config.complete(&format!("{error:#}"))))?;
    Ok(exit)
}

async fn look(target: &Target) -> anyhow::Result<(Status, &'static str)> {
    Ok(match process_or_directory(target, Method::GET, "/status").await? {
        Answered::Process(told) => (serde_json::from_value(told)?, PROCESS),
        Answered::Directory(store) => {
            (directory::status(&store, target.file.as_deref(), &target.brokers)?, DIRECTORY)
        }
    })
}

fn show(status: &Status, by: &str, answer: Answer, clears: bool) -> anyhow::Result<bool> {
    // Written in one piece, so that a terminal does not flicker.
    let mut out = Vec::new();
    if answer.json {
        let mut told = json!({ "answeredBy": by });
        if let (Value::Object(told), Value::Object(status)) = (&mut told, serde_json::to_value(status)?) {
            told.extend(status);
        }
        writeln!(out, "{told}")?;
    } else if answer.quiet {
        if let Some(verdict) = status.verdict.as_ref().filter(|verdict| verdict.word != Condition::Healthy) {
            writeln!(out, "{}", shown_in(&verdict.to_string(), 1_000))?;
        }
    } else {
        if clears {
            out.extend_from_slice(CLEAR.as_bytes());
        }
        let asked = match by {
            PROCESS => "the running process",
            _ => "the state directory, because no process runs",
        };
        write_table(&mut out, status, asked)?;
    }
    Ok(tell(&out)?)
}
