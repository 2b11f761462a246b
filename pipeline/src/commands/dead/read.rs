//! `loadline dead list` and `show`: dead letters a line each, counted by cause, or one of them whole.

use std::io::{self, Write};

use serde_json::json;
use state::Clock;

use super::{super::Answer, ends, reach::Reach};
use crate::{
    cli::{DeadListArgs, DeadShowArgs, Exit},
    config::Place,
    dead::{Selection, counted, write_groups, write_line, write_whole},
};

pub(super) async fn list(place: &Place, args: &DeadListArgs, answer: Answer) -> anyhow::Result<Exit> {
    let selection = args.select.selection(Clock::System.now());
    let reach = Reach::find(place, false).await?;
    let mut listed = 0;
    let mut left = args.max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let mut after = None;
    loop {
        let (letters, next) = reach.letters(&selection, after.as_ref(), left).await?;
        left = left.saturating_sub(letters.len());
        listed += letters.len() as u64;
        // A page at a time, so that a reader who has enough ends this early.
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
            reach.say(&format!("{}{more}", counted(listed)), answer)?;
            return ends(listed, &selection, place);
        }
        after = next;
    }
}

pub(super) async fn summary(place: &Place, args: &DeadListArgs, answer: Answer) -> anyhow::Result<Exit> {
    let selection = args.select.selection(Clock::System.now());
    let reach = Reach::find(place, false).await?;
    let groups = reach.groups(&selection).await?.into_sorted();
    let total: u64 = groups.iter().map(|group| group.count).sum();
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", json!({ "answeredBy": reach.by(), "total": total, "groups": groups }))?;
    } else {
        writeln!(out, "{} ({})", counted(total), reach.place())?;
        if total > 0 {
            write_groups(&mut out, &groups)?;
        }
    }
    ends(total, &selection, place)
}

pub(super) async fn show(place: &Place, args: &DeadShowArgs, answer: Answer) -> anyhow::Result<Exit> {
    let reach = Reach::find(place, false).await?;
    let (letters, _) = reach.letters(&Selection::of(args.id.clone()), None, 1).await?;
    let Some(letter) = letters.first() else {
        anyhow::bail!(
            "there is no dead letter {} ({}); `loadline dead list` names those there are",
            args.id,
            reach.place()
        );
    };
    let mut out = io::stdout().lock();
    if answer.json {
        let mut told = json!(letter);
        told["answeredBy"] = reach.by().into();
        writeln!(out, "{told}")?;
    } else {
        reach.say("1 dead letter", answer)?;
        write_whole(&mut out, letter)?;
    }
    Ok(Exit::Done)
}
