//! `loadline demo`: runs the real line between a file of events and local receivers for a dozen brokers, and reports
//! what each broker got and why the rest failed.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context;
use state::{DeadLetter, Store};

use super::directory::Directory;
use crate::cli::{ConfigFile, DemoArgs, Exit};
use crate::commands::{
    Answer,
    run::{Ended, deliver},
};
use lab::{
    BrokerTable, RunDir,
    demo::{DemoBroker, DemoJudge, Outcome, brokers, write_report},
    receiver::Fleet,
};
use service::{
    assemble::store_options, config::Config, dead::DeadLetterJson, logging, reload::Requests,
    summary::Summary,
};

/// The demo's own events, so that the binary needs no other file.
const EVENTS: &[u8] = include_bytes!("../../../../../examples/events.ndjson");

pub(super) fn demo(args: &DemoArgs, answer: Answer) -> anyhow::Result<Exit> {
    let events = match &args.events {
        None => EVENTS.to_vec(),
        Some(path) => fs::read(path).with_context(|| format!("events {}", path.display()))?,
    };
    let dir = Directory::make("demo", args.keep.as_deref(), "--keep")?;
    let brokers = brokers();
    let judge = DemoJudge::new(brokers.clone(), &events);
    let fleet = Fleet::start(judge.receivers(), 0)?;
    let written = write_files(&dir.path, &brokers, &fleet, &events);
    let file = written.with_context(|| dir.path.display().to_string())?;
    if !answer.quiet && !answer.json {
        let (count, lines) = (brokers.len(), events.split_inclusive(|byte| *byte == b'\n').count());
        let mut out = io::stderr().lock();
        writeln!(out, "{count} brokers listen on loopback; the line runs over {lines} lines of events")?;
    }
    let config = Config::load(&file).map_err(|errors| anyhow::anyhow!("the demo's own config: {errors}"))?;
    logging::init(config.log.format, &config.log.level)?;
    judge.begin();
    let receivers = fleet.begin();
    let Ended { summary, .. } = deliver(&config, Requests::none(), None, answer)?;
    let _counts = receivers.stop()?;
    let dead: Vec<DeadLetter> = Store::open(&config.state.dir, store_options(&config.state))?
        .dead_letters()
        .iter()
        .collect::<Result<_, _>>()?;
    let outcome = judge.judge(&config, &dead);
    // Files that are not kept cannot be inspected later.
    let file = args.keep.is_some().then(|| ConfigFile::named(file));
    report(&summary, file.as_ref(), &outcome, &dead, answer)
}

fn report(
    summary: &Summary,
    config: Option<&ConfigFile>,
    outcome: &Outcome,
    dead: &[DeadLetter],
    answer: Answer,
) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    if answer.json {
        let dead: Vec<_> = dead.iter().cloned().map(DeadLetterJson::from).collect();
        writeln!(out, "{}", serde_json::json!({ "summary": summary, "deadLetters": dead }))?;
    } else if !answer.quiet {
        summary.write(&mut out, config)?;
        writeln!(out)?;
        write_report(&mut out, outcome, dead)?;
    }
    Ok(if outcome.findings.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Writes events, secrets and config; returns the config's path. Waits are short, so that the demo ends within
/// seconds.
fn write_files(dir: &Path, brokers: &[DemoBroker], fleet: &Fleet, events: &[u8]) -> io::Result<PathBuf> {
    let mut dir = RunDir::new(dir)?;
    fs::write(dir.path("events.ndjson"), events)?;
    let all: String = brokers.iter().map(|broker| format!("\n  {}: {}", broker.id, broker.about)).collect();
    dir.comment(&format!(
        "The demo's config. `loadline run` takes it as well, while something listens on these ports.\nThe brokers:{all}"
    ));
    dir.set("source.kind", "file");
    dir.set("source.path", "events.ndjson");
    dir.set("state.dir", "state");
    // The events have fixed dates, so a clock that is behind them must not matter.
    dir.set("rules.ahead_max", "365d");
    dir.set("retry.base", "100ms");
    dir.set("retry.cap", "2s");
    dir.set("breaker.open_min", "500ms");
    dir.set("breaker.open_max", "2s");
    dir.set("log.level", "error");
    for (broker, address) in brokers.iter().zip(&fleet.addresses) {
        let secret = dir.keep_secret(&format!("{}.secret", broker.id), &broker.secret())?;
        let table = BrokerTable::new(broker.id, format!("http://{address}/webhooks"), secret);
        dir.add_broker(table.with("rate", broker.rate).subscribed(&broker.subscription()));
    }
    dir.save()
}
