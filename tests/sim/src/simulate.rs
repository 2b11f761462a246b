//! One simulation. Of a single process: runs in trouble, each ended as the plan says; then receivers are well, but for bad
//! loads, and what is good must be delivered; then these are well, too, and everything must come to its end.

use serde::Serialize;

use crate::{
    group,
    plan::Plan,
    planted::Planted,
    process,
    trace::Step,
    violation::Violation,
    watch::Watch,
    world::{Broken, Phase, World},
};

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One process over a log.
    Process,
    /// Several members of a Kafka group, whose state follows its partitions.
    Group,
}

/// What came of one simulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// How many runs of the process there were.
    pub runs: u64,
    /// How many of them crashed.
    pub crashes: u64,
    /// How many partitions have changed their member in good order.
    pub moves: u64,
    /// How many steps.
    pub steps: u64,
    /// A digest of all steps: the same for the same seed.
    pub digest: u64,
    /// Requests that brought what their receivers had taken before.
    pub repeats: u64,
    /// The simulated time it took, in milliseconds.
    pub simulated: u64,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
}

/// Simulates `seed`, with a fault planted on purpose if one is given.
#[must_use]
pub fn simulate(kind: Kind, seed: u64, planted: Option<Planted>) -> Outcome {
    traced(kind, seed, planted).0
}

/// The same, and its last steps, one a line.
#[must_use]
pub fn traced(kind: Kind, seed: u64, planted: Option<Planted>) -> (Outcome, String) {
    let (world, moves) = match kind {
        Kind::Process => (process(seed, planted), 0),
        Kind::Group => group::simulate(seed, planted),
    };
    (world.outcome(seed, moves), world.state().trace.to_string())
}

fn process(seed: u64, planted: Option<Planted>) -> World {
    let plan = Plan::of(seed);
    let runs = plan.runs.clone();
    let world = World::new(plan, planted);
    let _watch = Watch::start(world.clone());
    for run in runs {
        world.goes_on(|| process::run(&world, Some(run.end), run.down));
    }
    for (phase, wanted) in [(Phase::BadLoads, world.has_bad_loads()), (Phase::Well, true)] {
        if wanted {
            world.enter(phase);
            world.goes_on(|| process::run(&world, None, 0));
        }
    }
    world.goes_on(|| process::look(&world));
    world
}

/// All that `seed` decides before anything runs, for a person.
#[must_use]
pub fn plan(kind: Kind, seed: u64) -> String {
    if kind == Kind::Group {
        return group::describe(seed);
    }
    let Plan { log, brokers, runs, tuning, .. } = Plan::of(seed);
    let entries: Vec<_> = log.entries().map(|(number, entry)| format!("{number}: {entry:?}")).collect();
    format!("{}\n{brokers:#?}\n{runs:#?}\n{tuning:#?}", entries.join(", "))
}

impl World {
    /// Does what comes next, unless a promise is broken.
    fn goes_on(&self, next: impl FnOnce() -> Result<(), Broken>) {
        if self.state().violation.is_none() {
            self.check(next());
        }
    }

    fn enter(&self, phase: Phase) {
        self.state().phase = phase;
        self.step(Step::Well { bad_loads_too: phase == Phase::Well });
    }

    fn outcome(&self, seed: u64, moves: u64) -> Outcome {
        let state = self.state();
        let violation = state.violation.clone();
        Outcome {
            seed,
            runs: state.run,
            crashes: state.crashes,
            moves,
            steps: state.trace.count(),
            digest: state.trace.digest(),
            repeats: state.wire.repeats.iter().sum(),
            simulated: state.now(),
            violation,
        }
    }
}
