//! The comparison, row by row, for the terminal and for the page alike. Every row has one cell for each system, in the
//! report's order.

use super::{
    Figures, LATE_MS, Latency, Report, SystemReport,
    units::{NONE, bytes, count, duration, ratio},
};

/// Rows that belong together.
pub(super) struct Group {
    /// What they are about.
    pub(super) title: &'static str,
    /// The rows.
    pub(super) rows: Vec<Row>,
}

/// One line of the comparison.
pub(super) struct Row {
    /// What is compared.
    pub(super) label: String,
    /// Whether it says more of the row above it.
    pub(super) part: bool,
    /// One for each system.
    pub(super) cells: Vec<Cell>,
}

/// One number of one system.
pub(super) struct Cell {
    /// The number, with its unit.
    pub(super) text: String,
    /// Whether it breaks a promise.
    pub(super) broken: bool,
    /// Whether it misses a goal.
    pub(super) missed: bool,
}

impl Cell {
    fn plain(text: String) -> Self {
        Self { text, broken: false, missed: false }
    }

    /// A count that should be zero.
    fn none_of(number: u64) -> Self {
        Self { broken: number > 0, ..Self::plain(count(number)) }
    }
}

/// What a system is called.
pub(super) fn title(system: &SystemReport) -> &str {
    if system.name == "loadline" { "Loadline" } else { &system.name }
}

/// The whole comparison.
pub(super) fn comparison(report: &Report) -> Vec<Group> {
    vec![
        Group { title: "Lag", rows: lag(report) },
        Group { title: "Deliveries", rows: deliveries(report) },
        Group { title: "From event to delivery, well brokers", rows: latencies(report) },
        Group { title: "Resources", rows: resources(report) },
    ]
}

fn row(report: &Report, label: &str, cell: impl Fn(&Figures) -> Cell) -> Row {
    let cells = report.systems.iter().map(|system| cell(&system.figures)).collect();
    Row { label: label.to_owned(), part: false, cells }
}

/// A row that a goal is about: a system that has missed it, which `word` in the goal's words tells, is marked.
fn missing(report: &Report, label: &str, word: &str, text: impl Fn(&Figures) -> String) -> Row {
    let cells = report.systems.iter().map(|system| {
        let missed = system.missed_goals.iter().any(|goal| goal.contains(word));
        Cell { missed, ..Cell::plain(text(&system.figures)) }
    });
    Row { label: label.to_owned(), part: false, cells: cells.collect() }
}

fn part(report: &Report, label: &str, cell: impl Fn(&Figures) -> Cell) -> Row {
    Row { part: true, ..row(report, label, cell) }
}

fn lag(report: &Report) -> Vec<Row> {
    let drained = |figures: &Figures| match figures.drain_ms {
        Some(ms) => Cell::plain(duration(ms as f64)),
        None => Cell { broken: true, ..Cell::plain(format!("never, {} left", count(figures.lag_at_end))) },
    };
    let label = if surges(report) { "time to drain after the surge" } else { "time to drain" };
    let mut rows = vec![
        row(report, "peak lag, in events", |figures| Cell::plain(count(figures.peak_lag))),
        part(report, "age of the oldest", |figures| Cell::plain(duration(figures.peak_age_ms as f64))),
        row(report, label, drained),
    ];
    let disk = |figures: &Figures| match figures.spill_drain_ms {
        Some(ms) => Cell::plain(duration(ms as f64)),
        None if figures.peak_spilled == 0 => Cell::plain(NONE.to_owned()),
        None => Cell::plain("never".to_owned()),
    };
    rows.push(part(report, "until nothing waited on disk", disk));
    if report.systems.iter().any(|system| system.figures.peak_late_ms >= LATE_MS) {
        let late = |figures: &Figures| Cell::plain(duration(figures.peak_late_ms as f64));
        rows.push(row(report, "producers waited for the log up to", late));
    }
    if report.systems.iter().any(|system| system.figures.sent_again > 0) {
        let again = |figures: &Figures| Cell::plain(count(figures.sent_again));
        rows.push(row(report, "batches producers sent again", again));
    }
    if !surges(report) {
        let pace = |figures: &Figures| Cell::plain(count(figures.settled_per_second.round() as u64));
        rows.push(part(report, "events settled a second", pace));
    }
    rows
}

