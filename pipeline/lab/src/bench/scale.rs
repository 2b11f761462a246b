//! The last section, which takes minutes: what a delivery costs with many brokers and with many ledger entries, what
//! memory that takes, and how soon Loadline delivers again after a kill -9.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use state::Durability;

use super::{
    Bench,
    configs::{Settings, make_dir, put_log, split_evenly, urls, write_loadline},
    fault::BenchFault,
    figures::{Bound, Goal, Spread, Unit},
    fill::fill,
    meter::Meter,
    report::{Contestant, Grown, Scale, Sized, cost},
    run::{Loadline, Turn, Work},
    turns,
    workload::Workload,
};
use crate::process::clock::monotonic;
use crate::process::usage;
use crate::report::units::count;

/// The numbers of brokers to compare.
const BROKERS: [usize; 3] = [12, 1_000, 10_000];
/// Deliveries in memory at most, and so on the wire, for any number of brokers: with the default, ten thousand brokers
/// would have thousands of connections, and the comparison would be one of those.
const IN_FLIGHT_MAX: usize = 256;
/// Up to this many entries, each run has a ledger filled anew: its own deliveries would make it another.
const ANEW_MAX: u64 = 100_000;
/// How much more a delivery may cost at the largest size than at the smallest.
const FLAT: f64 = 1.15;
/// The largest ledger up to this has goals for memory and recovery.
const GROWN_MAX: u64 = 1_000_000;
/// The resident set when idle with an empty ledger, in bytes.
const IDLE_MAX: f64 = (48 << 20) as f64;
/// The resident set with that ledger, in bytes.
const GROWN_BYTES_MAX: f64 = (256 << 20) as f64;
/// From the start of the process to its first delivery, in seconds.
const START_MAX: f64 = 2.0;
/// Blocks of events: rounds count from here, so that no run is given what an earlier one has delivered.
const ENTRIES_BLOCK: u64 = 1_000;
const RECOVERY_BLOCK: u64 = 2_000;
/// How far behind a round's block the one is that comes after the kill.
const MORE_BLOCKS: u64 = 1_000;

/// Measures the section.
pub(super) async fn measure(bench: &Bench<'_>) -> Result<Scale, BenchFault> {
    let brokers = by_brokers(bench).await?;
    let idle_bytes = idle(bench).await?;
    let ledgers = ledgers(bench).await?;
    let entries = by_entries(bench, &ledgers).await?;
    let grown = match ledgers.iter().rfind(|(entries, _)| *entries <= GROWN_MAX) {
        None => None,
        Some((grown, state)) => Some(recovery(bench, (*grown, state), &entries).await?),
    };
    Ok(Scale { in_flight_max: IN_FLIGHT_MAX, brokers, entries, idle_bytes, grown })
}

async fn by_brokers(bench: &Bench<'_>) -> Result<Vec<Sized>, BenchFault> {
    let mut meter = Meter::start(bench.program, bench.dir, Duration::ZERO, BROKERS[2]).await?;
    let mut sizes = BROKERS.map(|size| sized(size as u64, "brokers")).to_vec();
    for round in 0..bench.terms.rounds {
        for which in turns(round, BROKERS.len()) {
            let size = BROKERS[which];
            bench.say(format!("scale, round {}: {size} brokers", round + 1));
            let workload = Workload::by_loads(bench.terms.deliveries, size, 0).with(bench.terms.ids);
            let dir = make_dir(bench.dir, &format!("brokers-{round}-{size}"))?;
            let events = dir.join("log.ndjson");
            workload.write(&events)?;
            let work = Work { workload: &workload, events: &events };
            let mut settings = Settings::new(Durability::Power, vec![32; size]);
            settings.in_flight_max = Some(IN_FLIGHT_MAX);
            let turn = Turn { program: bench.program, dir: &dir, meter: &mut meter, work };
            let run = turn.loadline(&settings).await?;
            sizes[which].contestant.runs.push(run);
            remove(&dir)?;
        }
    }
    meter.end().await?;
    Ok(sizes)
}

