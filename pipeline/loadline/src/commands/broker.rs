//! `loadline broker enable|disable|pause|resume`: changes a broker in the running process or, while none runs, in the
//! state directory.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use http::Method;
use serde_json::json;

use super::{
    Answer,
    ask::{Answered, process_or_directory},
    runtime,
};
use crate::cli::{BrokerArgs, BrokerSubcommand, Exit};
use service::{
    admin::{BrokerCommand, client::ask},
    config::{Config, Target},
    database,
};

pub(super) fn broker(
    target: &Target,
    command: &BrokerSubcommand,
    args: &BrokerArgs,
    answer: Answer,
) -> anyhow::Result<Exit> {
    let command_done = match command {
        BrokerSubcommand::Enable(_) => BrokerCommand::Enable,
        BrokerSubcommand::Disable(_) => BrokerCommand::Disable,
        BrokerSubcommand::Pause(_) => BrokerCommand::Pause,
        BrokerSubcommand::Resume(_) => BrokerCommand::Resume,
    };
    let name = &args.name;
    let listed = target.brokers.contains(name);
    let path = format!("/brokers/{name}/{}", command_done.as_str());
    // A broker that a reload has removed may still be served, and so may one of a database.
    let is_served = !listed && runtime()?.block_on(ask(&target.admin, Method::POST, &path)).is_ok();
    if !listed && !is_served && !is_in_database(args.config.file().path(), name)? {
        let known: Vec<_> = target.brokers.iter().take(20).map(String::as_str).collect();
        writeln!(
            io::stderr().lock(),
            "loadline: broker {name} is not in {}; it names {}",
            args.config.file().path().display(),
            known.join(", ")
        )?;
        return Ok(Exit::Usage);
    }
    let by = runtime()?.block_on(async {
        if is_served {
            return Ok("process");
        }
        Ok::<_, anyhow::Error>(match process_or_directory(target, Method::POST, &path).await? {
            Answered::Process(_) => "process",
            // The group's word would replace it when the next run begins.
            Answered::Directory(_) if target.state.follow.is_some() => anyhow::bail!(
                "no process runs here, and a broker of a group is changed for all of its members: give the command at one \
                 that runs, with its config"
            ),
            Answered::Directory(store) => {
                command_done.on_directory(&store, name)?;
                "directory"
            }
        })
    })?;
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", json!({ "answeredBy": by, "broker": name, "done": command_done.as_str() }))?;
    } else if !answer.quiet {
        let done = match command_done {
            BrokerCommand::Pause => "paused: nothing is sent to it, what comes for it waits",
            BrokerCommand::Resume => "resumed: what waits for it is sent first",
            BrokerCommand::Disable => "disabled: its deliveries become dead letters",
            BrokerCommand::Enable => "enabled",
        };
        let asked = match by {
            "process" if target.state.follow.is_some() => "at all members of the group",
            "process" => "in the running process",
            _ => "in the state directory, for the next run: no process runs",
        };
        writeln!(out, "{name} {done} ({asked})")?;
    }
    Ok(Exit::Done)
}

/// Whether the config has a database of subscriptions with a broker of this name. To ask it takes the whole config, with its
/// secrets; without them there is only what the file itself says.
fn is_in_database(config: &Path, name: &str) -> anyhow::Result<bool> {
    let config = Config::load(config).ok();
    let Some(database) = config.and_then(|config| config.subscriptions) else { return Ok(false) };
    let found = runtime()?.block_on(database::has_broker(&database, name));
    found.with_context(|| format!("broker {name} is not in the config, and the database cannot be asked"))
}
