//! The real line on one thread in simulated time: what the simulation of the tests and a rehearsal have in common.
//!
//! Real: the chain, tickets and watermark, the brokers' queues, the ledger's order of writes, the state directory's logic.
//! Simulated: time, the receivers, and the disk. Whoever simulates brings the source and the receivers.

use std::{io, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use line::{Executor, Ingest, Limits, Line, LineFault, LineHandle, LineReport, stop::Stop};
use stages::{
    Ack, AttemptExt, Broker, Decode, Lease, RetryPolicy, Rules, Schema, Stage, Throttle, Validate,
    models::{Delivery, Fresh, ValidEvent},
    simulation::{Receivers, SimulatedDeliver},
};
use state::{Clock, Durability, Ledger, SimulatedDisk, StateFault, Store, StoreOptions};
use tokio::runtime::{Builder, Runtime};

/// What the wall clock says at the start of a simulation: November 2023.
pub const START: u64 = 1_700_000_000_000;

/// How long ids are remembered: 7 days, the config's default.
const DEDUPE_WINDOW: u64 = 7 * 86_400_000;

/// A runtime on the caller's thread whose time stands still while anything can be done, and then jumps to the next timer.
///
/// # Errors
/// The system's, if it cannot be made.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_time().start_paused(true).build()
}

/// The state directory on `disk`, as a start opens it when the wall clock says `wall`. Call it within [`runtime`].
///
/// # Errors
/// [`StateFault`], as for a directory.
pub fn open(disk: &SimulatedDisk, durability: Durability, wall: u64) -> Result<Store, StateFault> {
    let clock = Clock::simulated(wall);
    let options = StoreOptions { durability, dedupe_window: DEDUPE_WINDOW, cache: 1 << 20, clock };
    Store::open_simulated(disk, options)
}

/// What a chain is made of. Events are those of the flat schema, of any age.
pub struct SimulatedLine<'l, Router, Claims, Brokers> {
    /// Where verdicts go.
    pub ledger: &'l Ledger,
    /// Those that deliveries can be for, in the order of their ordinals.
    pub brokers: &'l [Arc<Broker>],
    /// Makes deliveries of an event.
    pub route: Router,
    /// Claims a delivery.
    pub dedupe: Claims,
    /// What takes requests.
    pub receivers: Brokers,
    /// The bounds of the line.
    pub limits: Limits,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
    /// Decides the jitter of its pauses.
    pub seed: u64,
    /// The lease of a member of a group.
    pub lease: Option<Arc<Lease>>,
}

impl<Router, Claims, Brokers> SimulatedLine<'_, Router, Claims, Brokers>
where
    Router: Stage<In = ValidEvent, Out = Vec<Delivery>>,
    Claims: Stage<In = Delivery, Out = Fresh>,
    Brokers: Receivers,
{
    /// Runs it over `records`; `started` is given a view into it.
    #[must_use]
    pub fn run(
        self,
        records: Ingest,
        stopped: Stop,
        started: impl FnOnce(LineHandle) + Send + 'static,
    ) -> BoxFuture<'static, Result<LineReport, LineFault>> {
        let Self { ledger, brokers, route, dedupe, receivers, limits, retry, seed, lease } = self;
        let clock = ledger.store().clock().clone();
        let century = Duration::from_secs(100 * 31_557_600);
        let rules = Rules { age_max: century, ahead_max: century, ..Rules::default() };
        let attempt = Throttle::under(lease).then(SimulatedDeliver::new(receivers, clock.clone()));
        let line = Line::intake(Decode::new(Schema::flat()))
            .then(Validate::new(rules, clock.clone()))
            .then(route)
            .per_broker(brokers, limits)
            .then(dedupe)
            .then(attempt.retry(retry, clock.clone()).seeded(seed))
            .settle(Ack::new(ledger, clock));
        async move { line.run_on(Executor::CurrentThread, records, stopped, started).await }.boxed()
    }
}
