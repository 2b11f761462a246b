//! `loadline dead purge`: removes dead letters for good, or counts them with `--dry-run`.

use std::io::{self, Write};

use http::Method;
use serde_json::json;
use state::{Clock, Store};

use super::{
    super::Answer,
    ends,
    host::{Host, path, understood},
};
use crate::cli::{DeadChangeArgs, Exit};
use service::{
    admin::client::ask,
    config::Target,
    dead::{Group, Groups, LetterId, PurgePage, Selection, counted, purge_page, write_groups},
};

/// Whether the command may proceed: all letters are selected only with `--all`.
pub(super) fn meant(args: &DeadChangeArgs, selection: &Selection) -> io::Result<bool> {
    let sure = !selection.is_everything() || args.all || args.dry_run;
    if !sure {
        let why =
            "without a condition every dead letter is meant: give one, such as --broker or --cause, or --all";
        writeln!(io::stderr().lock(), "{why}")?;
    }
    Ok(sure)
}

pub(super) async fn purge(target: &Target, args: &DeadChangeArgs, answer: Answer) -> anyhow::Result<Exit> {
    let selection = args.select.selection(Clock::System.now());
    if !meant(args, &selection)? {
        return Ok(Exit::Usage);
    }
    let host = Host::find(target, false).await?;
    let mut groups = Groups::default();
    let purged = pages(&host, &selection, args, &mut groups).await;
    // Printed after a fault, too, because the letters are removed.
    let groups = groups.into_sorted();
    tell(&host, args, &groups, answer)?;
    purged?;
    ends(groups.iter().map(|group| group.count).sum(), &selection, target)
}

async fn pages(
    host: &Host,
    selection: &Selection,
    args: &DeadChangeArgs,
    groups: &mut Groups,
) -> anyhow::Result<()> {
    let mut after: Option<LetterId> = None;
    loop {
        let page: PurgePage = match host {
            Host::Process(admin) => {
                let more = [
                    ("after", after.as_ref().map(ToString::to_string)),
                    ("all", Some(args.all.to_string())),
                    ("dry_run", Some(args.dry_run.to_string())),
                ];
                understood(ask(admin, Method::POST, &path("/dead/purge", selection, &more)).await?)?
            }
            Host::Directory(store) => {
                let mut sink = Store::clone(store);
                purge_page(store, &mut sink, selection.clone(), after, args.dry_run).await?
            }
        };
        groups.merge(page.groups);
        match page.next {
            Some(next) => after = Some(next.parse()?),
            None => return Ok(()),
        }
    }
}

fn tell(host: &Host, args: &DeadChangeArgs, groups: &[Group], answer: Answer) -> io::Result<()> {
    let letters: u64 = groups.iter().map(|group| group.count).sum();
    let mut out = io::stdout().lock();
    if answer.json {
        let told = json!({
            "answeredBy": host.by(), "dryRun": args.dry_run, "letters": letters, "groups": groups,
        });
        writeln!(out, "{told}")?;
    } else if !answer.quiet {
        let done = if args.dry_run { "would be removed" } else { "removed" };
        writeln!(out, "{} {done} ({})", counted(letters), host.place())?;
        if letters > 0 {
            write_groups(&mut out, groups)?;
        }
    }
    Ok(())
}
