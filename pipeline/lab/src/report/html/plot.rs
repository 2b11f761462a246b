//! One plot: an HTML figure with a caption, a legend and an SVG.
//!
//! The lines are stretched to the width the page has for them; axis labels and marks are placed by percentages of it
//! and keep their size, so that the plot can be read on a phone. Guaranteed: no number in it is `NaN` or infinite; a
//! plot without a point is a sentence instead.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use super::{
    super::units::{count, duration},
    escape::Text,
    marks::{Course, Mark, percent, write_shade},
    scale::{Measure, Scale},
    series::Point,
};

/// The size of the space in which the lines are drawn, before it is stretched.
const WIDE: f64 = 1000.0;
const HIGH: f64 = 200.0;
/// How far apart lanes of marks are, in pixels.
const LANE_HIGH: usize = 18;

/// A line of a plot.
pub(super) struct Line {
    /// How it is drawn: a class of the style sheet.
    pub(super) class: &'static str,
    /// What it shows.
    pub(super) name: String,
    /// Its points, in pieces with gaps between them.
    pub(super) pieces: Vec<Vec<Point>>,
}

/// A plot over time.
pub(super) struct Plot {
    /// Unique in the page: letters, digits, hyphens.
    pub(super) id: String,
    /// What it shows.
    pub(super) title: String,
    /// More about that; empty if there is no more.
    pub(super) note: String,
    /// What its values count; nothing for times.
    pub(super) unit: &'static str,
    /// What its values are.
    pub(super) measure: Measure,
    /// The axis of its values.
    pub(super) scale: Scale,
    /// The lines, the last one on top.
    pub(super) lines: Vec<Line>,
    /// When backpressure held the intake, in milliseconds.
    pub(super) held: Vec<(f64, f64)>,
    /// The broker it is about, if it is one of the small ones: only marks that name it are drawn.
    pub(super) broker: Option<String>,
}

impl Plot {
    /// Writes the figure.
    pub(super) fn write(&self, out: &mut impl Write, course: &Course) -> io::Result<()> {
        let size = if self.broker.is_some() { "plot small" } else { "plot" };
        writeln!(out, "<figure class=\"{size}\"><figcaption><h3>{}</h3>", Text(&self.title))?;
        if !self.note.is_empty() {
            writeln!(out, "<p class=\"note\">{}</p>", Text(&self.note))?;
        }
        if self.peaks().next().is_none() {
            return writeln!(out, "</figcaption><p class=\"nothing\">Nothing was seen of it.</p></figure>");
        }
        self.write_legend(out, course)?;
        writeln!(out, "</figcaption>")?;
        let lanes = if self.broker.is_some() { 0 } else { course.lanes };
        write!(
            out,
            "<svg class=\"chart\" style=\"margin-top:{}px\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
             data-end=\"{}\" data-bottom=\"{}\" data-top=\"{}\" data-log=\"{}\" data-unit=\"{}\">",
            lanes * LANE_HIGH + 8,
            course.time.max,
            self.scale.min,
            self.scale.max,
            self.scale.log,
            if self.measure == Measure::Time { "ms" } else { self.unit },
            id = self.id,
        )?;
        let id = &self.id;
        writeln!(out, "<title id=\"{id}-t\">{}</title>", Text(&self.title))?;
        writeln!(out, "<desc id=\"{id}-d\">{}</desc>", Text(self.description(course)))?;
        self.write_background(out, course)?;
        self.write_axes(out, course)?;
        self.write_lines(out, course)?;
        writeln!(out, "</svg></figure>")
    }

    /// Each line that has a point, with its greatest value and when that was.
    fn peaks(&self) -> impl Iterator<Item = (&Line, Point)> {
        self.lines.iter().filter_map(|line| {
            let peak = line.pieces.iter().flatten().max_by(|a, b| a.1.total_cmp(&b.1))?;
            Some((line, *peak))
        })
    }

    fn said(&self, value: f64) -> String {
        match self.measure {
            Measure::Time => duration(value),
            Measure::Count => format!("{} {}", count(value.round() as u64), self.unit),
        }
    }

    fn description(&self, course: &Course) -> String {
        let mut text = format!("Over {}.", duration(course.time.max));
        for (line, peak) in self.peaks() {
            let end = line.pieces.last().and_then(|piece| piece.last()).map_or(0.0, |point| point.1);
            let (most, at, end) = (self.said(peak.1), duration(peak.0), self.said(end));
            text += &format!(" {}: at most {most}, at {at}; {end} at the end.", line.name);
        }
        if !self.held.is_empty() {
            text += &format!(" Backpressure held the intake {} times.", self.held.len());
        }
        text
    }