fn sized(size: u64, of: &str) -> Sized {
    Sized { size, contestant: Contestant::new(format!("{size} {of}")) }
}

/// The resident set of a process that has nothing to do and nothing on record.
async fn idle(bench: &Bench<'_>) -> Result<Option<u64>, BenchFault> {
    bench.say("scale: idle with an empty ledger");
    let workload = bench.workload();
    let dir = make_dir(bench.dir, "idle")?;
    let settings = settings(bench, Path::new("state"));
    // Nothing is ever posted there.
    let config = write_loadline(&dir, &workload, &urls(1, workload.brokers()), &settings)?;
    let mut running = Loadline::start(bench.program, &dir, &config, &settings).await?;
    running.child().rest().await?;
    let memory = usage::memory(running.child().pid());
    running.stop(0, None).await?;
    remove(&dir)?;
    Ok(memory.map(|memory| memory.now))
}

fn settings(bench: &Bench<'_>, state: &Path) -> Settings {
    let shares = split_evenly(bench.terms.concurrency, bench.terms.brokers);
    Settings { state: state.to_owned(), ..Settings::new(Durability::Power, shares) }
}

/// The state directories, with as many entries as each is to have.
async fn ledgers(bench: &Bench<'_>) -> Result<Vec<(u64, PathBuf)>, BenchFault> {
    let mut ledgers = Vec::new();
    for &entries in bench.entries {
        let dir = bench.dir.join(format!("ledger-{entries}"));
        fill_saying(bench, &dir, entries).await?;
        ledgers.push((entries, dir));
    }
    Ok(ledgers)
}

async fn fill_saying(bench: &Bench<'_>, dir: &Path, entries: u64) -> Result<(), BenchFault> {
    let say = |done| bench.say(format!("scale: {done} of {entries} ledger entries are recorded"));
    say(0);
    fill(dir, entries, bench.terms.ids, &say).await
}

async fn by_entries(bench: &Bench<'_>, ledgers: &[(u64, PathBuf)]) -> Result<Vec<Sized>, BenchFault> {
    let mut meter = Meter::start(bench.program, bench.dir, Duration::ZERO, bench.terms.brokers).await?;
    let mut sizes: Vec<Sized> = ledgers.iter().map(|(entries, _)| sized(*entries, "entries")).collect();
    for round in 0..bench.terms.rounds {
        let (deliveries, block) = (bench.terms.deliveries, ENTRIES_BLOCK + u64::from(round));
        let workload = Workload::by_status(deliveries, bench.terms.brokers, block).with(bench.terms.ids);
        let events = bench.dir.join(format!("entries-{round}.ndjson"));
        workload.write(&events)?;
        let work = Work { workload: &workload, events: &events };
        for which in turns(round, ledgers.len()) {
            let (entries, state) = &ledgers[which];
            bench.say(format!("scale, round {}: {entries} ledger entries", round + 1));
            let dir = make_dir(bench.dir, &format!("entries-{round}-{entries}"))?;
            let settings = settings(bench, state);
            let turn = Turn { program: bench.program, dir: &dir, meter: &mut meter, work };
            let run = turn.loadline(&settings).await?;
            sizes[which].contestant.runs.push(run);
            remove(&dir)?;
            if *entries <= ANEW_MAX && round + 1 < bench.terms.rounds {
                remove(state)?;
                fill_saying(bench, state, *entries).await?;
            }
        }
    }
    meter.end().await?;
    Ok(sizes)
}