/// Whether the run has a surge, and so a time before it and a time during it.
fn surges(report: &Report) -> bool {
    report.phases.len() > 1
}

fn deliveries(report: &Report) -> Vec<Row> {
    let owed = report.issued.deliveries;
    let duplicates = |figures: &Figures| Cell {
        broken: figures.duplicates > figures.explained_duplicates,
        ..Cell::plain(count(figures.duplicates))
    };
    let mut rows = vec![
        row(report, "deliveries made / owed", |figures| Cell::plain(of(figures.delivered, owed))),
        row(report, "taken by the TMSs, repeats included", |figures| Cell::plain(count(figures.taken))),
        row(report, "not taken by the TMSs", |figures| Cell::plain(count(figures.refused))),
        row(report, "duplicates at the TMS", duplicates),
        part(report, "of which could not be helped", |figures| {
            Cell::plain(count(figures.explained_duplicates))
        }),
        row(report, "out of order", |figures| Cell::none_of(figures.out_of_order)),
        row(report, "lost", |figures| Cell::none_of(figures.lost)),
        row(report, "dead letters", |figures| Cell::plain(count(figures.dead_letters))),
        missing(report, "still waiting at the end", "still waited", |figures| count(figures.waiting)),
    ];
    if report.issued.faulty > 0 {
        let kept = |figures: &Figures| Cell::plain(count(figures.faulty_letters));
        rows.push(row(report, "dead letters of faulty records", kept));
    }
    rows
}

fn latencies(report: &Report) -> Vec<Row> {
    let mut rows: Vec<Row> = report
        .phases
        .iter()
        .enumerate()
        .map(|(phase, of)| {
            let when =
                if surges(report) { format!("{} the surge", of.name) } else { "of the run".to_owned() };
            row(report, &format!("p50 / p99 {when}"), |figures| {
                Cell::plain(spread(figures.latency.get(phase).copied().flatten()))
            })
        })
        .collect();
    if surges(report) {
        rows.push(missing(report, "p99 during / before", "p99", |figures| {
            let p99 = |name| p99_in(report, &figures.latency, name).unwrap_or(f64::NAN);
            ratio(p99("during"), p99("before"))
        }));
    }
    rows
}

fn resources(report: &Report) -> Vec<Row> {
    let mut rows = vec![
        row(report, "backpressure held the intake for", |figures| {
            Cell::plain(duration(figures.held_ms as f64))
        }),
        row(report, "most deliveries spilled to disk", |figures| Cell::plain(count(figures.peak_spilled))),
        row(report, "peak memory", |figures| {
            Cell::plain(figures.peak_memory.map_or_else(|| NONE.to_owned(), bytes))
        }),
    ];
    if report.systems.iter().any(|system| system.figures.stalled_ms > 0) {
        let stalled = |figures: &Figures| Cell::plain(duration(figures.stalled_ms as f64));
        rows.push(row(report, "this machine stood still for", stalled));
    }
    rows
}

/// The 99th percentile in the phase of that name, in milliseconds.
pub(super) fn p99_in(report: &Report, latency: &[Option<Latency>], phase: &str) -> Option<f64> {
    let place = report.phases.iter().position(|of| of.name == phase)?;
    latency.get(place).copied().flatten().map(|latency| latency.p99_ms)
}

/// The phase whose 99th percentile a broker's row shows: the surge, or the whole run.
pub(super) fn hard_phase(report: &Report) -> &str {
    if surges(report) { "during" } else { report.phases.first().map_or("", |phase| &phase.name) }
}

/// `30,112 / 30,112`.
pub(super) fn of(made: u64, owed: u64) -> String {
    format!("{} / {}", count(made), count(owed))
}

/// `1 event`, `12,031 events`.
pub(super) fn events(number: u64) -> String {
    format!("{} event{}", count(number), if number == 1 { "" } else { "s" })
}

fn spread(latency: Option<Latency>) -> String {
    latency.map_or_else(
        || NONE.to_owned(),
        |Latency { p50_ms, p99_ms }| format!("{} / {}", duration(p50_ms), duration(p99_ms)),
    )
}
