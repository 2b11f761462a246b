//! The tables at the end, in aligned plain text for a terminal. Figures are medians of the rounds; a ratio has its spread
//! beside it.

use std::io::{self, Write};

use super::{
    figures::{Bound, Goal, Spread, Unit},
    report::{
        Contestant, Dead, OverKafka, Place, Report, Run, Scale, Sized, Slow, StageCost, Threads, Throughput,
        cost, speed,
    },
};
use crate::report::units::{NONE, bytes, count};
use service::text_table::write_rows;

/// Prints a report.
///
/// # Errors
/// `out` cannot be written.
pub fn write_table(out: &mut impl Write, report: &Report) -> io::Result<()> {
    head(out, report)?;
    if let Some(section) = &report.throughput {
        throughput(out, section)?;
    }
    if let Some(section) = &report.slow {
        slow(out, section)?;
    }
    if let Some(section) = &report.dead {
        dead(out, section)?;
    }
    if let Some(section) = &report.scale {
        scale(out, section)?;
    }
    if let Some(section) = &report.kafka {
        over_kafka(out, section)?;
    }
    writeln!(out)?;
    goals(out, &report.goals)
}

fn head(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let (machine, terms) = (&report.machine, &report.terms);
    let processor = machine.processor.as_ref().map_or(String::new(), |name| format!(" ({name})"));
    let memory = machine.memory.map_or(String::new(), |memory| format!(", {}", bytes(memory)));
    writeln!(out, "{}", report.command)?;
    writeln!(
        out,
        "loadline {} on {} cores{processor}{memory}, {}",
        report.version, machine.cores, machine.kernel
    )?;
    writeln!(
        out,
        "{} brokers, {} requests at once; rounds in turns: {}, deliveries in each: {}; medians, spreads in parentheses",
        terms.brokers,
        terms.concurrency,
        terms.rounds,
        count(terms.deliveries)
    )?;
    if report.debug_build {
        writeln!(out, "THIS IS A DEBUG BUILD: no figure here means anything; build with --release")?;
    }
    if !cfg!(target_os = "linux") {
        writeln!(out, "CPU time and memory are told only on Linux")?;
    }
    Ok(())
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn per_second(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NONE.to_owned(), |spread| count(spread.median.round() as u64))
}

fn micros(figure: Option<f64>) -> String {
    figure.map_or_else(|| NONE.to_owned(), |micros| format!("{micros:.1}"))
}

/// A ratio, with as many digits as it needs.
fn figure(ratio: f64) -> String {
    if ratio >= 10.0 { count(ratio.round() as u64) } else { format!("{ratio:.2}") }
}

fn spread(ratio: Option<Spread>) -> String {
    match ratio {
        None => NONE.to_owned(),
        Some(Spread { median, least, most }) if least == most => figure(median),
        Some(Spread { median, least, most }) => {
            format!("{} ({} to {})", figure(median), figure(least), figure(most))
        }
    }
}

fn median(contestant: &Contestant, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    contestant.spread(of).map(|spread| spread.median)
}

fn memory(contestant: &Contestant, of: impl Fn(&Run) -> Option<u64>) -> String {
    contestant.runs.iter().filter_map(of).max().map_or_else(|| NONE.to_owned(), bytes)
}

/// How a contestant compares with another.
type Compared<'c> = &'c dyn Fn(&Contestant) -> Option<Spread>;

