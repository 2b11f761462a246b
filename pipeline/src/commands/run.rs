//! `loadline run`: delivers until the source ends or a signal comes, and says what was done.

use std::io::{self, Write};

use state::{Clock, StateFault, Store, UnixMillis};
use tokio::task::JoinSet;

use super::{Answer, progress, runtime, signals, status_lines};
use crate::{
    assemble::store_options,
    cli::{Exit, RunArgs},
    config::Config,
    dead, engine, logging,
    reload::Requests,
    stop::stop,
    summary::Summary,
};

/// How many dead letters of the run are listed at its end; `loadline dead list` has them all.
const LISTED_MAX: usize = 20;

pub(super) fn run(config: &Config, args: &RunArgs, answer: Answer) -> anyhow::Result<Exit> {
    logging::init(config.log.format, &config.log.level)?;
    let began = Clock::System.now();
    let requests = Requests::of(args.config.clone());
    let summary = deliver(config, requests, Some(args), answer)?;
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", serde_json::to_string(&summary)?)?;
    } else if !answer.quiet {
        summary.write(&mut out)?;
        list_dead(config, &summary, began, &mut out)?;
    }
    Ok(Exit::Done)
}

/// Runs the line until its source ends or a signal comes, with progress for whoever looks on; SIGHUP reloads.
pub(super) fn deliver(
    config: &Config,
    requests: Requests,
    args: Option<&RunArgs>,
    answer: Answer,
) -> anyhow::Result<Summary> {
    let fail_fast = args.is_some_and(|args| args.fail_fast);
    runtime()?.block_on(async {
        let (stopper, stop) = stop();
        signals::follow(stopper.clone())?;
        if requests.path().is_some() {
            signals::reload(requests.handle())?;
        }
        let mut watching = JoinSet::new();
        let summary = engine::run_reloading(config, requests, fail_fast, stop, |view| {
            if let Some(every) = args.and_then(|args| args.status_every) {
                watching.spawn(status_lines::print(view.clone(), every, stopper));
            }
            if answer.shows_progress() {
                watching.spawn(progress::show(view));
            }
        });
        let summary = summary.await;
        watching.shutdown().await;
        Ok(summary?)
    })
}

/// Lists the dead letters of this run.
fn list_dead(
    config: &Config,
    summary: &Summary,
    began: UnixMillis,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if summary.dead_letters == 0 {
        return Ok(());
    }
    let store = match Store::open(&config.state.dir, store_options(&config.state)) {
        Ok(store) => store,
        // The next run has it already; this one has ended well.
        Err(StateFault::Locked { .. }) => {
            return Ok(writeln!(out, "\n`loadline dead list` has the dead letters of this run")?);
        }
        Err(fault) => return Err(fault.into()),
    };
    let mut left = LISTED_MAX;
    writeln!(out, "\ndead letters of this run")?;
    for letter in store.dead_letters().iter() {
        let letter = letter?;
        if letter.at >= began {
            if left == 0 {
                writeln!(out, "  … `loadline dead list` has them all")?;
                break;
            }
            left -= 1;
            write!(out, "  ")?;
            dead::write_line(out, &letter.into())?;
        }
    }
    Ok(())
}
