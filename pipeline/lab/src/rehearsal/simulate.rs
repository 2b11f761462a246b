//! One simulation: the real line with the config's limits over the simulated log, brokers and disk, looked at until
//! everything is drained.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use line::{LineFault, LineHandle, fixed, ingest, stop::stop};
use service::{
    assemble::{self, AssembleFault},
    config::{BrokerConfig, Config},
};
use simulation::{START, SimulatedLine};
use stages::{Broker, Dedupe, LoadFilter, Route, Subscription, Subscriptions, Terms};
use state::{Ledger, SimulatedDisk, StateFault};
use tokio::time::{Instant, sleep};

use super::{
    bounds::{Bounds, Limit},
    brokers::Brokers,
    observed::{EVERY, Goes, Observed, Observer},
    plan::Plan,
    source,
};

/// How long the disk takes for a commit.
const COMMIT: Duration = Duration::from_millis(2);

/// Why a simulation has failed.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalFault {
    /// There is no runtime.
    #[error("no runtime for the simulation: {0}")]
    Runtime(#[from] io::Error),
    /// The brokers cannot be made.
    #[error(transparent)]
    Brokers(#[from] AssembleFault),
    /// The line has failed.
    #[error("the simulated line has failed: {0}")]
    Line(#[from] LineFault),
    /// Its state has.
    #[error("the simulated state has failed: {0}")]
    State(#[from] StateFault),
    /// The line has ended although its log goes on.
    #[error("the simulated line has ended by itself; this is a fault of Loadline")]
    Ended,
}

/// What a simulation is made of.
pub(super) struct Simulation<'s> {
    pub(super) config: &'s Config,
    /// The config's brokers, perhaps with other rates.
    pub(super) brokers: &'s [BrokerConfig],
    pub(super) plan: &'s Arc<Plan>,
    pub(super) bounds: &'s Bounds,
}

impl Simulation<'_> {
    /// Simulates until everything is drained, the time of the plan has passed, or one of the limits `until` is reached.
    /// `passed` is told the simulated time now and then.
    pub(super) fn run(
        &self,
        until: &[Limit],
        passed: &mut dyn FnMut(Duration),
    ) -> Result<Observed, RehearsalFault> {
        let runtime = simulation::runtime()?;
        let seen = runtime.block_on(self.watched(until, passed));
        // What still runs ends where it is, as at a crash.
        drop(runtime);
        seen
    }

    async fn watched(
        &self,
        until: &[Limit],
        passed: &mut dyn FnMut(Duration),
    ) -> Result<Observed, RehearsalFault> {
        let (plan, bounds, start) = (self.plan, self.bounds, Instant::now());
        let disk = SimulatedDisk::new();
        disk.set_latency(COMMIT);
        let store = simulation::open(&disk, self.config.state.durability, START)?;
        let clock = store.clock().clone();
        let (ledger, work) = Ledger::start_inline(store, bounds.commits)?;
        drop(tokio::spawn(work));
        let brokers = self.brokers()?;
        let log = source::log(plan.clone(), clock, start);
        let records = ingest(fixed([log]), &ledger, bounds.unsettled_max)?;
        let chain = SimulatedLine {
            ledger: &ledger,
            brokers: &brokers,
            route: Route::new(Arc::new(Subscriptions::new(brokers.clone()))),
            dedupe: Dedupe::new(&ledger),
            receivers: Brokers { plan: plan.clone(), start },
            limits: bounds.limits,
            retry: bounds.retry,
            seed: plan.seed,
            lease: None,
        };
        let handle = Arc::new(OnceLock::new());
        let started = handle.clone();
        let (_stopper, stopped) = stop();
        let line = chain.run(records, stopped, move |line| drop(started.set(line)));
        let mut observer = Observer::new(plan.clone(), bounds.clone());
        tokio::select! {
            biased;
            ended = line => {
                ended?;
                Err(RehearsalFault::Ended)
            }
            at = watch(&mut observer, (plan, start), (&handle, &brokers), until, passed) => {
                Ok(observer.end(at, &brokers))
            }
        }
    }

    /// The brokers with the config's terms; each gets the loads that are made for it.
    fn brokers(&self) -> Result<Vec<Arc<Broker>>, RehearsalFault> {
        let config = Config { brokers: self.brokers.to_vec(), ..self.config.clone() };
        let brokers = assemble::brokers(&config, self.bounds.limits.shards)?;
        for broker in &brokers {
            let loads = LoadFilter::Prefixes(vec![source::prefix(broker.ordinal)]);
            let subscription = Subscription { loads, ..Subscription::default() };
            broker.agree(Terms { subscription, ..(*broker.terms()).clone() });
        }
        Ok(brokers)
    }
}

/// Looks at the line until there is nothing more to see; gives the time.
async fn watch(
    observer: &mut Observer,
    (plan, start): (&Plan, Instant),
    (handle, brokers): (&OnceLock<LineHandle>, &[Arc<Broker>]),
    until: &[Limit],
    passed: &mut dyn FnMut(Duration),
) -> Duration {
    loop {
        sleep(EVERY).await;
        let at = start.elapsed();
        passed(at);
        let Some(line) = handle.get() else { continue };
        let goes = observer.look(at, line, brokers);
        if goes == Goes::Drained || at >= plan.end() || observer.has_broken(until) {
            return at;
        }
    }
}
