//! The sections of the page with the plots over time. The systems that are compared are always on one scale.

use std::io::{self, Write};

use super::{
    super::{Report, Sample, SystemReport, figures::title},
    marks::Course,
    plot::{Line, Plot, write_line_key, write_shade_key},
    scale::{Measure, Scale},
    series::{Point, levels, rates, spans},
};

/// A rate is the mean over the run's length divided by this: enough for its shape, few enough to be calm.
const WINDOWS: f64 = 120.0;
/// The same for the small plots.
const SMALL_WINDOWS: f64 = 75.0;
/// Breaks of backpressure shorter than the run's length divided by this cannot be seen.
const BREAKS: f64 = 300.0;

/// Writes all plots.
pub(super) fn write_charts(out: &mut impl Write, report: &Report, course: &Course) -> io::Result<()> {
    if report.systems.is_empty() {
        return Ok(());
    }
    section(out, "Lag", "What is in the log and not yet settled.", &lag(report), course)?;
    section(
        out,
        "Intake",
        "What producers append to the log, and what the system reads of it.",
        &intake(report, course),
        course,
    )?;
    let mut plots = vec![spill(report)];
    plots.push(latency(report));
    section(out, "Spill and latency", "", &plots, course)?;
    broker_section(out, report, course)
}

fn section(
    out: &mut impl Write,
    title: &str,
    about: &str,
    plots: &[Plot],
    course: &Course,
) -> io::Result<()> {
    writeln!(out, "<section><h2>{title}</h2>")?;
    if !about.is_empty() {
        writeln!(out, "<p class=\"note\">{about}</p>")?;
    }
    writeln!(out, "<div class=\"plots\">")?;
    plots.iter().try_for_each(|plot| plot.write(out, course))?;
    writeln!(out, "</div></section>")
}

fn class(system: &SystemReport) -> &'static str {
    match system.name.as_str() {
        "legacy" => "legacy",
        "loadline" => "loadline",
        _ => "other",
    }
}

fn line(system: &SystemReport, pieces: Vec<Vec<Point>>) -> Line {
    Line { class: class(system), name: title(system).to_owned(), pieces }
}

/// A line for each system of what its samples say.
fn compared(report: &Report, value: impl Fn(&Sample) -> Option<f64>) -> Vec<Line> {
    report.systems.iter().map(|system| line(system, levels(&system.samples, &value))).collect()
}

fn greatest(lines: &[Line]) -> f64 {
    values(lines).fold(0.0, f64::max)
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| &line.pieces).flatten().map(|point| point.1)
}

fn plot(id: &str, title: &str, unit: &'static str, lines: Vec<Line>) -> Plot {
    let measure = if unit.is_empty() { Measure::Time } else { Measure::Count };
    Plot {
        id: id.to_owned(),
        title: title.to_owned(),
        note: String::new(),
        unit,
        measure,
        scale: Scale::up_to(greatest(&lines), measure, 4),
        lines,
        held: Vec::new(),
        broker: None,
    }
}

fn lag(report: &Report) -> Vec<Plot> {
    vec![
        plot("lag", "Events not yet settled", "events", compared(report, |sample| Some(sample.lag as f64))),
        plot(
            "age",
            "Age of the oldest of them",
            "",
            compared(report, |sample| Some(sample.oldest_age_ms as f64)),
        ),
    ]
}

