//! `loadline run`: delivers until the source ends or a signal comes, and prints a summary.

use std::{io::Write, path::Path};

use state::{Clock, StateFault, Store, UnixMillis};
use tokio::task::JoinSet;

use super::{Answer, last_resort, progress, runtime, signals, status_lines, tell};
use crate::cli::{ConfigFile, Exit, RunArgs};
use line::stop::{Level, stop};
use service::{
    assemble::store_options,
    config::{self, Config},
    dead, engine, logging,
    reload::Requests,
    summary::Summary,
};

/// How many dead letters of the run are listed at its end; `loadline dead list` has them all.
const LISTED_MAX: usize = 20;

pub(super) fn run(config: &Config, args: &RunArgs, answer: Answer) -> anyhow::Result<Exit> {
    let file = args.config.file();
    logging::init_as(config.log.format, &config.log.level, answer.quiet)?;
    let began = Clock::System.now();
    let requests = Requests::of(file.path().to_owned());
    let Ended { summary, asked } = deliver(config, requests, Some(args), answer)?;
    log_end(&summary, asked);
    let mut out = Vec::new();
    if answer.json {
        writeln!(out, "{}", serde_json::to_string(&summary)?)?;
    } else if !answer.quiet {
        summary.write(&mut out, Some(&file))?;
        list_dead(config, &file, &summary, began, &mut out)?;
    }
    let _read = tell(&out)?;
    Ok(exit(&summary, asked, args.strict))
}

/// A run that has ended, and whether it was stopped.
pub(super) struct Ended {
    pub(super) summary: Summary,
    pub(super) asked: bool,
}

/// The exit code: dead letters, with `--strict`, before deliveries that wait for the next run.
fn exit(summary: &Summary, asked: bool, strict: bool) -> Exit {
    match summary {
        Summary { dead_letters: 1.., .. } | Summary { losses: 1.., .. } if strict => Exit::DeadLetters,
        Summary { spilled: 1.., .. } if !asked => Exit::Waiting,
        _ => Exit::Done,
    }
}

fn log_start(config: &Config, file: &Path) {
    let told = config::Summary::from(config);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %file.display(), source = %told.source,
        brokers = config.brokers.len(), state = %config.state.dir.display(), "starts");
}

fn log_end(summary: &Summary, asked: bool) {
    let Summary { records, settled, delivered, duplicates, dead_letters, spilled, .. } = summary;
    let why = if asked { "it was asked to stop" } else { "the source has ended" };
    tracing::info!(records, settled, delivered, duplicates, dead_letters, on_disk = spilled, why, "ended");
}

/// Runs the line until its source ends or a signal comes, with progress on a terminal; SIGHUP reloads.
pub(super) fn deliver(
    config: &Config,
    requests: Requests,
    args: Option<&RunArgs>,
    answer: Answer,
) -> anyhow::Result<Ended> {
    let fail_fast = args.is_some_and(|args| args.fail_fast);
    let runtime = runtime()?;
    let delivered = runtime.block_on(async {
        let (stopper, stop) = stop();
        // First, so that a second signal ends the process whatever else hangs, even the log's reader.
        signals::follow(stopper.clone())?;
        if let Some(args) = args {
            log_start(config, args.config.file().path());
            config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        }
        if requests.path().is_some() {
            signals::reload(requests.handle())?;
        }
        let (mut watching, asked, mut guarded) = (JoinSet::new(), stop.clone(), Ok(()));
        let summary = engine::run_reloading(config, requests, fail_fast, stop, |view| {
            guarded = last_resort::watch(view.ledger_status.clone());
            if let Some(every) = args.and_then(|args| args.status_every) {
                watching.spawn(status_lines::print(view.clone(), every, stopper));
            }
            if answer.shows_progress() {
                watching.spawn(progress::show(view));
            }
        });
        let summary = Box::pin(summary).await;
        watching.shutdown().await;
        guarded.and(Ok(Ended { summary: summary?, asked: asked.level() > Level::Run }))
    });
    // A task that still reads, such as from a disk that does not answer, is not waited for.
    runtime.shutdown_background();
    delivered
}

/// Lists the dead letters of this run.
fn list_dead(
    config: &Config,
    file: &ConfigFile,
    summary: &Summary,
    began: UnixMillis,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if summary.dead_letters == 0 {
        return Ok(());
    }
    let store = match Store::open(&config.state.dir, store_options(&config.state)) {
        Ok(store) => store,
        // Another run holds it already; this one has ended well.
        Err(StateFault::Locked { .. }) => {
            let told = file.complete("`loadline dead list` has the dead letters of this run");
            return Ok(writeln!(out, "\n{told}")?);
        }
        Err(fault) => return Err(fault.into()),
    };
    let mut left = LISTED_MAX;
    writeln!(out, "\ndead letters of this run")?;
    for letter in store.dead_letters().iter() {
        let letter = letter?;
        if letter.at >= began {
            if left == 0 {
                writeln!(out, "{}", file.complete("  … `loadline dead list` has them all"))?;
                break;
            }
            left -= 1;
            write!(out, "  ")?;
            dead::write_line(out, &letter.into())?;
        }
    }
    Ok(())
}