/// Kills a run over the grown ledger amid its work, and looks how soon the next one delivers.
async fn recovery(
    bench: &Bench<'_>,
    (size, state): (u64, &Path),
    entries: &[Sized],
) -> Result<Grown, BenchFault> {
    let mut meter = Meter::start(bench.program, bench.dir, Duration::ZERO, bench.terms.brokers).await?;
    let mut seconds = Vec::new();
    for round in 0..bench.terms.rounds {
        bench.say(format!("scale, round {}: kill -9 with {size} ledger entries", round + 1));
        let block = RECOVERY_BLOCK + u64::from(round);
        let workload =
            Workload::by_status(bench.terms.deliveries, bench.terms.brokers, block).with(bench.terms.ids);
        let dir = make_dir(bench.dir, &format!("killed-{round}"))?;
        let events = dir.join("log.ndjson");
        workload.write(&events)?;
        let settings = settings(bench, state);
        let config = write_loadline(&dir, &workload, &urls(meter.port(), workload.brokers()), &settings)?;
        let mut running = Loadline::start(bench.program, &dir, &config, &settings).await?;
        meter.zero(running.child()).await?;
        put_log(&dir, &events)?;
        meter.wait(running.child(), workload.deliveries() / 2, None).await?;
        running.kill().await?;
        // There is something left to deliver, however much the killed one has done.
        let more = Workload::by_status(bench.terms.deliveries, bench.terms.brokers, block + MORE_BLOCKS)
            .with(bench.terms.ids);
        more.append(&events)?;
        meter.reset().await?;
        let began = monotonic();
        let mut running = Loadline::start(bench.program, &dir, &config, &settings).await?;
        meter.wait(running.child(), 1, None).await?;
        let first = meter.total().await?.first;
        running.kill().await?;
        seconds.push(first.saturating_sub(began) as f64 / 1e9);
        remove(&dir)?;
    }
    meter.end().await?;
    let grown = entries.iter().find(|sized| sized.size == size).map(|sized| &sized.contestant);
    let most = |of: fn(&super::Run) -> Option<u64>| grown?.runs.iter().filter_map(of).max();
    Ok(Grown {
        entries: size,
        after_bytes: most(|run| run.memory_now),
        most_bytes: most(|run| run.memory_most),
        first_delivery_seconds: Spread::of(seconds),
    })
}

/// Removes what is not needed any more: the largest ledgers take gigabytes.
fn remove(dir: &Path) -> Result<(), BenchFault> {
    fs::remove_dir_all(dir).map_err(BenchFault::file(dir))
}

/// What should come out.
pub(super) fn goals(scale: &Scale) -> Vec<Goal> {
    let flat = |sizes: &[Sized], of: &str| {
        let [first, .., last] = sizes else { return None };
        let what = format!("CPU a delivery, {} / {} {of}", count(last.size), count(first.size));
        let measured = last.contestant.beside(&first.contestant, cost);
        Some(Goal::judged(what, Unit::Ratio, measured, Bound::AtMost(FLAT)))
    };
    let one = |figure: Option<f64>| figure.and_then(|figure| Spread::of([figure]));
    let bytes = |bytes: Option<u64>| one(bytes.map(|bytes| bytes as f64));
    let mut goals: Vec<Goal> =
        flat(&scale.brokers, "brokers").into_iter().chain(flat(&scale.entries, "entries")).collect();
    let idle = "memory, idle with an empty ledger";
    goals.push(Goal::judged(idle, Unit::Bytes, bytes(scale.idle_bytes), Bound::AtMost(IDLE_MAX)));
    if let Some(grown) = &scale.grown {
        let memory = format!("memory after deliveries, {} entries", count(grown.entries));
        let start = format!("kill -9 to the first delivery, {} entries", count(grown.entries));
        let seconds = grown.first_delivery_seconds;
        goals.push(Goal::judged(
            memory,
            Unit::Bytes,
            bytes(grown.after_bytes),
            Bound::AtMost(GROWN_BYTES_MAX),
        ));
        goals.push(Goal::judged(start, Unit::Seconds, seconds, Bound::AtMost(START_MAX)));
    }
    goals
}