/// Contestants beside the first one, or beside another.
fn contestants(
    out: &mut impl Write,
    title: &str,
    (beside, ratio): (&str, Compared<'_>),
    all: &[Contestant],
) -> io::Result<()> {
    let mut rows = vec![cells([title, "deliveries/s", beside, "CPU µs each", "receiver µs", "peak memory"])];
    rows.extend(all.iter().map(|contestant| {
        vec![
            contestant.name.clone(),
            per_second(contestant.spread(speed)),
            spread(ratio(contestant)),
            micros(median(contestant, cost)),
            micros(median(contestant, |run| run.receiver_cpu_micros)),
            memory(contestant, |run| run.memory_most),
        ]
    }));
    writeln!(out)?;
    write_rows(out, &rows, &[1, 2, 3, 4, 5])
}

fn throughput(out: &mut impl Write, section: &Throughput) -> io::Result<()> {
    let all = &section.contestants;
    let of_bare = |contestant: &Contestant| contestant.beside(all.first()?, speed);
    contestants(out, "fast brokers", ("of bare", &of_bare), all)?;
    writeln!(
        out,
        "each arrival counts from the first to the last; bare reqwest holds all bodies in memory; the legacy model's\n\
         look-up takes no time here (query = \"0s\"), so that only its posting is measured, for a bounded time"
    )?;
    let by_thread = |place: usize| all.get(place).and_then(median_threads);
    let both = [by_thread(Throughput::PROCESS), by_thread(Throughput::POWER)];
    if both.iter().all(Option::is_some) { stages(out, &section.stages, both) } else { Ok(()) }
}

/// The median of each part over the rounds.
fn median_threads(contestant: &Contestant) -> Option<Threads> {
    let part =
        |of: fn(&Threads) -> f64| median(contestant, move |run: &Run| Some(of(run.threads.as_ref()?)));
    Some(Threads {
        intake: part(|threads| threads.intake)?,
        shards: part(|threads| threads.shards)?,
        ledger: part(|threads| threads.ledger)?,
        others: part(|threads| threads.others)?,
    })
}

/// Loadline's CPU by thread, and of each what its stages cost alone and what is left.
fn stages(out: &mut impl Write, stages: &[StageCost], both: [Option<Threads>; 2]) -> io::Result<()> {
    let [process, power] = both.map(Option::unwrap_or_default);
    let mut rows = vec![cells(["Loadline, CPU µs a delivery", "process", "power", "alone, each time"])];
    let mut row = |name: &str, of: &dyn Fn(&Threads) -> f64, alone: Option<f64>| {
        let alone = alone.map_or(String::new(), |micros| format!("{micros:.2}"));
        rows.push(vec![name.to_owned(), format!("{:.1}", of(&process)), format!("{:.1}", of(&power)), alone]);
    };
    for (place, name, rest) in [
        (Place::Intake, "intake", "  reading, accounts, hand-over (the rest)"),
        (Place::Shards, "shards", "  HTTP, scheduling, events (the rest)"),
    ] {
        let of = |threads: &Threads| match place {
            Place::Intake => threads.intake,
            Place::Shards => threads.shards,
        };
        row(name, &of, None);
        let mut known = 0.0;
        for stage in stages.iter().filter(|stage| stage.thread == place) {
            let each = stage.micros * stage.per_delivery;
            known += each;
            row(&format!("  {}", stage.stage), &|_| each, Some(stage.micros));
        }
        row(rest, &|threads| of(threads) - known, None);
    }
    row("ledger (group commit)", &|threads| threads.ledger, None);
    row("others (sled's own, admin)", &|threads| threads.others, None);
    writeln!(out)?;
    write_rows(out, &rows, &[1, 2, 3])
}

fn slow(out: &mut impl Write, section: &Slow) -> io::Result<()> {
    let all = &section.contestants;
    let title = format!("brokers that take {} ms", section.delay_ms);
    let beside = |contestant: &Contestant| all.first()?.beside(contestant, speed);
    contestants(out, &title, ("Loadline is", &beside), all)?;
    writeln!(out, "Loadline has up to {} requests at once to each", section.concurrency_per_broker)
}

fn dead(out: &mut impl Write, section: &Dead) -> io::Result<()> {
    let all = &section.variants;
    let title = format!("one dead broker: the other {}", section.others);
    let beside = |variant: &Contestant| variant.beside(all.first()?, speed);
    contestants(out, &title, ("of all alive", &beside), all)
}

fn scale(out: &mut impl Write, section: &Scale) -> io::Result<()> {
    for (title, sizes) in [("brokers", &section.brokers), ("ledger entries", &section.entries)] {
        let mut rows = vec![cells([
            title,
            "deliveries/s",
            "CPU µs each",
            "of the first",
            "memory after",
            "peak memory",
        ])];
        let first = sizes.first().map(|sized| &sized.contestant);
        rows.extend(sizes.iter().map(|Sized { size, contestant }| {
            vec![
                count(*size),
                per_second(contestant.spread(speed)),
                micros(median(contestant, cost)),
                spread(first.and_then(|first| contestant.beside(first, cost))),
                memory(contestant, |run| run.memory_now),
                memory(contestant, |run| run.memory_most),
            ]
        }));
        writeln!(out)?;
        write_rows(out, &rows, &[0, 1, 2, 3, 4, 5])?;
    }
    writeln!(
        out,
        "with any number of brokers each event goes to two, and at most {} deliveries are in memory",
        section.in_flight_max
    )
}

fn over_kafka(out: &mut impl Write, section: &OverKafka) -> io::Result<()> {
    let all = &section.contestants;
    let beside = |contestant: &Contestant| contestant.beside(all.first()?, speed);
    contestants(out, "one process over", ("of the file", &beside), all)?;
    let took =
        section.restore_seconds.map_or_else(|| NONE.to_owned(), |took| format!("{:.1} s", took.median));
    writeln!(
        out,
        "both with durability = \"process\"; the CPU time of the second has its start in it. A member with an empty\n\
         directory reads all partitions {took} after its start, {} outcomes restored",
        count(section.entries)
    )
}

fn goals(out: &mut impl Write, goals: &[Goal]) -> io::Result<()> {
    let mut rows = vec![cells(["goal", "", "measured", ""])];
    rows.extend(goals.iter().map(|goal| {
        let (word, bound) = match goal.goal {
            Bound::AtLeast(least) => ("at least", least),
            Bound::AtMost(most) => ("at most", most),
        };
        let verdict = match goal.reached {
            None => "not measured here",
            Some(true) => "reached",
            Some(false) => "missed",
        };
        let shown = |value: f64| match goal.unit {
            Unit::Ratio => figure(value),
            Unit::Bytes => bytes(value as u64),
            Unit::Seconds => format!("{value:.2} s"),
        };
        let measured = match (goal.unit, goal.measured) {
            (Unit::Ratio, measured) => spread(measured),
            (_, measured) => measured.map_or_else(|| NONE.to_owned(), |measured| shown(measured.median)),
        };
        vec![goal.what.clone(), format!("{word} {}", shown(bound)), measured, verdict.to_owned()]
    }));
    write_rows(out, &rows, &[])
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
