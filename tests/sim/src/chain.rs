//! The real chain, as `assemble` builds it, over simulated receivers and a simulated disk: what one process is made of.

use std::{num::NonZeroU32, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use http::HeaderMap;
use line::{Ingest, Limits, LineFault, LineHandle, LineReport, stop::Stop};
use simulation::{START, SimulatedLine};
use stages::{
    Broker, Dedupe, Egress, Endpoint, Health, Lease, LoadFilter, Quota, Route, Signer, SigningKey, Stage,
    Subscription, Terms,
    models::{Delivery, Step, ValidEvent},
};
use state::{Ledger, SimulatedDisk, Store};

use crate::{
    checks::disk,
    life::Life,
    planted::{Planted, Tampered},
    receivers::SimulatedReceivers,
    violation::Promise,
    world::{Broken, World, state_fault},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a chain is made of.
pub(crate) struct Chain<'c> {
    pub(crate) world: &'c World,
    pub(crate) life: &'c Life,
    pub(crate) ledger: &'c Ledger,
    pub(crate) brokers: &'c [Arc<Broker>],
    pub(crate) route: Route,
    pub(crate) limits: Limits,
    /// The lease of a member of a group.
    pub(crate) lease: Option<Arc<Lease>>,
}

impl Chain<'_> {
    /// Runs it over `records`; `started` is given a view into it.
    pub(crate) fn run(
        self,
        records: Ingest,
        stopped: Stop,
        started: impl FnOnce(LineHandle) + Send + 'static,
    ) -> Result<BoxFuture<'static, Result<LineReport, LineFault>>, Broken> {
        let Self { world, life, ledger, brokers, route, limits, lease } = self;
        // A ledger that knows nothing, for the fault that skips the look-up.
        let unknowing =
            if world.planted() == Some(Planted::LookUpSkipped) { Some(empty_ledger(world)?) } else { None };
        let dedupe = Dedupe::new(unknowing.as_ref().unwrap_or(ledger));
        let line = SimulatedLine {
            ledger,
            brokers,
            route: Watched { route, world: world.clone() },
            dedupe: Tampered::new(dedupe, world.planted()),
            receivers: SimulatedReceivers { world: world.clone(), life: life.clone() },
            limits,
            retry: world.plan().tuning.retry,
            seed: world.draw(&[4, life.number()]),
            lease: lease.filter(|_| world.planted() != Some(Planted::LeaseIgnored)),
        };
        let line = line.run(records, stopped, started);
        let run = async move {
            let _unknowing = unknowing;
            line.await
        };
        Ok(run.boxed())
    }
}

/// The state directory on `disk`, as a start opens it when the wall clock says `wall`.
pub(crate) fn open(world: &World, disk: &SimulatedDisk, wall: u64) -> Result<Store, Broken> {
    let durability = world.plan().tuning.durability;
    simulation::open(disk, durability, wall).map_err(|fault| state_fault(&fault))
}

fn empty_ledger(world: &World) -> Result<Ledger, Broken> {
    let store = open(world, &SimulatedDisk::new(), START)?;
    let started = Ledger::start_inline(store, world.plan().tuning.commits);
    let (ledger, work) = started.map_err(|fault| state_fault(&fault))?;
    drop(tokio::spawn(work));
    Ok(ledger)
}

pub(crate) fn line_fault(fault: &LineFault) -> Broken {
    (Promise::NoFault, fault.to_string())
}

/// `Route`, and the world is told which config was in force.
struct Watched {
    route: Route,
    world: World,
}

impl Stage for Watched {
    type In = ValidEvent;
    type Out = Vec<Delivery>;

    async fn run(&self, event: ValidEvent) -> Step<Vec<Delivery>> {
        if let Some(number) = self.world.plan().log.of_position(&event.event().position) {
            self.world.routed(number);
        }
        self.route.run(event).await
    }
}

/// The brokers that the config names.
pub(crate) fn brokers(world: &World) -> Result<Vec<Arc<Broker>>, Broken> {
    let listed = world.state().listed.clone();
    listed.into_iter().enumerate().map(|(ordinal, number)| broker(world, number, ordinal)).collect()
}

/// A broker that has this number in the plan and this one in the run.
pub(crate) fn broker(world: &World, number: usize, ordinal: usize) -> Result<Arc<Broker>, Broken> {
    let tuning = &world.plan().tuning;
    let terms = terms(world, number, None).map_err(|error| (Promise::NoFault, error))?;
    let health = Health::new(tuning.breaker, tuning.budget);
    let shard = ordinal % tuning.limits.shards;
    Ok(Arc::new(Broker::new(disk::broker_id(number), ordinal, shard, terms, health)))
}

/// A broker's terms by the config in force; with this quota, if it has one.
pub(crate) fn terms(world: &World, number: usize, quota: Option<Arc<Quota>>) -> Result<Terms, String> {
    let (plan, now) = (&world.plan().brokers[number], world.state().now());
    let key = SigningKey::parse(SECRET).map_err(|error| error.to_string())?;
    let signer = Signer::new(vec![key]).map_err(|error| error.to_string())?;
    let (headers, egress) = (HeaderMap::new(), Egress::default());
    let endpoint = Endpoint::new("https://tms.example.com/", &headers, signer, plan.timeout, &egress);
    let loads = plan.loads.as_ref().map_or(LoadFilter::All, |loads| {
        LoadFilter::List(loads.iter().map(|load| format!("L{load}").into()).collect())
    });
    let burst = NonZeroU32::new(plan.burst).unwrap_or(NonZeroU32::MIN);
    let own = || Quota::new(plan.rate, burst).map(Arc::new).map_err(|error| error.to_string());
    Ok(Terms {
        subscription: Subscription { loads, ..Subscription::default() },
        endpoint: endpoint.map_err(|error| error.to_string())?,
        quota: quota.map_or_else(own, Ok)?,
        concurrency: plan.concurrency(now),
        when_full: plan.when_full,
    })
}
