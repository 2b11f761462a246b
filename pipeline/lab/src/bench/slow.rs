//! The second section: brokers that take 20 ms for each answer, where the legacy service waited and Loadline does not.

use std::time::Duration;

use state::Durability;

use super::{
    Bench,
    configs::Settings,
    fault::BenchFault,
    figures::{Bound, Goal, Unit},
    report::{Run, Slow, speed},
    run::Turn,
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
    let workload = bench.workload();
    let contestants = bench.in_turns(("slow brokers", "slow"), NAMES, (&workload, DELAY), contestant).await?;
    let delay_ms = u64::try_from(DELAY.as_millis()).unwrap_or(u64::MAX);
    Ok(Slow { delay_ms, concurrency_per_broker: concurrency(workload.brokers()), contestants })
}

/// Requests at once to each of so many brokers.
fn concurrency(brokers: usize) -> usize {
    (CONCURRENCY_TOTAL / brokers.max(1)).clamp(1, CONCURRENCY)
}

async fn contestant(which: usize, turn: Turn<'_>) -> Result<Run, BenchFault> {
    let brokers = turn.work.workload.brokers();
    match which {
        0 => {
            let settings = Settings::new(Durability::Power, vec![concurrency(brokers); brokers]);
            turn.loadline(&settings).await
        }
        1 => turn.legacy(1, LEGACY_TIME).await,
        _ => turn.legacy(12, LEGACY_TIME).await,
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