    fn write_legend(&self, out: &mut impl Write, course: &Course) -> io::Result<()> {
        if self.broker.is_some() {
            return Ok(());
        }
        write!(out, "<p class=\"legend\">")?;
        for (line, peak) in self.peaks() {
            write_line_key(out, line.class, &line.name)?;
            write!(out, " <span class=\"peak\">peak {}</span></span> ", self.said(peak.1))?;
        }
        if course.surge.is_some() {
            write_shade_key(out, "surge", "surge")?;
        }
        if !self.held.is_empty() {
            write_shade_key(out, "held", "backpressure holds the intake")?;
        }
        writeln!(out, "</p>")
    }

    fn write_background(&self, out: &mut impl Write, course: &Course) -> io::Result<()> {
        course.write_surge(out)?;
        for (from, to) in &self.held {
            write_shade(out, "held", (course.time.place(*from), course.time.place(*to)))?;
        }
        if let Some(broker) = &self.broker {
            for mark in course.of_broker(broker) {
                write_shade(out, "trouble", (mark.from, mark.to))?;
            }
            return writeln!(out);
        }
        for (nth, mark) in course.marks.iter().enumerate() {
            write_mark(out, nth + 1, mark)?;
        }
        writeln!(out)
    }

    fn write_axes(&self, out: &mut impl Write, course: &Course) -> io::Result<()> {
        for tick in &self.scale.ticks {
            let y = percent(1.0 - tick.place);
            write!(out, "<line class=\"grid\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>")?;
            write!(out, "<text class=\"y\" x=\"-7\" y=\"{y}\" dy=\"4\">{}</text>", Text(&tick.label))?;
        }
        writeln!(out)?;
        let small = Scale::exactly(course.time.max, Measure::Time, 2);
        let time = if self.broker.is_some() { &small } else { &course.time };
        for tick in &time.ticks {
            let x = percent(tick.place);
            write!(
                out,
                "<svg class=\"foot\" y=\"100%\"><line class=\"notch\" x1=\"{x}\" x2=\"{x}\" y2=\"4\"/>"
            )?;
            write!(out, "<text class=\"x\" x=\"{x}\" y=\"17\">{}</text></svg>", Text(&tick.label))?;
        }
        writeln!(out)
    }

    fn write_lines(&self, out: &mut impl Write, course: &Course) -> io::Result<()> {
        writeln!(
            out,
            "<svg class=\"field\" viewBox=\"0 0 {WIDE} {HIGH}\" preserveAspectRatio=\"none\" width=\"100%\" \
             height=\"100%\">"
        )?;
        for line in self.lines.iter().filter(|line| !line.pieces.is_empty()) {
            let mut path = String::new();
            for piece in &line.pieces {
                self.add_piece(&mut path, piece, &course.time);
            }
            writeln!(
                out,
                "<path class=\"line {}\" data-name=\"{}\" d=\"{path}\"/>",
                line.class,
                Text(&line.name)
            )?;
        }
        writeln!(out, "</svg>")
    }

    fn add_piece(&self, path: &mut String, piece: &[Point], time: &Scale) {
        for (nth, (at, value)) in piece.iter().enumerate() {
            let x = WIDE * time.place(*at);
            let y = HIGH * (1.0 - self.scale.place(*value));
            let step = if nth == 0 { 'M' } else { 'L' };
            // a String takes whatever is written to it
            let _infallible = write!(path, "{step}{} {}", tenths(x), tenths(y));
        }
        if piece.len() == 1 {
            // a line of no length still is a dot, because its ends are round
            *path += "h0";
        }
    }
}

/// How a line is drawn, and its name. The caller closes the `span`.
pub(super) fn write_line_key(out: &mut impl Write, class: &str, name: &str) -> io::Result<()> {
    write!(
        out,
        "<span class=\"key\"><svg class=\"swatch\" aria-hidden=\"true\"><path class=\"line {class}\" d=\"M1 6H29\"/></svg>{}",
        Text(name)
    )
}

/// What a shade means.
pub(super) fn write_shade_key(out: &mut impl Write, class: &str, meaning: &str) -> io::Result<()> {
    write!(
        out,
        "<span class=\"key\"><svg class=\"swatch shade\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"100%\" \
         height=\"100%\"/></svg>{meaning}</span> "
    )
}

fn write_mark(out: &mut impl Write, number: usize, mark: &Mark) -> io::Result<()> {
    let (x, y) = (percent(mark.from), lane_middle(mark.lane));
    write!(out, "<line class=\"begins\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"100%\"/>", y + 8.0)?;
    write!(out, "<circle class=\"badge\" cx=\"{x}\" cy=\"{y}\" r=\"8\"/>")?;
    write!(out, "<text class=\"badge\" x=\"{x}\" y=\"{y}\" dy=\"4\">{number}</text>")
}

/// Lanes are stacked over the plot, from its upper edge.
fn lane_middle(lane: usize) -> f64 {
    -(11.0 + (lane * LANE_HIGH) as f64)
}

fn tenths(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
