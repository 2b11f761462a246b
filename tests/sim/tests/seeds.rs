//! Fresh seeds at each run, those from `SIM_FROM` on, or one seed again if `SIM_SEED` or `SIM_GROUP_SEED` names it; the same
//! steps for the same seed.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::{Kind, Outcome, campaign, simulate, traced};

/// How many fresh seeds each run of the tests simulates.
const SEEDS: u64 = 300;
const GROUP_SEEDS: u64 = 60;

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Process => "SIM_SEED",
        Kind::Group => "SIM_GROUP_SEED",
    }
}

fn fail(kind: Kind, outcome: &Outcome) -> ! {
    let Outcome { seed, violation, .. } = outcome;
    println!("{}", traced(kind, *seed, None).1);
    panic!("{}\nagain: {}={seed} cargo test -p sim", violation.as_ref().unwrap(), name(kind));
}

fn fresh_seeds(kind: Kind, seeds: u64) {
    if let Ok(seed) = std::env::var(name(kind)) {
        let outcome = simulate(kind, seed.parse().unwrap(), None);
        println!("seed {seed}: {} runs, {} steps", outcome.runs, outcome.steps);
        if outcome.violation.is_some() {
            fail(kind, &outcome);
        }
        return;
    }
    let from = std::env::var("SIM_FROM").map_or_else(|_| rand::random(), |from| from.parse().unwrap());
    println!("seeds {from} and the {seeds} from there");
    let summary = campaign(kind, from, seeds, 1, |_| ());
    println!("{} runs, {} of them crashed, {} steps", summary.runs, summary.crashes, summary.steps);
    if let Some(outcome) = summary.broken.first() {
        fail(kind, outcome);
    }
    assert_eq!(summary.seeds, seeds);
}

#[test]
fn every_promise_is_kept_in_fresh_simulations() {
    fresh_seeds(Kind::Process, SEEDS);
}

#[test]
fn every_promise_is_kept_by_members_whose_state_follows_its_partitions() {
    fresh_seeds(Kind::Group, GROUP_SEEDS);
}

#[test]
fn the_same_seed_takes_the_same_steps() {
    for kind in [Kind::Process, Kind::Group] {
        for seed in 0..10 {
            let (one, other) = (simulate(kind, seed, None), simulate(kind, seed, None));
            assert_eq!((one.digest, one.steps), (other.digest, other.steps), "{kind:?}, seed {seed}");
        }
    }
}
