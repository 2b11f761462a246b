//! `loadline status`: how a run is doing, told by its process or, with none running, by its state directory.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use state::{Fit, StateFault};

use super::{
    Answer,
    ask::{Answered, NothingYet, process_or_directory},
    runtime, tell,
};
use crate::{
    admin::client::ask,
    cli::{ConfigFile, Exit, StatusArgs},
    columns::shown_in,
    config::Place,
    status::{Status, Word, directory, write_table},
};

/// How often a watcher looks.
const EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its top (ECMA-48: ED and CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";
const PROCESS: &str = "process";
const DIRECTORY: &str = "directory";

pub(super) fn status(place: &Place, args: &StatusArgs, answer: Answer) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        let (mut status, mut by) = match look(place).await {
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
            // Once nobody runs the directory is not opened again: it would be in the way of a process that starts.
            match ask(&place.admin, Method::GET, "/status").await {
                Ok(told) => (status, by) = (serde_json::from_value(told)?, PROCESS),
                Err(_) if by == DIRECTORY => {}
                Err(_) => (status, by) = look(place).await?,
            }
        }
    })
}

/// What a script is told.
fn exit(status: &Status) -> Exit {
    match status.verdict.as_ref().map(|verdict| verdict.word) {
        Some(Word::Healthy) => Exit::Done,
        Some(Word::Lagging | Word::Failing) => Exit::Lagging,
        Some(Word::Faulted) => Exit::Faulted,
        Some(Word::NotRunning) => Exit::NotRunning,
        // A process of an earlier version says nothing.
        None => Exit::Failed,
    }
}

/// Why there is no status: a state directory that cannot be opened is a fault of its own, and where nothing has ever run
/// nothing runs.
fn unseen(error: anyhow::Error, config: &ConfigFile) -> anyhow::Result<Exit> {
    let exit = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(StateFault::Locked { .. }), _) | (None, None) => return Err(error),
        (Some(_), _) => Exit::Faulted,
        (_, Some(NothingYet { .. })) => Exit::NotRunning,
    };
    writeln!(io::stderr().lock(), "loadline: {}", Fit(&config.complete(&format!("{error:#}"))))?;
    Ok(exit)
}

async fn look(place: &Place) -> anyhow::Result<(Status, &'static str)> {
    Ok(match process_or_directory(place, Method::GET, "/status").await? {
        Answered::Process(told) => (serde_json::from_value(told)?, PROCESS),
        Answered::Directory(store) => {
            (directory::status(&store, place.file.as_deref(), &place.brokers)?, DIRECTORY)
        }
    })
}

fn show(status: &Status, by: &str, answer: Answer, clears: bool) -> anyhow::Result<bool> {
    // Written at once, so that a terminal does not flicker.
    let mut out = Vec::new();
    if answer.json {
        let mut told = json!({ "answeredBy": by });
        if let (Value::Object(told), Value::Object(status)) = (&mut told, serde_json::to_value(status)?) {
            told.extend(status);
        }
        writeln!(out, "{told}")?;
    } else if answer.quiet {
        if let Some(verdict) = status.verdict.as_ref().filter(|verdict| verdict.word != Word::Healthy) {
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
