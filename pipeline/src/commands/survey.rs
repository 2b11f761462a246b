//! `loadline state check` and `loadline state repair`: what is damaged in a state directory, and what is saved of it. Both
//! need the directory for themselves and leave it as it is: they work on a copy beside it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use anyhow::bail;
use serde_json::json;
use state::{Durability, Store, StoreOptions, Survey};

use super::Answer;
use crate::{
    assemble::store_options,
    cli::{ConfigFile, Exit},
    config::StateConfig,
};

/// How many missing deliveries are listed; JSON has all.
const LISTED_MAX: usize = 20;

pub(super) fn check(state: &StateConfig, config: &ConfigFile, answer: Answer) -> anyhow::Result<Exit> {
    must_exist(&state.dir)?;
    let survey = Survey::of(&state.dir, &scratch(&state.dir), state.cache)?;
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", told(&state.dir, &survey))?;
    } else if !answer.quiet || !survey.is_whole() {
        tell(&state.dir, &survey, &mut out)?;
        if !survey.is_whole() {
            next_after_check(&survey, config, &mut out)?;
        }
    }
    Ok(if survey.is_whole() { Exit::Done } else { Exit::Failed })
}

pub(super) fn repair(
    state: &StateConfig,
    to: &Path,
    config: &ConfigFile,
    answer: Answer,
) -> anyhow::Result<Exit> {
    must_exist(&state.dir)?;
    if to.symlink_metadata().is_ok() {
        bail!("{} is there already: --to names a new directory", to.display());
    }
    // Both copies before anything is promised of them.
    let options = StoreOptions { durability: Durability::Power, ..store_options(state) };
    let store = Store::open(to, options)?;
    let survey = Survey::salvage(&state.dir, &scratch(to), &store)?;
    drop(store);
    let mut out = io::stdout().lock();
    if answer.json {
        let mut told = told(&state.dir, &survey);
        told["to"] = json!(to);
        writeln!(out, "{told}")?;
    } else if !answer.quiet || !survey.readable {
        tell(&state.dir, &survey, &mut out)?;
        match survey.readable {
            true => next_after_repair(&state.dir, to, &survey, &mut out)?,
            false => next_after_check(&survey, config, &mut out)?,
        }
    }
    Ok(if survey.readable { Exit::Done } else { Exit::Failed })
}

fn must_exist(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    bail!("no run has begun with this config yet: there is no state directory {}", dir.display());
}

/// Where the copy goes: beside the directory, where there is room for it and nobody else looks.
fn scratch(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(format!(".copy-{}", process::id()));
    PathBuf::from(name)
}

fn told(dir: &Path, survey: &Survey) -> serde_json::Value {
    let missing: Vec<_> = survey
        .missing
        .iter()
        .map(|missing| json!({ "broker": missing.broker, "eventId": missing.event_id }))
        .collect();
    json!({
        "directory": dir, "whole": survey.is_whole(), "readable": survey.readable, "damage": survey.damage,
        "missing": missing, "waiting": survey.waiting, "deadLetters": survey.dead_letters,
        "ledgerEntries": survey.ledger_entries, "posted": survey.posted,
    })
}

fn tell(dir: &Path, survey: &Survey, out: &mut impl Write) -> io::Result<()> {
    let whole = if survey.is_whole() { "whole" } else { "damaged" };
    writeln!(out, "{}: {whole}", dir.display())?;
    survey.damage.iter().try_for_each(|damage| writeln!(out, "  {damage}"))?;
    if !survey.readable {
        return Ok(());
    }
    for (broker, deliveries) in &survey.waiting {
        writeln!(out, "{deliveries:>10} deliveries wait for {broker}")?;
    }
    writeln!(out, "{:>10} dead letters", survey.dead_letters)?;
    writeln!(out, "{:>10} entries of the ledger", survey.ledger_entries)?;
    if survey.posted > 0 {
        writeln!(out, "{:>10} posted records that are not settled", survey.posted)?;
    }
    if survey.missing.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:>10} deliveries should wait and are not there", survey.missing.len())?;
    for missing in survey.missing.iter().take(LISTED_MAX) {
        // Ids come from outside.
        writeln!(out, "           {} for {}", missing.event_id.escape_debug(), missing.broker)?;
    }
    match survey.missing.len().saturating_sub(LISTED_MAX) {
        0 => Ok(()),
        more => writeln!(out, "           … and {more} more, all of them with --json"),
    }
}

fn next_after_check(survey: &Survey, config: &ConfigFile, out: &mut impl Write) -> io::Result<()> {
    match survey.readable {
        true => writeln!(
            out,
            "{}",
            config.complete(
                "nothing is delivered from it; `loadline state repair --to NEW` saves what is whole"
            )
        ),
        false => writeln!(
            out,
            "nothing of it can be read: keep it, and restore a backup, or give a new state.dir: then the source is read \
             from its beginning and delivered again, and what waited on disk has to come from the source as well"
        ),
    }
}

fn next_after_repair(dir: &Path, to: &Path, survey: &Survey, out: &mut impl Write) -> io::Result<()> {
    let (old, new) = (dir.display(), to.display());
    writeln!(out, "what is whole is in {new}; to go on with it: mv {old} {old}.damaged && mv {new} {old}")?;
    if !survey.missing.is_empty() {
        writeln!(
            out,
            "the missing ones are not taken for delivered any more: they are sent when the source gives them again"
        )?;
    }
    Ok(())
}
