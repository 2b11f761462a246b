//! Many simulations, one after the other on each core.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use parking_lot::Mutex;
use serde::Serialize;

use crate::simulate::{Kind, Outcome, simulate};

/// What came of many simulations.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The first seed.
    pub base: u64,
    /// How many were simulated.
    pub seeds: u64,
    /// How many runs of the process.
    pub runs: u64,
    /// How many of those crashed.
    pub crashes: u64,
    /// How many partitions have changed their member in good order.
    pub moves: u64,
    /// How many steps.
    pub steps: u64,
    /// Requests that brought what their receivers had taken before.
    pub repeats: u64,
    /// Simulated time, in milliseconds.
    pub simulated: u64,
    /// The simulations in which a promise was broken.
    pub broken: Vec<Outcome>,
}

/// Simulates `count` seeds from `base` on, as many at once as there are cores. `done` is told of each. Ends early once so
/// many promises are broken.
pub fn campaign(
    kind: Kind,
    base: u64,
    count: u64,
    broken_max: usize,
    done: impl Fn(&Outcome) + Sync,
) -> Summary {
    let next = AtomicU64::new(0);
    let summary = Mutex::new(Summary { base, ..Summary::default() });
    let work = || {
        while summary.lock().broken.len() < broken_max {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let outcome = simulate(kind, base.wrapping_add(number), None);
            done(&outcome);
            summary.lock().add(outcome);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut summary = summary.into_inner();
    summary.broken.sort_by_key(|outcome| outcome.seed);
    summary
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.runs += outcome.runs;
        self.crashes += outcome.crashes;
        self.moves += outcome.moves;
        self.steps += outcome.steps;
        self.repeats += outcome.repeats;
        self.simulated += outcome.simulated;
        if outcome.violation.is_some() {
            self.broken.push(outcome);
        }
    }
}
