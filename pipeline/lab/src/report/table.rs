//! The table at the end of a run, in aligned plain text for a terminal: at most a hundred columns wide but for what the
//! oracle says, which is never cut. Text from outside stays on its line.

use std::io::{self, Write};

use super::{
    BrokerFigures, BrokerInfo, Report,
    figures::{Cell, comparison, hard_phase, p99_in, title},
    units::{NONE, count, duration},
    verdict::{verdict, violations},
};
use service::text_table::{is_unprintable, shown, shown_in, write_rows};

/// The most columns of a terminal that are used.
const WIDTH_MAX: usize = 100;
/// The widest a broker's id is shown.
const ID_MAX: usize = 14;
/// The narrowest that what is special about a broker is shown.
const ABOUT_MIN: usize = 4;

/// Prints the comparison, the brokers, and what is held against each system.
///
/// # Errors
/// `out` cannot be written.
pub fn write_table(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{}, seed {}\n", shown(&report.profile), report.seed)?;
    let titles: Vec<String> = report.systems.iter().map(|system| shown_in(title(system), ID_MAX)).collect();
    let right: Vec<usize> = (1..=titles.len()).collect();
    let mut rows = vec![[vec![String::new()], titles.clone()].concat()];
    for group in comparison(report) {
        rows.extend(group.rows.into_iter().map(|row| {
            let label = if row.part { format!("  {}", row.label) } else { row.label };
            [vec![shown_in(&label, 40)], row.cells.into_iter().map(marked).collect()].concat()
        }));
    }
    write_rows(out, &rows, &right)?;
    if !report.brokers.is_empty() && !titles.is_empty() {
        writeln!(out)?;
        let rows = broker_rows(report, &titles);
        let right: Vec<usize> = (2..rows[0].len()).collect();
        write_rows(out, &rows, &right)?;
    }
    write_findings(out, report)?;
    writeln!(out)?;
    verdict(report).iter().try_for_each(|part| writeln!(out, "{}", shown_in(part, WIDTH_MAX)))
}

/// A number, with a mark if it misses a goal.
fn marked(cell: Cell) -> String {
    if cell.missed { format!("! {}", cell.text) } else { cell.text }
}

