//! The third section: one dead broker among others, whose deliveries a second are compared with those when all are alive.

use std::{net::TcpListener, time::Duration};

use state::Durability;

use super::{
    Bench,
    configs::{Settings, split_evenly},
    fault::BenchFault,
    figures::{Bound, Goal, Unit},
    report::{Contestant, Dead, Run, speed},
    run::Turn,
};
use crate::receiver::ArrivalStats;

/// The share of their throughput the others keep.
const GOAL: f64 = 0.95;

const NAMES: [&str; 3] = ["all alive", "one refuses connections", "one never answers"];

/// Measures the section.
pub(super) async fn measure(bench: &Bench<'_>) -> Result<Dead, BenchFault> {
    let workload = bench.workload();
    let run = async |which, turn: Turn<'_>| variant(which, bench, turn).await;
    let what = ("one dead broker", "dead");
    let variants = bench.in_turns(what, NAMES, (&workload, Duration::ZERO), run).await?;
    Ok(Dead { others: workload.brokers() - 1, variants })
}

async fn variant(which: usize, bench: &Bench<'_>, mut turn: Turn<'_>) -> Result<Run, BenchFault> {
    let (brokers, mut urls) = (turn.work.workload.brokers(), turn.urls());
    // Connections are taken by the system and wait in the listener's queue, where nobody answers them.
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(BenchFault::Port)?;
    let port = listener.local_addr().map_err(BenchFault::Port)?.port();
    // Only held while the broker is to be silent.
    let _silent = (which == 2).then_some(listener);
    let dead = (which > 0).then_some(brokers - 1);
    if let Some(url) = dead.and_then(|dead| urls.get_mut(dead)) {
        *url = format!("http://127.0.0.1:{port}/");
    }
    let mut settings = Settings::new(Durability::Power, split_evenly(bench.terms.concurrency, brokers));
    // In all variants, so that nothing else differs.
    settings.silent = Some(brokers - 1);
    let mut run = turn.reborrow().loadline_to(&urls, dead, &settings).await?;
    let others = ArrivalStats::together(turn.meter.paths().await?.into_iter().take(brokers - 1));
    (run.deliveries, run.per_second) = (others.count, others.per_second());
    Ok(run)
}

/// What should come out.
pub(super) fn goals(dead: &Dead) -> Vec<Goal> {
    let Some((alive, dead_ones)) = dead.variants.split_first() else { return Vec::new() };
    let goal = |variant: &Contestant| {
        let what = format!("the other {}: {} / {}", dead.others, variant.name, alive.name);
        Goal::judged(what, Unit::Ratio, variant.beside(alive, speed), Bound::AtLeast(GOAL))
    };
    dead_ones.iter().map(goal).collect()
}
