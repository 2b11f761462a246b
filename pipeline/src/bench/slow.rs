//! The second section: brokers that take 20 ms for each answer, where the legacy service waited and Loadline does not.

use std::time::Duration;

use state::Durability;

use super::{
    Bench,
    fault::BenchFault,
    figures::{Bound, Goal, Unit},
    meter::Meter,
    report::{Run, Slow, speed},
    run::{self, Work},
    site::{Settings, Site},
};

/// How long an answer takes.
const DELAY: Duration = Duration::from_millis(20);
/// Loadline's requests at once to each broker: twice the default, for receivers that take their time.
const CONCURRENCY: usize = 64;
/// And over all brokers at most, about: each has a socket, and many systems allow a process no more than 1,024.
const CONCURRENCY_TOTAL: usize = 12 * CONCURRENCY;
/// How long the legacy model has in a round: one consumer makes 60 deliveries in it, which is enough for a rate that
/// hangs on the delay alone.
const LEGACY_TIME: Duration = Duration::from_millis(1_300);

const NAMES: [&str; 3] = ["Loadline", "legacy model, one consumer", "legacy model, twelve consumers"];

/// Measures the section.
pub(super) async fn measure(bench: &Bench<'_>) -> Result<Slow, BenchFault> {
    let (workload, events) = bench.workload()?;
    let work = Work { workload: &workload, events: &events };
    let mut meter = Meter::start(bench.program, bench.dir, DELAY, workload.brokers()).await?;
    let run = async |which, site: &Site| contestant(which, bench, site, &mut meter, work).await;
    let contestants = bench.in_turns(("slow brokers", "slow"), NAMES, run).await?;
    meter.end().await?;
    let delay_ms = u64::try_from(DELAY.as_millis()).unwrap_or(u64::MAX);
    Ok(Slow { delay_ms, concurrency_per_broker: concurrency(workload.brokers()), contestants })
}

/// Requests at once to each of so many brokers.
fn concurrency(brokers: usize) -> usize {
    (CONCURRENCY_TOTAL / brokers.max(1)).clamp(1, CONCURRENCY)
}

async fn contestant(
    which: usize,
    bench: &Bench<'_>,
    site: &Site,
    meter: &mut Meter,
    work: Work<'_>,
) -> Result<Run, BenchFault> {
    let brokers = work.workload.brokers();
    match which {
        0 => {
            let settings = Settings::new(Durability::Power, vec![concurrency(brokers); brokers]);
            run::loadline(bench.program, site, meter, work, &settings).await
        }
        1 => run::legacy(bench.program, site, meter, work, (1, LEGACY_TIME)).await,
        _ => run::legacy(bench.program, site, meter, work, (12, LEGACY_TIME)).await,
    }
}

/// What should come out.
pub(super) fn goals(slow: &Slow) -> Vec<Goal> {
    let [loadline, one, twelve] = slow.contestants.as_slice() else { return Vec::new() };
    [("one legacy consumer", one, 300.0), ("twelve legacy consumers", twelve, 25.0)]
        .map(|(whom, other, goal)| {
            let what = format!("Loadline / {whom}, brokers that take {} ms", slow.delay_ms);
            Goal::judged(what, Unit::Ratio, loadline.beside(other, speed), Bound::AtLeast(goal))
        })
        .to_vec()
}