/// A number of each broker, by how it is headed.
type Column = (&'static str, fn(&Report, &BrokerFigures) -> String);

const COLUMNS: [Column; 3] = [
    ("made", |_, broker| count(broker.delivered)),
    ("duplicates", |_, broker| count(broker.duplicates)),
    ("p99", |report, broker| {
        p99_in(report, &broker.latency, hard_phase(report)).map_or_else(|| NONE.to_owned(), duration)
    }),
];

/// Two rows of heads, and one for each broker: each column once for each system.
fn broker_rows(report: &Report, titles: &[String]) -> Vec<Vec<String>> {
    let mut above = vec![String::new(); 3];
    let mut head = ["broker", "is", "owed"].map(str::to_owned).to_vec();
    for (what, _) in COLUMNS {
        above.push(what.to_owned());
        above.extend(titles.iter().skip(1).map(|_| String::new()));
        head.extend(titles.iter().cloned());
    }
    let mut rows = vec![above, head];
    rows.extend(report.brokers.iter().enumerate().map(|(place, broker)| broker_row(report, place, broker)));
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let others: usize =
        (0..rows[0].len()).filter(|column| *column != 1).map(|column| widest(column) + 2).sum();
    let about = WIDTH_MAX.saturating_sub(others).max(ABOUT_MIN);
    for row in &mut rows {
        row[1] = shown_in(&row[1], about);
    }
    rows
}

fn broker_row(report: &Report, place: usize, broker: &BrokerInfo) -> Vec<String> {
    let figures: Vec<_> = report.systems.iter().map(|system| system.brokers.get(place)).collect();
    let owed = figures.iter().flatten().map(|figures| figures.owed).max();
    let mut row =
        vec![shown_in(&broker.id, ID_MAX), shown(&broker.about), owed.map(count).unwrap_or_default()];
    for (_, text) in COLUMNS {
        let cell = |figures: &Option<&BrokerFigures>| figures.map(|figures| text(report, figures));
        row.extend(figures.iter().map(|figures| cell(figures).unwrap_or_default()));
    }
    row
}

fn write_findings(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for system in &report.systems {
        if system.violation_count > 0 {
            writeln!(out, "\n{}: {}", shown(title(system)), violations(system.violation_count))?;
        }
        for violation in &system.violations {
            for (nth, line) in violation.lines().enumerate() {
                let margin = if nth == 0 { "- " } else { "  " };
                writeln!(out, "{margin}{}", line.replace(is_unprintable, "\u{fffd}"))?;
            }
        }
        let more = system.violation_count.saturating_sub(system.violations.len() as u64);
        if more > 0 && !system.violations.is_empty() {
            writeln!(out, "  and {} more", count(more))?;
        }
        if !system.missed_goals.is_empty() {
            writeln!(out, "\n{}: goals that were missed", shown(title(system)))?;
        }
        for goal in &system.missed_goals {
            writeln!(out, "- {}", shown(goal))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Figures, sample},
        *,
    };

    fn table(report: &Report) -> String {
        let mut out = Vec::new();
        write_table(&mut out, report).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn the_systems_stand_side_by_side() {
        let mut report = sample();
        report.brokers.truncate(1);
        report.systems[0].violations.clear();
        let expected = "\
inc-4471, seed 4471

                                              legacy         Loadline
peak lag, in events                           11,378              103
  age of the oldest                           27.1 s            57 ms
time to drain after the surge                 17.2 s           200 ms
  until nothing waited on disk                     –            9.0 s
deliveries made / owed               56,760 / 56,760  56,760 / 56,760
taken by the TMSs, repeats included           74,080           56,777
not taken by the TMSs                          9,311              143
duplicates at the TMS                         17,320               17
  of which could not be helped                    17               17
out of order                                   5,192                0
lost                                               0                0
dead letters                                       0                0
still waiting at the end                           0                0
dead letters of faulty records                     0                0
p50 / p99 before the surge            61 ms / 214 ms    11 ms / 38 ms
p50 / p99 during the surge           11.8 s / 27.3 s    14 ms / 45 ms
p50 / p99 after the surge             4.0 s / 28.9 s    11 ms / 38 ms
p99 during / before                           127.6x             1.2x
backpressure held the intake for                0 ms            2.2 s
most deliveries spilled to disk                    0            3,038
peak memory                                 38.0 MiB         61.0 MiB

                       made            duplicates               p99
broker  is     owed  legacy  Loadline      legacy  Loadline  legacy  Loadline
amber   well  8,800   8,800     8,800       2,686         0  27.3 s     45 ms

legacy: 17,320 violations

Loadline: 0 lost, 0 out of order, 0 unexplained duplicates, lag up to 103 events
legacy: 17,320 duplicates, 0 lost, 5,192 out of order, lag up to 11,378 events
";
        assert_eq!(table(&report), expected);
    }

    #[test]
    fn what_the_oracle_says_follows_with_its_history() {
        let mut report = sample();
        report.systems.remove(0);
        report.systems[0].violations = vec!["amber was never given e-1\n  3 s  appended\u{1b}[2J".to_owned()];
        report.systems[0].violation_count = 9;
        report.systems[0].missed_goals = vec!["p99 during is 1.7 times that before, not 1.5".to_owned()];
        let expected = "
Loadline: 9 violations
- amber was never given e-1
    3 s  appended\u{fffd}[2J
  and 8 more

Loadline: goals that were missed
- p99 during is 1.7 times that before, not 1.5

Loadline: 0 lost, 0 out of order, 0 unexplained duplicates, 9 violations, 1 goal missed
";
        let text = table(&report);
        assert!(text.ends_with(expected), "{text}");
        assert!(!text.contains("legacy"));
        let row = text.lines().find(|line| line.starts_with("p99 during / before")).unwrap();
        assert!(row.ends_with("! 1.2x"), "{row}");
    }

    #[test]
    fn a_machine_that_stood_still_has_a_row() {
        let mut report = sample();
        assert!(!table(&report).contains("stood still"));
        report.systems[1].figures.stalled_ms = 1_300;
        let row = "this machine stood still for                    0 ms            1.3 s\n";
        assert!(table(&report).contains(row), "{}", table(&report));
    }

    #[test]
    fn it_is_never_wider_than_a_hundred_columns() {
        let mut report = sample();
        for broker in &mut report.brokers {
            broker.id = "b".repeat(60);
            broker.about = "slow in the mornings ".repeat(9);
        }
        for system in &mut report.systems {
            let most = u64::MAX;
            system.figures = Figures {
                peak_lag: most,
                delivered: most,
                duplicates: most,
                lost: most,
                ..Figures::default()
            };
            system.violation_count = most;
            for broker in &mut system.brokers {
                (broker.owed, broker.delivered, broker.duplicates) = (9_999_999, 9_999_999, 9_999_999);
            }
        }
        let text = table(&report);
        let own = text.replace(&report.systems[0].violations.join(""), "");
        assert!(widest(&own) <= WIDTH_MAX, "{} columns:\n{own}", widest(&own));
        assert!(own.contains("never, 0 left"));
    }

    #[test]
    fn a_report_without_a_run_is_a_table_too() {
        let mut report = sample();
        report.systems.clear();
        assert!(table(&report).ends_with("nothing was run\n"));
    }
}
