//! Fresh seeds at each run, or one seed again if `SIM_SEED` names it; the same steps for the same seed.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::{Outcome, campaign, simulate, traced};

/// How many fresh seeds each run of the tests simulates.
const SEEDS: u64 = 300;

fn fail(outcome: &Outcome) -> ! {
    let Outcome { seed, violation, .. } = outcome;
    println!("{}", traced(*seed, None).1);
    panic!("{}\nagain: SIM_SEED={seed} cargo test -p sim", violation.as_ref().unwrap());
}

#[test]
fn every_promise_is_kept_in_fresh_simulations() {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        let outcome = simulate(seed.parse().unwrap(), None);
        println!("seed {seed}: {} runs, {} steps", outcome.runs, outcome.steps);
        if outcome.violation.is_some() {
            fail(&outcome);
        }
        return;
    }
    let base = rand::random();
    println!("seeds {base} and the {SEEDS} from there");
    let summary = campaign(base, SEEDS, 1, |_| ());
    println!("{} runs, {} of them crashed, {} steps", summary.runs, summary.crashes, summary.steps);
    if let Some(outcome) = summary.broken.first() {
        fail(outcome);
    }
    assert_eq!(summary.seeds, SEEDS);
}

#[test]
fn the_same_seed_takes_the_same_steps() {
    for seed in 0..20 {
        let (one, other) = (simulate(seed, None), simulate(seed, None));
        assert_eq!((one.digest, one.steps), (other.digest, other.steps), "seed {seed}");
    }
}
