//! What the plots have in common: how long they are, where the surge was, and what happened when. Marks are numbered and in
//! lanes, so that no label covers another however narrow the plot is drawn.

use std::io::{self, Write};

use super::{
    super::{Report, units::duration},
    escape::Text,
    scale::{Measure, Scale},
};

/// The most incidents that are marked; a list of more would be longer than the report.
const MARKS_MAX: usize = 24;
/// What a mark takes of the width of a plot on the narrowest phone.
const MARK_WIDE: f64 = 0.06;

/// The common time axis.
pub(super) struct Course {
    /// The axis, in milliseconds.
    pub(super) time: Scale,
    /// From where to where the surge went, as places on it.
    pub(super) surge: Option<(f64, f64)>,
    /// What happened.
    pub(super) marks: Vec<Mark>,
    /// How many lanes there are.
    pub(super) lanes: usize,
    /// How many incidents are not marked.
    pub(super) more: usize,
}

/// An incident on the time axis.
pub(super) struct Mark {
    /// What happened.
    pub(super) what: String,
    /// When, in words.
    pub(super) when: String,
    /// From where to where, as places on the axis; the same for a moment.
    pub(super) from: f64,
    /// Its end.
    pub(super) to: f64,
    /// Whether it is a moment.
    pub(super) moment: bool,
    /// The lane its number stands in, from the bottom.
    pub(super) lane: usize,
}

impl Course {
    pub(super) fn of(report: &Report) -> Self {
        let samples = report.systems.iter().filter_map(|system| system.samples.last()).map(|last| last.at_ms);
        let end = samples.chain(report.phases.iter().map(|phase| phase.to_ms)).max().unwrap_or(0);
        let time = Scale::exactly(end as f64, Measure::Time, 6);
        let surge = report.phases.iter().find(|phase| phase.name == "during");
        let surge = surge.map(|phase| (time.place(phase.from_ms as f64), time.place(phase.to_ms as f64)));
        let mut lanes = Lanes::default();
        let mut incidents: Vec<_> = report.incidents.iter().collect();
        incidents.sort_by_key(|incident| incident.from_ms);
        let mark = |incident: &&crate::report::Incident| {
            let from = time.place(incident.from_ms as f64);
            let start = duration(incident.from_ms as f64);
            Mark {
                what: incident.what.clone(),
                when: match incident.to_ms {
                    Some(to) => format!("{start} to {}", duration(to as f64)),
                    None => format!("at {start}"),
                },
                from,
                to: incident.to_ms.map_or(from, |to| time.place(to as f64)).max(from),
                moment: incident.to_ms.is_none(),
                lane: lanes.put(from - MARK_WIDE / 2.0, MARK_WIDE),
            }
        };
        let marks = incidents.iter().take(MARKS_MAX).map(mark).collect();
        let more = incidents.len().saturating_sub(MARKS_MAX);
        Self { surge, marks, lanes: lanes.0.len(), more, time }
    }

    /// The marks of the incidents that name this broker.
    pub(super) fn of_broker<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Mark> {
        let names = move |word: &str| word.trim_matches([',', ':', ';', '.']) == id;
        self.marks.iter().filter(move |mark| mark.what.split_whitespace().any(names))
    }

    /// The list of what happened, each with its stretch of the time axis.
    pub(super) fn write_list(&self, out: &mut impl Write) -> io::Result<()> {
        if self.marks.is_empty() {
            return Ok(());
        }
        writeln!(out, "<section aria-labelledby=\"happened\"><h2 id=\"happened\">What happened</h2>")?;
        writeln!(out, "<ol class=\"happened\">")?;
        for (nth, mark) in self.marks.iter().enumerate() {
            write!(
                out,
                "<li><span class=\"number\">{}</span><span class=\"what\">{}</span><span class=\"when\">{}</span>",
                nth + 1,
                Text(&mark.what),
                Text(&mark.when)
            )?;
            write!(
                out,
                "<svg class=\"track\" aria-hidden=\"true\"><rect class=\"rail\" width=\"100%\" height=\"100%\"/>"
            )?;
            self.write_surge(out)?;
            write_stretch(out, mark)?;
            writeln!(out, "</svg></li>")?;
        }
        writeln!(out, "</ol>")?;
        if self.more > 0 {
            writeln!(out, "<p class=\"note\">And {} more, which are not marked.</p>", self.more)?;
        }
        writeln!(out, "</section>")
    }

    /// The shade over the surge.
    pub(super) fn write_surge(&self, out: &mut impl Write) -> io::Result<()> {
        self.surge.map_or(Ok(()), |stretch| write_shade(out, "surge", stretch))
    }
}

/// A shade of that class from one place to another.
pub(super) fn write_shade(out: &mut impl Write, class: &str, (from, to): (f64, f64)) -> io::Result<()> {
    let wide = (to - from).max(0.0);
    write!(
        out,
        "<rect class=\"{class}\" x=\"{}\" width=\"{}\" height=\"100%\"/>",
        percent(from),
        percent(wide)
    )
}

fn write_stretch(out: &mut impl Write, mark: &Mark) -> io::Result<()> {
    if mark.moment {
        return write!(out, "<circle class=\"moment\" cx=\"{}\" cy=\"50%\" r=\"4\"/>", percent(mark.from));
    }
    let (from, wide) = (percent(mark.from), percent(mark.to - mark.from));
    write!(out, "<rect class=\"stretch\" x=\"{from}\" y=\"25%\" width=\"{wide}\" height=\"50%\" rx=\"2\"/>")
}

/// A place as CSS and SVG say it.
pub(super) fn percent(place: f64) -> String {
    format!("{:.2}%", place * 100.0)
}

/// Where each lane is free again.
#[derive(Default)]
struct Lanes(Vec<f64>);

impl Lanes {
    /// The lowest lane that is free from there on.
    fn put(&mut self, from: f64, wide: f64) -> usize {
        let free = self.0.iter().position(|until| *until <= from);
        let lane = free.unwrap_or_else(|| {
            self.0.push(0.0);
            self.0.len() - 1
        });
        self.0[lane] = from + wide;
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn marks_that_stand_close_take_lanes_of_their_own() {
        let course = Course::of(&sample());
        for (nth, a) in course.marks.iter().enumerate() {
            for b in &course.marks[nth + 1..] {
                assert!(
                    a.lane != b.lane || (a.from - b.from).abs() >= MARK_WIDE - 1e-9,
                    "{} {}",
                    a.what,
                    b.what
                );
            }
            assert!(a.lane < course.lanes);
        }
        assert!(course.lanes > 1, "the sample has incidents close to one another");
    }

    #[test]
    fn an_incident_is_a_brokers_if_it_names_it() {
        let mut report = sample();
        report.incidents[0].what = "cedar, dune: cobalt-2 restart".to_owned();
        let course = Course::of(&report);
        assert_eq!(course.of_broker("cedar").count(), 2);
        assert_eq!(course.of_broker("dune").count(), 1);
        assert_eq!(course.of_broker("cobalt").count(), 0);
    }

    #[test]
    fn a_report_with_too_many_incidents_says_how_many_are_left_out() {
        let mut report = sample();
        report.incidents = vec![report.incidents[0].clone(); 100];
        let course = Course::of(&report);
        assert_eq!((course.marks.len(), course.more), (MARKS_MAX, 100 - MARKS_MAX));
    }
}