fn intake(report: &Report, course: &Course) -> Vec<Plot> {
    let window = course.time.max / WINDOWS;
    let mut plots: Vec<Plot> = report
        .systems
        .iter()
        .enumerate()
        .map(|(place, system)| {
            let rate = |counted: fn(&Sample) -> u64| vec![rates(&system.samples, window, counted)];
            let mut read = line(system, rate(|sample| sample.read));
            read.name = format!("read by {}", title(system));
            let appended = Line {
                class: "appended",
                name: "appended".to_owned(),
                pieces: rate(|sample| sample.appended),
            };
            let mut lines = vec![appended, read];
            lines.retain(|line| !line.pieces.concat().is_empty());
            Plot {
                held: spans(&system.samples, course.time.max / BREAKS, |sample| sample.held),
                ..plot(&format!("intake-{place}"), title(system), "records/s", lines)
            }
        })
        .collect();
    let most = plots.iter().map(|plot| greatest(&plot.lines)).fold(0.0, f64::max);
    for plot in &mut plots {
        plot.scale = Scale::up_to(most, Measure::Count, 4);
    }
    plots
}

fn spill(report: &Report) -> Plot {
    let mut lines = compared(report, |sample| Some(sample.spilled as f64));
    // a system that never spills has no line, rather than one that hides in the axis
    let spills = |line: &Line| greatest(std::slice::from_ref(line)) > 0.0;
    if lines.iter().any(spills) {
        lines.retain(spills);
    }
    Plot {
        note: "What waits for brokers that do not take it now.".to_owned(),
        ..plot("spill", "Deliveries waiting on disk", "deliveries", lines)
    }
}

fn latency(report: &Report) -> Plot {
    let lines = compared(report, |sample| sample.p99_ms.filter(|ms| *ms > 0.0));
    let least = values(&lines).fold(f64::INFINITY, f64::min);
    let scale = Scale::decades(least.min(1e9), greatest(&lines), Measure::Time);
    Plot {
        note: "99th percentile; each step of the scale is ten times the one below.".to_owned(),
        scale,
        ..plot("latency", "From event to delivery, well brokers", "", lines)
    }
}

fn broker_section(out: &mut impl Write, report: &Report, course: &Course) -> io::Result<()> {
    if report.brokers.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section><h2>Deliveries, broker by broker</h2>")?;
    let same = if report.systems.len() > 1 { ", the same for all systems" } else { "" };
    writeln!(
        out,
        "<p class=\"note\">Taken per second, repeats included. Each broker has a scale of its own{same}.</p>"
    )?;
    write!(out, "<p class=\"legend\">")?;
    for system in &report.systems {
        write_line_key(out, class(system), title(system))?;
        write!(out, "</span> ")?;
    }
    if course.surge.is_some() {
        write_shade_key(out, "surge", "surge")?;
    }
    if report.brokers.iter().any(|broker| course.of_broker(&broker.id).next().is_some()) {
        write_shade_key(out, "trouble", "something is done to the broker")?;
    }
    writeln!(out, "</p>")?;
    for (well, heading) in [(false, "In trouble"), (true, "Well")] {
        let places = (0..report.brokers.len()).filter(|place| report.brokers[*place].well == well);
        let plots: Vec<Plot> = places.map(|place| broker(report, course, place)).collect();
        if !plots.is_empty() {
            writeln!(out, "<h3 class=\"rank\">{heading}</h3><div class=\"plots many\">")?;
            plots.iter().try_for_each(|plot| plot.write(out, course))?;
            writeln!(out, "</div>")?;
        }
    }
    writeln!(out, "</section>")
}

fn broker(report: &Report, course: &Course, place: usize) -> Plot {
    let info = &report.brokers[place];
    let window = course.time.max / SMALL_WINDOWS;
    let taken = |sample: &Sample| sample.taken.get(place).copied().unwrap_or(0);
    let rate = |system: &SystemReport| match rates(&system.samples, window, taken) {
        points if points.is_empty() => Vec::new(),
        points => vec![points],
    };
    let lines = report.systems.iter().map(|system| line(system, rate(system))).collect::<Vec<_>>();
    let scale = Scale::up_to(greatest(&lines), Measure::Count, 2);
    Plot {
        note: info.about.clone(),
        scale,
        broker: Some(info.id.clone()),
        ..plot(&format!("broker-{place}"), &info.id, "deliveries/s", lines)
    }
}
