//! One run of the process: the real line over the simulated disk, source and receivers, on a runtime of its own with paused
//! time, until it ends, is stopped, or crashes. Dropping the runtime is the crash: every future ends where it is.

use std::{pin::pin, sync::Arc, time::Duration};

use line::{
    Limits, LineFault, LineReport, fixed, ingest,
    stop::{Level, Stopper, stop},
};
use simulation::START;
use stages::{Route, Subscriptions};
use state::{Clock, Ledger, Store};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep},
};

use crate::{
    chain::{Chain, brokers, line_fault, open},
    checks::{disk, rest},
    life::Life,
    log::source_name,
    operators::Operators,
    plan::{RUN_MAX, RunEnd, When},
    source::{Ends, LogSource},
    trace::Step,
    violation::Promise,
    world::{Broken, Phase, World, state_fault},
};

/// Within this much simulated time everything is delivered once receivers are well.
pub(crate) const WELL_MAX: Duration = Duration::from_secs(1_800);

/// How much longer than its grace period a line may take to stop.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(10);

/// How often it is asked whether good loads are done.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs one process to its end; `end` is how the plan ends it, if it does. It is down for `down` milliseconds afterwards.
pub(crate) fn run(world: &World, end: Option<RunEnd>, down: u64) -> Result<(), Broken> {
    let (runtime, process) = (runtime()?, Process { world, end });
    runtime.block_on(async {
        world.begin_run(end);
        tokio::select! {
            biased;
            () = world.over() => {}
            ended = process.run() => {
                world.check(ended);
            }
        }
        world.end_run(down);
    });
    drop(runtime);
    world.after_run();
    Ok(())
}

pub(crate) fn runtime() -> Result<Runtime, Broken> {
    simulation::runtime().map_err(|error| (Promise::NoFault, format!("no runtime: {error}")))
}

struct Process<'w> {
    world: &'w World,
    end: Option<RunEnd>,
}

