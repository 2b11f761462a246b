//! `loadline broker enable|disable|pause|resume`: takes a broker out of service, or back into it, in the running process
//! or, with none running, in the state directory.

use std::io::{self, Write};

use http::Method;
use serde_json::json;

use super::{
    Answer,
    ask::{Answered, process_or_directory},
    runtime,
};
use crate::{
    admin::{Act, client::ask},
    cli::{BrokerArgs, BrokerCommand, Exit},
    config::Place,
};

pub(super) fn broker(
    place: &Place,
    command: &BrokerCommand,
    args: &BrokerArgs,
    answer: Answer,
) -> anyhow::Result<Exit> {
    let act = match command {
        BrokerCommand::Enable(_) => Act::Enable,
        BrokerCommand::Disable(_) => Act::Disable,
        BrokerCommand::Pause(_) => Act::Pause,
        BrokerCommand::Resume(_) => Act::Resume,
    };
    let name = &args.name;
    let listed = place.brokers.contains(name);
    let path = format!("/brokers/{name}/{}", act.as_str());
    // One that was reloaded away may still be served.
    if !listed && runtime()?.block_on(ask(&place.admin, Method::POST, &path)).is_err() {
        let known: Vec<_> = place.brokers.iter().take(20).map(String::as_str).collect();
        writeln!(
            io::stderr().lock(),
            "loadline: broker {name} is not in {}; it names {}",
            args.config.file().path().display(),
            known.join(", ")
        )?;
        return Ok(Exit::Usage);
    }
    let by = runtime()?.block_on(async {
        if !listed {
            return Ok("process");
        }
        Ok::<_, anyhow::Error>(match process_or_directory(place, Method::POST, &path).await? {
            Answered::Process(_) => "process",
            Answered::Directory(store) => {
                act.on_directory(&store, name)?;
                "directory"
            }
        })
    })?;
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", json!({ "answeredBy": by, "broker": name, "done": act.as_str() }))?;
    } else if !answer.quiet {
        let done = match act {
            Act::Pause => "paused: nothing is sent to it, what comes for it waits",
            Act::Resume => "resumed: what waits for it is sent first",
            Act::Disable => "disabled: its deliveries become dead letters",
            Act::Enable => "enabled",
        };
        let asked = match by {
            "process" => "in the running process",
            _ => "in the state directory, for the next run: no process runs",
        };
        writeln!(out, "{name} {done} ({asked})")?;
    }
    Ok(Exit::Done)
}
