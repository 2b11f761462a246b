//! The report as a page: one HTML file. It needs nothing but itself, and no script to be read; every text from outside is
//! escaped; an empty report is a page too.

mod charts;
mod escape;
mod marks;
mod plot;
mod scale;
mod series;
mod tables;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use self::{
    charts::write_charts,
    escape::Text,
    marks::Course,
    tables::{write_brokers, write_comparison, write_findings},
};
use super::{
    Report,
    units::count,
    verdict::{kept, missed, verdict},
};

const STYLE: &str = include_str!("page.css");
/// Says the values under the pointer. Without it nothing is missing but that.
const SCRIPT: &str = include_str!("page.js");

/// Writes the page. About 10 kB and 6 kB for each line of each plot, whatever the length of the run.
///
/// # Errors
/// `out` cannot be written.
pub fn write_html(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">")?;
    writeln!(out, "<title>{}: Loadline under a surge</title>", Text(&report.profile))?;
    writeln!(out, "<style>\n{STYLE}</style>\n</head>\n<body>")?;
    write_patterns(out)?;
    writeln!(out, "<main>")?;
    write_header(out, report)?;
    write_comparison(out, report)?;
    let course = Course::of(report);
    course.write_list(out)?;
    write_charts(out, report, &course)?;
    write_brokers(out, report)?;
    write_findings(out, report)?;
    writeln!(out, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>")
}

fn write_header(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "<header><p class=\"over\">Loadline under a surge</p><h1>{}</h1>", Text(&report.profile))?;
    writeln!(out, "<p class=\"about\">{}</p>", Text(&report.about))?;
    let (class, word) = match (kept(report), missed(report)) {
        (Some(true), 0) => ("kept", "Every promise kept. "),
        (Some(true), 1) => ("missed", "Every promise kept, one goal missed. "),
        (Some(true), _) => ("missed", "Every promise kept, some goals missed. "),
        (Some(false), _) => ("broken", "Promises broken. "),
        (None, _) => ("open", ""),
    };
    write!(out, "<p class=\"verdict {class}\"><strong>{word}</strong>")?;
    for part in verdict(report) {
        write!(out, "<span>{}.</span> ", Text(part))?;
    }
    writeln!(out, "</p>")?;
    let issued = report.issued;
    let facts = [
        ("events", count(issued.events)),
        ("deliveries owed", count(issued.deliveries)),
        ("records", count(issued.records)),
        ("of them duplicates", count(issued.duplicates)),
        ("of them faulty", count(issued.faulty)),
        ("seed", report.seed.to_string()),
        ("version", report.version.to_owned()),
    ];
    write!(out, "<dl>")?;
    for (name, value) in facts {
        write!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", Text(value))?;
    }
    writeln!(out, "</dl></header>")
}

/// Backpressure is hatched, so that it does not depend on a colour.
fn write_patterns(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "<svg class=\"patterns\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs><pattern id=\"hatch\" width=\"6\" \
         height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect class=\"hatch\" width=\"2\" \
         height=\"6\"/></pattern></defs></svg>"
    )
}
