//! The first section: how fast Loadline is end to end beside reqwest alone, with and without signatures, and beside the
//! legacy model with one consumer, all at the same number of requests at once.

use std::time::Duration;

use state::Durability;

use super::{
    Bench,
    configs::{Settings, split_evenly},
    fault::BenchFault,
    figures::{Bound, Goal, Unit},
    report::{Run, Throughput, speed},
    run::{Turn, Work},
    stages,
};
use crate::traffic::corpus::Ids;

/// Loadline's share of what reqwest alone does.
const GOAL: f64 = 0.75;
/// How long the legacy model has in a round at most: it would take minutes for the most deliveries.
const LEGACY_TIME: Duration = Duration::from_millis(1_500);

const NAMES: [&str; 6] = [
    "bare reqwest",
    "bare reqwest, signed",
    "Loadline, durability = \"process\"",
    "Loadline, durability = \"power\"",
    "Loadline, random event ids",
    "legacy model, one consumer",
];

/// Measures the section.
pub(super) async fn measure(bench: &Bench<'_>) -> Result<Throughput, BenchFault> {
    let workload = bench.workload();
    let (random, events) = (workload.clone().with(Ids::Random), bench.dir.join("random.ndjson"));
    random.write(&events)?;
    let random = Work { workload: &random, events: &events };
    let run = async |which, turn: Turn<'_>| {
        let work = if which == Throughput::RANDOM { random } else { turn.work };
        contestant(which, bench, Turn { work, ..turn }).await
    };
    let what = ("throughput", "throughput");
    let contestants = bench.in_turns(what, NAMES, (&workload, Duration::ZERO), run).await?;
    bench.say("throughput: each stage alone");
    let stages =
        stages::measure(&bench.dir.join("stages"), workload.brokers(), workload.deliveries()).await?;
    Ok(Throughput { contestants, stages })
}

async fn contestant(which: usize, bench: &Bench<'_>, turn: Turn<'_>) -> Result<Run, BenchFault> {
    let shares = split_evenly(bench.terms.concurrency, turn.work.workload.brokers());
    match which {
        // As many at once as the shares add up to: more if there are more brokers than that.
        0 | 1 => turn.bare(shares.iter().sum(), which == 1).await,
        Throughput::PROCESS | Throughput::POWER | Throughput::RANDOM => {
            let is_power = which == Throughput::POWER;
            let durability = if is_power { Durability::Power } else { Durability::Process };
            turn.loadline(&Settings::new(durability, shares)).await
        }
        _ => turn.legacy(1, LEGACY_TIME).await,
    }
}

/// What should come out.
pub(super) fn goals(throughput: &Throughput) -> Vec<Goal> {
    let all = &throughput.contestants;
    let of_bare = |place: usize| all.get(place)?.beside(all.get(Throughput::BARE)?, speed);
    [(Throughput::PROCESS, "process"), (Throughput::POWER, "power")]
        .map(|(place, durability)| {
            let what = format!("Loadline / bare reqwest, durability = \"{durability}\"");
            Goal::judged(what, Unit::Ratio, of_bare(place), Bound::AtLeast(GOAL))
        })
        .to_vec()
}
