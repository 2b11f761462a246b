//! `loadline rehearse`: puts the brokers and limits of a config through a surge in simulated time.

use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::ProgressBar;

use crate::{
    cli::{ConfigFile, Exit, RehearseArgs},
    commands::{Answer, tell, with_config},
};
use lab::rehearsal::{Plan, Progress, rehearse as rehearsed, write_rehearsal};
use service::{
    config::{Config, LogFormat},
    logging,
};

pub(super) fn rehearse(args: &RehearseArgs, answer: Answer) -> anyhow::Result<Exit> {
    // What the simulated line says of its brokers is of nobody's brokers.
    logging::init(LogFormat::Text, "off")?;
    with_config(&ConfigFile::named(args.config.clone()), answer, |config| of(config, args, answer))
}

fn of(config: &Config, args: &RehearseArgs, answer: Answer) -> anyhow::Result<Exit> {
    let plan = match Plan::new(config, &args.options()) {
        Ok(plan) => plan,
        Err(fault) => {
            writeln!(io::stderr().lock(), "loadline: {fault}")?;
            return Ok(Exit::Usage);
        }
    };
    let bar = answer.shows_progress().then(ProgressBar::new_spinner);
    let rehearsal = rehearsed(config, plan, &mut |progress| show(bar.as_ref(), progress));
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    let rehearsal = rehearsal?;
    let mut text = Vec::new();
    match (answer.json, answer.quiet) {
        (true, _) => writeln!(text, "{}", serde_json::to_string(&rehearsal)?)?,
        (false, true) => {}
        (false, false) => write_rehearsal(&mut text, &rehearsal)?,
    }
    tell(&text)?;
    Ok(if rehearsal.holds() { Exit::Done } else { Exit::Failed })
}

fn show(bar: Option<&ProgressBar>, progress: Progress) {
    let Some(bar) = bar else { return };
    let Progress { simulation, at, .. } = progress;
    let at = humantime::format_duration(Duration::from_secs(at.as_secs()));
    bar.set_message(format!("simulation {simulation}, at {at}"));
    bar.tick();
}