impl Process<'_> {
    async fn run(&self) -> Result<(), Broken> {
        let (world, plan) = (self.world, self.world.plan());
        let disk = world.state().disk.clone();
        let store = open(world, &disk, wall_clock(world))?;
        disk::at_start(world, &store)?;
        let clock = store.clock().clone();
        let started = Ledger::start_inline(store.clone(), plan.tuning.commits);
        let (ledger, work) = started.map_err(|fault| state_fault(&fault))?;
        let ledger_ends = tokio::spawn(work);
        let brokers = brokers(world)?;
        world.serve(&brokers);
        let sources: Result<Vec<_>, Broken> =
            (0..plan.log.partitions()).map(|partition| self.source(partition, &store, &clock)).collect();
        let sources = sources?.into_iter().map(LogSource::partition);
        let records = ingest(fixed(sources), &ledger, plan.tuning.unsettled_max);
        let records = records.map_err(|fault| line_fault(&fault))?;
        let life = Life::new(world.state().run);
        let (stopper, stopped) = stop();
        let (route, limits) = (Route::new(Arc::new(Subscriptions::new(brokers.clone()))), self.limits());
        let mut operators = Operators::new(world, &ledger, &brokers, &route);
        let handle = operators.handle.clone();
        let chain =
            Chain { world, life: &life, ledger: &ledger, brokers: &brokers, route, limits, lease: None };
        let line = chain.run(records, stopped, move |line| drop(handle.set(line)))?;
        let report = tokio::select! {
            biased;
            report = self.drive(line, stopper, &store) => report?,
            broken = operators.operate() => return Err(broken),
        };
        drop((operators, ledger, store));
        let ended = ledger_ends.await.map_err(|panic| (Promise::NoFault, format!("the ledger: {panic}")))?;
        ended.map_err(|fault| state_fault(&fault))?;
        let LineReport { records, settled, abandoned, spilled } = report;
        world.step(Step::Ended { records, settled, abandoned, spilled });
        Ok(())
    }

    /// Runs the line until it ends, or what the plan says happens to it.
    async fn drive(
        &self,
        line: impl Future<Output = Result<LineReport, LineFault>>,
        stopper: Stopper,
        store: &Store,
    ) -> Result<LineReport, Broken> {
        let mut line = pin!(line);
        let stops = tokio::select! {
            biased;
            report = &mut line => return self.judge(report, None),
            level = self.stops(store) => level?,
        };
        self.world.step(Step::Stopping);
        stopper.ask(stops);
        tokio::select! {
            biased;
            report = &mut line => self.judge(report, Some(stops)),
            () = sleep(self.limits().grace + STOP_MAX) => {
                Err((Promise::GoesOn, "the line was asked to stop and does not".to_owned()))
            }
        }
    }

    /// Returns when the line is to be asked to stop.
    async fn stops(&self, store: &Store) -> Result<Level, Broken> {
        let crash_after = |crash, after| async move {
            sleep(after).await;
            self.world.crash(crash);
            std::future::pending().await
        };
        let (began, phase) = (Instant::now(), self.world.state().phase);
        match self.end {
            Some(RunEnd::Crash(crash, When::After(after))) => crash_after(crash, after).await,
            Some(RunEnd::Crash(crash, When::Step(_))) => crash_after(crash, RUN_MAX).await,
            Some(RunEnd::Stop(level, after)) => {
                sleep(after).await;
                Ok(level)
            }
            Some(RunEnd::InputEnds) | None if phase != Phase::BadLoads => {
                sleep(WELL_MAX).await;
                Err((Promise::GoesOn, format!("the line does not come to its end within {WELL_MAX:?}")))
            }
            Some(RunEnd::InputEnds) | None => loop {
                let owed = rest::owed(self.world, store)?;
                if owed.is_empty() {
                    return Ok(Level::Drain);
                }
                if began.elapsed() > WELL_MAX {
                    let detail = format!(
                        "beside bad loads these (broker, event) are not delivered within {WELL_MAX:?}: {owed:?}"
                    );
                    return Err((Promise::GoesOn, detail));
                }
                sleep(LOOK_EVERY).await;
            },
        }
    }

    fn judge(
        &self,
        report: Result<LineReport, LineFault>,
        stopped: Option<Level>,
    ) -> Result<LineReport, Broken> {
        let report = report.map_err(|fault| line_fault(&fault))?;
        let rests = stopped.is_none() && self.world.state().phase == Phase::Well;
        if rests && (report.settled, report.abandoned, report.spilled) != (report.records, 0, 0) {
            return Err((
                Promise::NothingLost,
                format!("all is well, and the line leaves something: {report:?}"),
            ));
        }
        // No attempt takes as long as the grace period.
        if stopped != Some(Level::Now) && report.abandoned > 0 {
            return Err((
                Promise::GoesOn,
                format!("a line that stops in good order leaves attempts: {report:?}"),
            ));
        }
        Ok(report)
    }

    fn limits(&self) -> Limits {
        let limits = self.world.plan().tuning.limits;
        let drain = if self.end.is_none() { 10 * WELL_MAX } else { limits.drain };
        Limits { drain, ..limits }
    }

    fn source(&self, partition: usize, store: &Store, clock: &Clock) -> Result<LogSource, Broken> {
        let checkpoint = store.sources().checkpoint(&source_name(partition));
        let checkpoint = checkpoint.map_err(|fault| state_fault(&fault))?;
        Ok(LogSource {
            world: self.world.clone(),
            partition,
            from: checkpoint.map_or(0, |checkpoint| checkpoint.offset),
            ends: match self.end {
                None => Ends::AtTheLast,
                Some(RunEnd::InputEnds) => Ends::AtWhatIsThere,
                Some(_) => Ends::Never,
            },
            clock: clock.clone(),
        })
    }
}

/// Checks what is left at the end.
pub(crate) fn look(world: &World) -> Result<(), Broken> {
    runtime()?.block_on(async {
        let disk = world.state().disk.clone();
        let store = open(world, &disk, wall_clock(world))?;
        disk::at_start(world, &store)?;
        rest::at_rest(world, &store)
    })
}

/// What the wall clock says: it may have been set, forward or back, while no process ran.
fn wall_clock(world: &World) -> u64 {
    let (now, run) = {
        let state = world.state();
        (state.now(), state.run)
    };
    let draw = world.draw(&[5, run]);
    // All of them together are far from `age_max`: a clock that is set forward looks like time in which nobody ran.
    let set = draw / 4 % 3_600_000;
    match draw % 4 {
        0 => START + now + set,
        1 => START + now - set,
        _ => START + now,
    }
}
