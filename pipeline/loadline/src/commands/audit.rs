//! `loadline audit`: which events brokers have taken more than once, and which loads were set back, by logs of deliveries.

use std::{
    env,
    io::{self, Write},
};

use audit::{
    BrokerReport, DuplicateExample, Form, Options, Phase, Progress, Report, StatusOrder, audit, rfc3339,
};
use indicatif::{ProgressBar, ProgressStyle};
use stages::{Field, Place, Schema};
use state::Word;

use super::{Answer, check_config, tell};
use crate::cli::{AuditArgs, Exit};
use service::{
    config::{Config, LogFormat},
    logging,
};

/// How many bad lines are shown.
const BAD_SHOWN: usize = 3;

pub(super) fn run(args: &AuditArgs, answer: Answer) -> anyhow::Result<Exit> {
    logging::init(LogFormat::Text, if answer.quiet { "error" } else { "warn" })?;
    let schema = match &args.config {
        None => plain_schema(),
        Some(path) => match Config::load(path) {
            Ok(config) => config.schema.schema(),
            Err(_) => return Ok(check_config(path, answer)),
        },
    };
    let options = Options {
        columns: args.columns(),
        form: args.form.map(Form::from),
        zone: args.time_zone.clone().unwrap_or_default(),
        path: args.path.clone(),
        schema: Some(schema),
        statuses: StatusOrder::new(args.status_order.iter().map(String::as_str)),
        memory: args.memory,
        temporary: args.temp.clone().unwrap_or_else(env::temp_dir),
        out: args.out.clone(),
        events: args.events.clone(),
    };
    let bar = answer.shows_progress().then(ProgressBar::new_spinner);
    let report = audit(&args.logs, &options, &mut |progress| show(bar.as_ref(), progress));
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    let report = report?;
    let text = match (answer.json, answer.quiet) {
        (true, _) => serde_json::to_string(&report)? + "\n",
        (false, true) => String::new(),
        (false, false) => told(&report, args),
    };
    tell(text.as_bytes())?;
    if !answer.quiet {
        warn_of_bad_lines(&report, args)?;
    }
    if report.counts.bad > 0 && report.counts.bad == report.counts.lines {
        anyhow::bail!("no line could be read: name the fields of these logs, see loadline audit --help");
    }
    Ok(if report.has_findings() { Exit::Found } else { Exit::Done })
}

/// Events as they are read by default, which need not say when they occurred.
fn plain_schema() -> Schema {
    let places = vec![Place::Pointer("/occurredAt"), Place::Reading];
    Schema::flat().with_places([(Field::OccurredAt, places)]).unwrap_or_else(|_| Schema::flat())
}

fn show(bar: Option<&ProgressBar>, progress: Progress) {
    let Some(bar) = bar else { return };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    let Progress { phase, bytes, bytes_all, lines } = progress;
    bar.set_message(match phase {
        Phase::Reading if bytes_all > 0 => {
            let percent = (bytes.min(bytes_all) as f64 / bytes_all as f64 * 100.0) as u64;
            format!("read {lines} lines, {percent} % of the logs")
        }
        Phase::Reading => format!("read {lines} lines"),
        Phase::Judging => format!("judged {lines} loads"),
    });
    bar.tick();
}

