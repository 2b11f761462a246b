//! `loadline dead list` and `show`: prints dead letters one per line, counted by cause, or one of them in full.

use std::io::{self, Write};

use serde_json::json;
use state::Clock;

use super::{super::Answer, ends, host::Host};
use crate::cli::{DeadListArgs, DeadShowArgs, Exit};
use service::{
    config::Target,
    dead::{Selection, counted, write_groups, write_line, write_whole},
};

pub(super) async fn list(target: &Target, args: &DeadListArgs, answer: Answer) -> anyhow::Result<Exit> {
    let selection = args.select.selection(Clock::System.now());
    let host = Host::find(target, false).await?;
    let mut listed = 0;
    let mut left = args.max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let mut after = None;
    loop {
        let (letters, next) = host.letters(&selection, after.as_ref(), left).await?;
        left = left.saturating_sub(letters.len());
        listed += letters.len() as u64;
        // A page at a time, so that closing the pipe ends this early.
        let mut out = Vec::new();
        for letter in &letters {
            if answer.json {
                writeln!(out, "{}", json!(letter))?;
            } else {
                write_line(&mut out, letter)?;
            }
        }
        io::stdout().lock().write_all(&out)?;
        if next.is_none() || left == 0 {
            io::stdout().lock().flush()?;
            let more = if next.is_some() { ", and there may be more" } else { "" };
            host.say(&format!("{}{more}", counted(listed)), answer)?;
            return ends(listed, &selection, target);
        }
        after = next;
    }
}

pub(super) async fn summary(target: &Target, args: &DeadListArgs, answer: Answer) -> anyhow::Result<Exit> {
    let selection = args.select.selection(Clock::System.now());
    let host = Host::find(target, false).await?;
    let groups = host.groups(&selection).await?.into_sorted();
    let total: u64 = groups.iter().map(|group| group.count).sum();
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", json!({ "answeredBy": host.by(), "total": total, "groups": groups }))?;
    } else {
        writeln!(out, "{} ({})", counted(total), host.place())?;
        if total > 0 {
            write_groups(&mut out, &groups)?;
        }
    }
    ends(total, &selection, target)
}

pub(super) async fn show(target: &Target, args: &DeadShowArgs, answer: Answer) -> anyhow::Result<Exit> {
    let host = Host::find(target, false).await?;
    let (letters, _) = host.letters(&Selection::of(args.id.clone()), None, 1).await?;
    let Some(letter) = letters.first() else {
        anyhow::bail!(
            "there is no dead letter {} ({}); `loadline dead list` names those there are",
            args.id,
            host.place()
        );
    };
    let mut out = io::stdout().lock();
    if answer.json {
        let mut told = json!(letter);
        told["answeredBy"] = host.by().into();
        writeln!(out, "{told}")?;
    } else {
        host.say("1 dead letter", answer)?;
        write_whole(&mut out, letter)?;
    }
    Ok(Exit::Done)
}
