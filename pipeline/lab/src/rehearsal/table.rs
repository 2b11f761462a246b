//! What came of a rehearsal, for a person.

use std::{
    io::{self, Write},
    time::Duration,
};

use service::text_table::write_rows;

use super::{BrokerObserved, Changed, Limit, Observed, Pace, Rehearsal};
use crate::report::units::{NONE, bytes, count, duration};

/// So many brokers are shown, those first for whom most waited.
const SHOWN: usize = 20;

/// Writes `rehearsal`.
///
/// # Errors
/// `out` cannot be written.
pub fn write_rehearsal(out: &mut impl Write, rehearsal: &Rehearsal) -> io::Result<()> {
    let Rehearsal { base, peak, lasts_ms, seed, seen, .. } = rehearsal;
    let lasts = duration(*lasts_ms as f64);
    let assumed =
        if rehearsal.base_assumed { " (assumed: a third of the brokers' rates; see --rate)" } else { "" };
    let (base, peak) = (number(*base), number(*peak));
    writeln!(out, "{base} events a second{assumed}, {peak} for {lasts}; seed {seed}\n")?;
    summary(out, rehearsal, seen)?;
    writeln!(out)?;
    brokers(out, rehearsal)?;
    writeln!(out)?;
    for (place, remedy) in rehearsal.remedies.iter().enumerate() {
        let first = if place == 0 { "first reached" } else { "then reached" };
        let of = remedy.broker.as_ref().map(|broker| format!(" of {broker}")).unwrap_or_default();
        let (value, at) = (value(remedy.limit, remedy.value), duration(remedy.at_ms as f64));
        let holds: Vec<_> = remedy.holds.iter().map(holds).collect();
        let holds = if holds.is_empty() {
            "no higher value that was tried holds".to_owned()
        } else {
            format!("{} would hold", holds.join(", "))
        };
        writeln!(out, "{first}: {} = {value}{of}, {at} after the surge began; {holds}", remedy.limit.key())?;
    }
    if let Some(remedied) = &rehearsal.remedied {
        writeln!(out, "\nwith that:")?;
        summary(out, rehearsal, remedied)?;
    }
    if rehearsal.remedies.is_empty() {
        writeln!(out, "no limit was reached")?;
    }
    Ok(())
}

fn summary(out: &mut impl Write, rehearsal: &Rehearsal, seen: &Observed) -> io::Result<()> {
    let of = |bound: &str, max: u64| format!("{bound} {}", bytes(max));
    let total = of("spill_total_max", rehearsal.spill_total_max);
    let rows = [
        vec!["peak lag, in events".to_owned(), count(seen.peak_lag)],
        vec!["  age of the oldest".to_owned(), time(seen.peak_age)],
        vec!["backpressure held the intake for".to_owned(), time(seen.held)],
        vec!["most in memory, in deliveries".to_owned(), count(seen.peak_in_flight as u64)],
        vec!["most on disk".to_owned(), format!("{} ({total})", bytes(seen.peak_spilled_bytes))],
        vec!["time to drain after the surge".to_owned(), drained(seen.drained)],
        vec!["  until nothing waited on disk".to_owned(), drained(seen.disk_drained)],
        vec!["delivered".to_owned(), count(seen.delivered)],
        vec!["dead letters".to_owned(), count(seen.dead_letters)],
    ];
    write_rows(out, &rows, &[])
}

fn brokers(out: &mut impl Write, rehearsal: &Rehearsal) -> io::Result<()> {
    let mut shown: Vec<_> = rehearsal.brokers.iter().zip(&rehearsal.seen.brokers).collect();
    shown.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.peak_waiting));
    let heads =
        ["broker", "sent/s", "takes/s", "most waiting", "most on disk", "drained after", "keeps up with"];
    let rows = std::iter::once(heads.map(str::to_owned).to_vec());
    let rows: Vec<_> = rows.chain(shown.iter().take(SHOWN).map(|(pace, seen)| row(pace, seen))).collect();
    write_rows(out, &rows, &[1, 2, 3, 4, 5])?;
    match shown.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "and {more} more, for whom less waited"),
    }
}

fn row(pace: &Pace, seen: &BrokerObserved) -> Vec<String> {
    let rate = pace.rate.map(|rate| format!("rate {}", number(rate)));
    let concurrency = pace.concurrency.map(|concurrency| format!("concurrency {concurrency}"));
    let keeps_up: Vec<_> = rate.into_iter().chain(concurrency).collect();
    let keeps_up = match () {
        () if pace.takes >= pace.sent => "as it is".to_owned(),
        () if keeps_up.is_empty() => NONE.to_owned(),
        () => keeps_up.join(", "),
    };
    let takes = if pace.answers_ms.is_none() { "dead".to_owned() } else { number(pace.takes) };
    vec![
        pace.id.clone(),
        number(pace.sent),
        takes,
        count(seen.peak_waiting),
        bytes(seen.peak_spilled_bytes),
        drained(seen.drained),
        keeps_up,
    ]
}

fn holds(changed: &Changed) -> String {
    let Changed { limit, to, .. } = changed;
    format!("{} = {}", limit.key(), value(*limit, *to))
}

fn value(limit: Limit, value: u64) -> String {
    if limit.is_size() { bytes(value) } else { value.to_string() }
}

fn drained(after: Option<Duration>) -> String {
    after.map_or_else(|| "not within the rehearsal".to_owned(), time)
}

fn time(time: Duration) -> String {
    duration(time.as_secs_f64() * 1_000.0)
}

/// At most one digit behind the point.
fn number(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