/// The report for people. Names come from the logs, so they are shown without what could steer a terminal.
fn told(report: &Report, args: &AuditArgs) -> String {
    let counts = &report.counts;
    let mut text = format!(
        "{} lines: {} deliveries taken, {} refused, {} without an answer",
        counts.lines, counts.taken, counts.refused, counts.unclear
    );
    for (count, what) in [(counts.others, "other requests"), (counts.bad, "that could not be read")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text.push_str("\n\n");
    let width = report.brokers.iter().map(|broker| Word(&broker.broker).to_string().chars().count());
    let width = width.max().unwrap_or(0).max("broker".len());
    text.push_str(&format!(
        "{:<width$}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}\n",
        "broker", "taken", "events", "duplicates", "setbacks", "loads wrong"
    ));
    for broker in &report.brokers {
        let BrokerReport { taken, events, duplicates, setbacks, loads_wrong, .. } = broker;
        let name = Word(&broker.broker).to_string();
        text.push_str(&format!(
            "{name:<width$}  {taken:>10}  {events:>10}  {duplicates:>10}  {setbacks:>10}  {loads_wrong:>10}\n"
        ));
    }
    report.brokers.iter().for_each(|broker| findings(broker, &mut text));
    if let Some(out) = args.out.as_ref().filter(|_| report.has_findings()) {
        text.push_str(&format!("\nall of it, and the corrections: {}\n", out.display()));
    }
    if let (Some(events), Some(path)) = (report.correction_events, &args.events) {
        text.push_str(&format!("\ncorrection events: {events}, in {}\n", path.display()));
        if let Some(without) = report.without_status.filter(|without| *without > 0) {
            text.push_str(&format!("loads that stand wrong, and have no status in the logs: {without}\n"));
        }
    }
    text
}

/// The first findings at a broker, and what cannot be known of it.
fn findings(broker: &BrokerReport, text: &mut String) {
    let name = Word(&broker.broker);
    let mut lines = Vec::new();
    lines.extend(broker.first_duplicates.iter().map(duplicate));
    for (load, setback) in &broker.first_setbacks {
        let (at, event, newer) =
            (rfc3339(setback.at), Word(&setback.event_id), Word(&setback.newer_event_id));
        let load = of_load(load);
        lines.push(if setback.status.is_empty() {
            format!("event {event}{load} set it back at {at}, after {newer}")
        } else {
            let (status, newer_status) = (Word(&setback.status), Word(&setback.newer_status));
            format!("event {event}{load} set it back to {status} at {at}, after {newer_status} of {newer}")
        });
    }
    let shown = (broker.first_duplicates.len() + broker.first_setbacks.len()) as u64;
    let more = broker.duplicated_events + broker.setbacks - shown;
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    if broker.bodies_differ > 0 {
        lines.push(format!("event ids with different bodies: {}", broker.bodies_differ));
    }
    if broker.unclear > 0 {
        lines.push(format!(
            "requests without an answer: {}, and {} more duplicates if all of them were taken",
            broker.unclear, broker.possible_duplicates
        ));
    }
    if broker.loads_without_order > 0 {
        lines.push(format!(
            "loads in which nothing says which event is newer, so that only repeats show as setbacks: {}",
            broker.loads_without_order
        ));
    }
    if !lines.is_empty() {
        text.push_str(&format!("\n{name}\n"));
        lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
}

fn duplicate(example: &DuplicateExample) -> String {
    let DuplicateExample { load_id, event_id, bodies_differ, taken, first_times } = example;
    let bodies = if *bodies_differ { ", with different bodies" } else { "" };
    let times: Vec<String> = first_times.iter().copied().map(rfc3339).collect();
    let more = match taken.saturating_sub(times.len()) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let (event, load, times) = (Word(event_id), of_load(load_id), times.join(", "));
    format!("event {event}{load} was taken {taken} times{bodies}: {times}{more}")
}

fn of_load(load: &str) -> String {
    if load.is_empty() { String::new() } else { format!(" of load {}", Word(load)) }
}

fn warn_of_bad_lines(report: &Report, args: &AuditArgs) -> io::Result<()> {
    let mut err = io::stderr().lock();
    for bad in report.bad_lines.iter().take(BAD_SHOWN) {
        writeln!(err, "loadline: {}, line {}: {}", Word(&bad.file), bad.line, state::Escaped(&bad.why))?;
    }
    if report.counts.bad > BAD_SHOWN as u64 {
        let kept =
            if args.out.is_some() { "bad-lines.ndjson has the first" } else { "--out keeps the first" };
        writeln!(
            err,
            "loadline: {} lines could not be read; {kept} {}",
            report.counts.bad,
            audit::BAD_LINES_KEPT
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_told_with_its_first_times_and_how_many_more_there_are() {
        let example = DuplicateExample {
            load_id: "L-1".into(),
            event_id: "e-1".into(),
            bodies_differ: false,
            taken: 2,
            first_times: vec![1_000, 2_000],
        };
        let told = "event e-1 of load L-1 was taken 2 times: 1970-01-01T00:00:01Z, 1970-01-01T00:00:02Z";
        assert_eq!(duplicate(&example), told);
        let example = DuplicateExample { taken: 200, ..example };
        let told = told.replace("2 times", "200 times") + ", and 198 more";
        assert_eq!(duplicate(&example), told);
    }
}
