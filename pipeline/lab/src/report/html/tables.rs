//! The tables of the page, and what the oracle says. Every header has its scope, every table a box of its own that scrolls
//! if the page is narrower.

use std::io::{self, Write};

use super::{
    super::{
        BrokerFigures, Latency, Report, SystemReport,
        figures::{comparison, of, title},
        units::{NONE, count, duration},
        verdict::violations,
    },
    escape::Text,
};

/// The comparison, a column for each system.
pub(super) fn write_comparison(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.systems.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section aria-labelledby=\"compared\"><h2 id=\"compared\">The run in numbers</h2>")?;
    write!(out, "<div class=\"box narrow\" tabindex=\"0\" role=\"region\" aria-labelledby=\"compared\">")?;
    write!(out, "<table class=\"comparison\"><thead><tr><td></td>")?;
    for system in &report.systems {
        write!(out, "<th scope=\"col\">{}</th>", Text(title(system)))?;
    }
    writeln!(out, "</tr></thead>")?;
    let columns = report.systems.len() + 1;
    for group in comparison(report) {
        writeln!(out, "<tbody><tr><th scope=\"rowgroup\" colspan=\"{columns}\">{}</th></tr>", group.title)?;
        for row in group.rows {
            let part = if row.part { " class=\"part\"" } else { "" };
            write!(out, "<tr{part}><th scope=\"row\">{}</th>", Text(&row.label))?;
            for cell in row.cells {
                let class = match (cell.broken, cell.missed) {
                    (true, _) => " class=\"broken\"",
                    (false, true) => " class=\"missed\"",
                    (false, false) => "",
                };
                write!(out, "<td{class}>{}</td>", Text(cell.text))?;
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody>")?;
    }
    writeln!(out, "</table></div></section>")
}

/// The brokers, a row for each system.
pub(super) fn write_brokers(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.brokers.is_empty() || report.systems.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section aria-labelledby=\"brokers\"><h2 id=\"brokers\">The brokers in numbers</h2>")?;
    write!(out, "<div class=\"box\" tabindex=\"0\" role=\"region\" aria-labelledby=\"brokers\">")?;
    write!(out, "<table class=\"brokers\"><thead><tr>")?;
    let heads = [
        "broker",
        "system",
        "made / owed",
        "duplicates",
        "explained",
        "out of order",
        "dead letters",
        "waiting",
        "lost",
    ];
    for head in heads {
        write!(out, "<th scope=\"col\">{head}</th>")?;
    }
    for phase in &report.phases {
        write!(out, "<th scope=\"col\">p99 {}</th>", Text(&phase.name))?;
    }
    writeln!(out, "</tr></thead>")?;
    for (place, broker) in report.brokers.iter().enumerate() {
        write!(out, "<tbody>")?;
        for (nth, system) in report.systems.iter().enumerate() {
            write!(out, "<tr>")?;
            if nth == 0 {
                let (rows, id, about) = (report.systems.len(), Text(&broker.id), Text(&broker.about));
                write!(out, "<th scope=\"rowgroup\" rowspan=\"{rows}\">{id}<span>{about}</span></th>")?;
            }
            write!(out, "<th scope=\"row\">{}</th>", Text(title(system)))?;
            write_broker(out, report, system.brokers.get(place).unwrap_or(&BrokerFigures::default()))?;
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody>")?;
    }
    writeln!(out, "</table></div></section>")
}

fn write_broker(out: &mut impl Write, report: &Report, figures: &BrokerFigures) -> io::Result<()> {
    let unexplained = figures.duplicates > figures.explained_duplicates;
    let cells = [
        (of(figures.delivered, figures.owed), false),
        (count(figures.duplicates), unexplained),
        (count(figures.explained_duplicates), false),
        (count(figures.out_of_order), figures.out_of_order > 0),
        (count(figures.dead_letters), false),
        (count(figures.waiting), false),
        (count(figures.lost), figures.lost > 0),
    ];
    let latency = (0..report.phases.len()).map(|phase| figures.latency.get(phase).copied().flatten());
    for (text, broken) in cells.into_iter().chain(latency.map(|latency| (p99(latency), false))) {
        let class = if broken { " class=\"broken\"" } else { "" };
        write!(out, "<td{class}>{}</td>", Text(text))?;
    }
    Ok(())
}

fn p99(latency: Option<Latency>) -> String {
    latency.map_or_else(|| NONE.to_owned(), |latency| duration(latency.p99_ms))
}

/// What is held against each system; nothing if there is nothing.
pub(super) fn write_findings(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let found = |system: &&SystemReport| system.violation_count > 0 || !system.missed_goals.is_empty();
    if !report.systems.iter().any(|system| found(&system)) {
        return Ok(());
    }
    writeln!(out, "<section aria-labelledby=\"findings\"><h2 id=\"findings\">What the oracle found</h2>")?;
    for system in report.systems.iter().filter(found) {
        let name = Text(title(system));
        if system.violation_count > 0 {
            writeln!(out, "<h3>{name}: {}</h3><ol class=\"findings\">", violations(system.violation_count))?;
            // what is held against Loadline is news; of legacy it is expected, and long
            let open = if system.name == "loadline" { " open" } else { "" };
            system.violations.iter().try_for_each(|violation| write_finding(out, violation, open))?;
            writeln!(out, "</ol>")?;
        }
        let more = system.violation_count.saturating_sub(system.violations.len() as u64);
        if more > 0 && !system.violations.is_empty() {
            writeln!(out, "<p class=\"note\">And {} more.</p>", count(more))?;
        }
        if !system.missed_goals.is_empty() {
            writeln!(out, "<h3>{name}: goals that were missed</h3><ul class=\"findings\">")?;
            for goal in &system.missed_goals {
                writeln!(out, "<li>{}</li>", Text(goal))?;
            }
            writeln!(out, "</ul>")?;
        }
    }
    writeln!(out, "</section>")
}

/// The first line of a violation says what, the others are the event's history.
fn write_finding(out: &mut impl Write, violation: &str, open: &str) -> io::Result<()> {
    match violation.split_once('\n') {
        None => writeln!(out, "<li>{}</li>", Text(violation)),
        Some((what, history)) => writeln!(
            out,
            "<li><details{open}><summary>{}</summary><pre>{}</pre></details></li>",
            Text(what),
            Text(history)
        ),
    }
}
