//! The third section: one dead broker among others, whose deliveries a second are compared with those when all are alive.

use std::{net::TcpListener, time::Duration};

use state::Durability;

use super::{
    Bench,
    arrivals::Seen,
    fault::BenchFault,
    figures::{Bound, Goal, Unit},
    meter::Meter,
    report::{Contestant, Dead, Run, speed},
    run::{self, Work},
    site::{Settings, Site, shared_out, urls},
};

/// The share of their throughput the others keep.
const GOAL: f64 = 0.95;

const NAMES: [&str; 3] = ["all alive", "one refuses connections", "one never answers"];

/// Measures the section.
pub(super) async fn measure(bench: &Bench<'_>) -> Result<Dead, BenchFault> {
    let (workload, events) = bench.workload()?;
    let work = Work { workload: &workload, events: &events };
    let mut meter = Meter::start(bench.program, bench.dir, Duration::ZERO, workload.brokers()).await?;
    let run = async |which, site: &Site| variant(which, bench, site, &mut meter, work).await;
    let variants = bench.in_turns(("one dead broker", "dead"), NAMES, run).await?;
    meter.end().await?;
    Ok(Dead { others: workload.brokers() - 1, variants })
}

async fn variant(
    which: usize,
    bench: &Bench<'_>,
    site: &Site,
    meter: &mut Meter,
    work: Work<'_>,
) -> Result<Run, BenchFault> {
    let brokers = work.workload.brokers();
    let mut urls = urls(meter.port(), brokers);
    // Connections are taken by the system and wait in the listener's queue, where nobody answers them.
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(BenchFault::Port)?;
    let port = listener.local_addr().map_err(BenchFault::Port)?.port();
    // Only held while the broker is to be silent.
    let _silent = (which == 2).then_some(listener);
    let dead = (which > 0).then_some(brokers - 1);
    if let Some(url) = dead.and_then(|dead| urls.get_mut(dead)) {
        *url = format!("http://127.0.0.1:{port}/");
    }
    let mut settings = Settings::new(Durability::Power, shared_out(bench.terms.concurrency, brokers));
    // In all variants, so that nothing else differs.
    settings.silent = Some(brokers - 1);
    let mut run = run::loadline_to(bench.program, site, meter, work, (&urls, dead), &settings).await?;
    let others = Seen::together(meter.paths().await?.into_iter().take(brokers - 1));
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
