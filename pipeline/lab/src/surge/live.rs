//! What is shown while a run goes on: a live view on a terminal, a plain line every few seconds elsewhere.

use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{runner::Watcher, system::Which};
use crate::{
    report::{LATE_MS, Sample},
    traffic::profile::Profile,
};

/// How often a plain line is printed.
const LINE_EVERY_MS: u64 = 2_000;

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Watcher for Quiet {
    fn begins(&mut self, _: Which) {}
    fn sees(&mut self, _: &Sample, _: u64) {}
}

/// Prints lines, for a log or a pipe.
#[derive(Debug)]
pub struct Plain<Out> {
    out: Out,
    which: Which,
    printed_ms: Option<u64>,
}

impl<Out: Write> Plain<Out> {
    /// Prints on `out`.
    pub fn new(out: Out) -> Self {
        Self { out, which: Which::Legacy, printed_ms: None }
    }
}

impl<Out: Write> Watcher for Plain<Out> {
    fn begins(&mut self, which: Which) {
        (self.which, self.printed_ms) = (which, None);
    }

    fn sees(&mut self, sample: &Sample, _: u64) {
        if self.printed_ms.is_some_and(|printed| sample.at_ms < printed + LINE_EVERY_MS) {
            return;
        }
        self.printed_ms = Some(sample.at_ms);
        let taken: u64 = sample.taken.iter().sum();
        // If nobody reads this the run goes on all the same.
        let _unread = writeln!(
            self.out,
            "{} {:>5.1} s: {} appended, {} read, {taken} taken, lag {} ({:.1} s), {} in memory, {} on disk{}{}",
            self.which.as_str(),
            sample.at_ms as f64 / 1e3,
            sample.appended,
            sample.read,
            sample.lag,
            sample.oldest_age_ms as f64 / 1e3,
            sample.in_flight,
            sample.spilled,
            if sample.held { ", intake held" } else { "" },
            waits(sample)
        );
    }
}

/// That producers wait for the log, if they do.
fn waits(sample: &Sample) -> String {
    if sample.late_ms < LATE_MS {
        return String::new();
    }
    format!(", producers wait for the log ({:.1} s)", sample.late_ms as f64 / 1e3)
}

/// A live view: the run as a whole, and a line for each broker.
#[derive(Debug)]
pub struct Live {
    all: MultiProgress,
    head: ProgressBar,
    numbers: ProgressBar,
    brokers: Vec<ProgressBar>,
    names: Vec<(String, String)>,
    before: Option<Sample>,
}

impl Live {
    /// A view of a run of `profile` on stderr.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let line = || {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        };
        let head = all.add(ProgressBar::new(1));
        if let Ok(style) = ProgressStyle::with_template("{prefix:10} {bar:30} {msg}") {
            head.set_style(style);
        }
        let numbers = line();
        let brokers = profile.brokers.iter().map(|_| line()).collect();
        let names = profile.brokers.iter().map(|broker| (broker.id.clone(), broker.about.clone())).collect();
        Self { all, head, numbers, brokers, names, before: None }
    }

    /// Takes the view off the screen.
    pub fn close(&self) {
        // What stays on the screen is out of date, but nothing worse.
        let _stays = self.all.clear();
    }
}

impl Watcher for Live {
    fn begins(&mut self, which: Which) {
        self.head.set_prefix(which.as_str());
        self.before = None;
    }

    fn sees(&mut self, sample: &Sample, lasts_ms: u64) {
        let before = self.before.take().unwrap_or_default();
        let seconds = Duration::from_millis(sample.at_ms.saturating_sub(before.at_ms).max(1)).as_secs_f64();
        let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds).round();
        self.head.set_length(lasts_ms.max(1));
        self.head.set_position(sample.at_ms.min(lasts_ms));
        let held = if sample.held { ", intake held" } else { "" };
        self.head.set_message(format!(
            "{:.0} s, intake {}/s{held}{}",
            sample.at_ms as f64 / 1e3,
            rate(sample.read, before.read),
            waits(sample)
        ));
        self.numbers.set_message(format!(
            "lag {} events, oldest {:.1} s; {} in memory, {} on disk",
            sample.lag,
            sample.oldest_age_ms as f64 / 1e3,
            sample.in_flight,
            sample.spilled
        ));
        for (place, (bar, (id, about))) in self.brokers.iter().zip(&self.names).enumerate() {
            let taken = |sample: &Sample| sample.taken.get(place).copied().unwrap_or_default();
            let state = sample.states.get(place).map_or("", String::as_str);
            bar.set_message(format!(
                "  {id:<10} {:>7} taken {:>6}/s  {state:<9} {about}",
                taken(sample),
                rate(taken(sample), taken(&before))
            ));
        }
        self.before = Some(sample.clone());
    }
}

/// Plain lines on stderr.
#[must_use]
pub fn plain_on_stderr() -> Plain<io::Stderr> {
    Plain::new(io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_come_every_few_seconds() {
        let mut plain = Plain::new(Vec::new());
        plain.begins(Which::Loadline);
        for at_ms in [0, 100, 1_999, 2_000, 2_100, 4_050] {
            let sample = Sample { at_ms, lag: 7, held: true, taken: vec![1, 2], ..Sample::default() };
            plain.sees(&sample, 10_000);
        }
        let lines = String::from_utf8(plain.out).unwrap();
        assert_eq!(lines.lines().count(), 3, "{lines}");
        assert!(lines.contains("loadline   2.0 s: 0 appended, 0 read, 3 taken, lag 7 (0.0 s)"), "{lines}");
        assert!(lines.ends_with(", intake held\n"), "{lines}");
    }

    #[test]
    fn producers_that_wait_for_the_log_are_told_of() {
        let mut plain = Plain::new(Vec::new());
        for (at_ms, late_ms) in [(0, 999), (2_000, 3_200)] {
            plain.sees(&Sample { at_ms, late_ms, ..Sample::default() }, 10_000);
        }
        let lines = String::from_utf8(plain.out).unwrap();
        assert!(lines.ends_with("0 on disk, producers wait for the log (3.2 s)\n"), "{lines}");
        assert_eq!(lines.matches("producers").count(), 1, "{lines}");
    }
}
