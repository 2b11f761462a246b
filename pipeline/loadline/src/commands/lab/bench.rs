//! `loadline bench`: measures what Loadline costs on this machine, beside its targets.

use std::{
    env,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::directory::Directory;
use crate::cli::{BenchArgs, BenchPart, Exit};
use crate::commands::{Answer, runtime, signals};
use lab::bench::{self, Options, Posts, Report, Terms, measure, write_table};
use line::stop::stop;
use service::{config::LogFormat, logging};

pub(super) fn bench(args: &BenchArgs, answer: Answer) -> anyhow::Result<Exit> {
    logging::init(LogFormat::Text, if answer.quiet { "error" } else { "warn" })?;
    let directory = Directory::make("bench", args.dir.as_deref(), "--dir")?;
    let options = options(args, &directory.path)?;
    let bar = answer.shows_progress().then(ProgressBar::new_spinner);
    if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{spinner} {msg}")) {
        bar.set_style(style);
    }
    let say = |what: String| {
        if let Some(bar) = &bar {
            bar.set_message(what);
            bar.tick();
        }
    };
    let report = runtime()?.block_on(async {
        let (stopper, mut stop) = stop();
        signals::follow(stopper)?;
        tokio::select! {
            report = Box::pin(measure(&options, &say)) => Ok(report?),
            // The processes end with their handles.
            _ = stop.asked() => bail!("stopped before everything was measured"),
        }
    });
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    tell(&report?, answer)?;
    Ok(Exit::Done)
}

/// Runs a part of a measurement.
pub(super) fn part(part: BenchPart) -> anyhow::Result<Exit> {
    match part {
        BenchPart::Receiver { delay, paths } => bench::receive(delay, paths.into())?,
        BenchPart::Client { port, events, brokers, concurrency, sign } => {
            bench::post(&Posts { port, events, brokers, concurrency, sign })?;
        }
    }
    Ok(Exit::Done)
}

fn options(args: &BenchArgs, dir: &Path) -> anyhow::Result<Options> {
    let command = env::args().enumerate().map(|(place, argument)| match place {
        // Where it lies is nobody's business.
        0 => "loadline".to_owned(),
        _ => argument,
    });
    let mut entries = args.entries.clone();
    entries.sort_unstable();
    entries.dedup();
    let terms = Terms {
        rounds: args.rounds,
        deliveries: args.deliveries,
        brokers: args.brokers.into(),
        // Loadline needs at least one for each broker, and the others get no fewer.
        concurrency: args.concurrency.max(args.brokers).into(),
        ids: args.ids,
    };
    Ok(Options {
        terms,
        only: args.only,
        bootstrap: args.bootstrap.clone(),
        entries,
        command: command.collect::<Vec<_>>().join(" "),
        program: env::current_exe().context("the path of this program")?,
        // Configs name it, from where they are.
        dir: std::path::absolute(dir).with_context(|| dir.display().to_string())?,
    })
}

fn tell(report: &Report, answer: Answer) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
    } else if !answer.quiet {
        write_table(&mut out, report)?;
    }
    Ok(())
}
