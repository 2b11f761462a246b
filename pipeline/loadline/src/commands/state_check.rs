//! `loadline state check` and `loadline state repair`: report what is damaged in a state directory, and save the
//! rest. Both need the directory for themselves and do not change it: they work on a copy beside it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use anyhow::bail;
use serde_json::json;
use state::{Durability, StateCheck, Store, StoreOptions};

use super::Answer;
use crate::cli::{ConfigFile, Exit};
use service::{assemble::store_options, config::StateConfig};

/// How many missing deliveries are listed; JSON has all.
const LISTED_MAX: usize = 20;

pub(super) fn check(state: &StateConfig, config: &ConfigFile, answer: Answer) -> anyhow::Result<Exit> {
    must_exist(&state.dir)?;
    let check = StateCheck::of(&state.dir, &scratch(&state.dir), state.cache, state.durability)?;
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", told(&state.dir, &check))?;
    } else if !answer.quiet || !check.is_whole() {
        tell(&state.dir, &check, &mut out)?;
        if !check.is_whole() {
            next_after_check(&check, config, &mut out)?;
        }
    }
    Ok(if check.is_whole() { Exit::Done } else { Exit::Failed })
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
    // Both copies are made before anything is reported.
    let options = StoreOptions { durability: Durability::Power, ..store_options(state) };
    let store = Store::open(to, options)?;
    let check = StateCheck::salvage(&state.dir, &scratch(to), state.durability, &store)?;
    drop(store);
    let mut out = io::stdout().lock();
    if answer.json {
        let mut told = told(&state.dir, &check);
        told["to"] = json!(to);
        writeln!(out, "{told}")?;
    } else if !answer.quiet || !check.readable {
        tell(&state.dir, &check, &mut out)?;
        match check.readable {
            true => next_after_repair(&state.dir, to, &check, &mut out)?,
            false => next_after_check(&check, config, &mut out)?,
        }
    }
    Ok(if check.readable { Exit::Done } else { Exit::Failed })
}

fn must_exist(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    bail!("no run has begun with this config yet: there is no state directory {}", dir.display());
}

/// The path of the copy: beside the directory, on the same file system.
fn scratch(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(format!(".copy-{}", process::id()));
    PathBuf::from(name)
}

fn told(dir: &Path, check: &StateCheck) -> serde_json::Value {
    let missing: Vec<_> = check
        .missing
        .iter()
        .map(|missing| json!({ "broker": missing.broker, "eventId": missing.event_id }))
        .collect();
    json!({
        "directory": dir, "whole": check.is_whole(), "readable": check.readable, "damage": check.damage,
        "lost": check.lost, "missing": missing, "waiting": check.waiting, "deadLetters": check.dead_letters,
        "ledgerEntries": check.ledger_entries, "posted": check.posted,
    })
}

fn tell(dir: &Path, check: &StateCheck, out: &mut impl Write) -> io::Result<()> {
    let whole = if check.is_whole() { "whole" } else { "damaged" };
    writeln!(out, "{}: {whole}", dir.display())?;
    check.damage.iter().chain(&check.lost).try_for_each(|found| writeln!(out, "  {found}"))?;
    if !check.readable {
        return Ok(());
    }
    for (broker, deliveries) in &check.waiting {
        writeln!(out, "{deliveries:>10} deliveries wait for {broker}")?;
    }
    writeln!(out, "{:>10} dead letters", check.dead_letters)?;
    writeln!(out, "{:>10} entries of the ledger", check.ledger_entries)?;
    if check.posted > 0 {
        writeln!(out, "{:>10} posted records that are not settled", check.posted)?;
    }
    if check.missing.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:>10} deliveries should wait and are not there", check.missing.len())?;
    for missing in check.missing.iter().take(LISTED_MAX) {
        // Ids come from outside and are escaped.
        writeln!(out, "           {} for {}", missing.event_id.escape_debug(), missing.broker)?;
    }
    match check.missing.len().saturating_sub(LISTED_MAX) {
        0 => Ok(()),
        more => writeln!(out, "           … and {more} more, all of them with --json"),
    }
}

fn next_after_check(check: &StateCheck, config: &ConfigFile, out: &mut impl Write) -> io::Result<()> {
    match check.readable {
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

fn next_after_repair(dir: &Path, to: &Path, check: &StateCheck, out: &mut impl Write) -> io::Result<()> {
    let (old, new) = (dir.display(), to.display());
    writeln!(out, "what is whole is in {new}; to go on with it: mv {old} {old}.damaged && mv {new} {old}")?;
    if !check.missing.is_empty() {
        writeln!(
            out,
            "the missing ones are not taken for delivered any more: they are sent when the source gives them again"
        )?;
    }
    Ok(())
}
