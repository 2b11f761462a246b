//! Makes every part of the line from the config. The chain of stages is here.

use std::{collections::BTreeMap, fs, io, sync::Arc, thread, time::Duration};

use kafka_engine::{
    Following,
    follow::{FollowFault, StateTopics},
};
use parking_lot::Mutex;
use stages::{
    Ack, AttemptExt, Broker, Decode, Dedupe, Deliver, EndpointError, HttpClientError, HttpClients,
    HttpOptions, Lease, Portion, Quota, QuotaError, Route, Split, Stage, Subscriptions, Terms, Throttle,
    Validate,
    models::{Delivery, RawRecord, Receipt},
};
use state::{Clock, CommitOptions, Ledger, LedgerThread, StateFault, Store, StoreOptions};
use subscriptions::{Change, Counts, Started};
use tokio::sync::mpsc;

use crate::{
    config::{BrokerConfig, Config, SourceKind, StateConfig, SubscriptionsConfig},
    descriptors::{self, Shortage},
    portions::Portions,
    telemetry::{Telemetry, TelemetryFault, Traced},
};
use kafka_engine::Reading;
use line::{Limits, Line, LookAhead, Roster, Settling};

/// Why the parts cannot be made from a valid config.
#[derive(Debug, thiserror::Error)]
pub enum AssembleFault {
    /// The state directory cannot be opened.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The HTTP clients cannot be made.
    #[error(transparent)]
    Http(#[from] HttpClientError),
    /// The clients of the state topics cannot be made.
    #[error(transparent)]
    Follow(#[from] FollowFault),
    /// Traces cannot be exported.
    #[error(transparent)]
    Telemetry(#[from] TelemetryFault),
    /// A broker's endpoint is not allowed or not valid.
    #[error("broker {broker}: {fault}")]
    Endpoint {
        /// The broker.
        broker: String,
        /// What is wrong with it.
        fault: EndpointError,
    },
    /// A broker's rate is out of bounds.
    #[error("broker {broker}: {fault}")]
    Quota {
        /// The broker.
        broker: String,
        /// What is wrong with it.
        fault: QuotaError,
    },
    /// There are too few file descriptors.
    #[error(transparent)]
    Descriptors(#[from] Shortage),
    /// The file with extra certificates cannot be read.
    #[error("delivery.ca_file {path}: {error}; give a readable PEM file or remove the key")]
    Certificates {
        /// The file.
        path: String,
        /// The system's message.
        error: io::Error,
    },
}

/// The parts that outlive the line.
#[derive(Debug)]
pub struct Parts {
    /// The ledger; drop it before joining `thread`.
    pub ledger: Ledger,
    /// The ledger's thread.
    pub thread: LedgerThread,
    /// The topics in which the state of partitions follows them, and the lease that goes with it.
    pub(crate) follow: Option<Following>,
    /// All brokers.
    pub brokers: Roster,
    /// This process's portion of their limits.
    pub(crate) portions: Portions,
    /// The stages that turn records into deliveries; the line has clones of them, which share their tables.
    pub front: IntakeStages,
    /// Records verdicts.
    pub ack: Ack,
    /// Exports spans, if traces are configured.
    pub telemetry: Option<Telemetry>,
    /// Where more brokers and subscriptions come from, if that is configured.
    pub(crate) database: Option<Database>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    /// How many connections producers may have.
    pub(crate) connections_max: usize,
    clients: HttpClients,
}

/// The database with more brokers and subscriptions.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) counts: Arc<Counts>,
    /// The brokers as they change; whoever applies them takes it.
    pub(crate) changes: Mutex<Option<mpsc::Receiver<Change>>>,
    look_ahead: LookAhead,
}

/// How many bytes of records are routed at a time where subscriptions are looked up: beside `limits.memory_max`.
const LOOK_AHEAD_BYTES: usize = 8 << 20;

/// The stages whose tables a reload replaces.
#[derive(Debug)]
pub struct IntakeStages {
    /// Decodes records.
    pub decode: Decode,
    /// Validates events.
    pub validate: Validate,
    /// Finds the brokers of an event.
    pub route: Route,
}

impl IntakeStages {
    /// The stages that `config` describes, over `brokers`, which are the config's.
    #[must_use]
    pub fn new(config: &Config, brokers: &[Arc<Broker>], clock: Clock) -> Self {
        Self {
            decode: Decode::new(config.schema.schema()),
            validate: Validate::new(config.rules.rules(&config.schema), clock),
            route: Route::new(Arc::new(Subscriptions::new(brokers.to_vec()))),
        }
    }
}

/// The most brokers of one run, removed ones included, because each keeps its slot to the end. Twice what one config
/// may name, so that all of them can be replaced once; a restart forgets removed ones.
pub const BROKERS_PER_RUN_MAX: usize = 20_000;

/// How often opening a locked directory is tried, 20 ms apart: a command holds it only for a moment.
const OPENS_MAX: usize = 50;

fn open_store(config: &Config) -> Result<Store, StateFault> {
    let open = || Store::open(&config.state.dir, store_options(&config.state));
    for _ in 1..OPENS_MAX {
        match open() {
            Err(StateFault::Locked { .. }) => thread::park_timeout(Duration::from_millis(20)),
            opened => return opened,
        }
    }
    open()
}

/// Opens the state and makes everything the line needs.
///
/// # Errors
/// [`AssembleFault`], with nothing started.
pub fn parts(config: &Config) -> Result<Parts, AssembleFault> {
    let limits = limits(config);
    let connections_max = descriptors::connections(config, limits.shards)?;
    let clients = clients(config, limits.shards)?;
    let brokers = brokers(config, limits.shards)?;
    let telemetry = Telemetry::start(&config.telemetry)?;
    let store = open_store(config)?;
    let clock = store.clock().clone();
    let commits = commits(config, &limits);
    let topics = config.follow().map(StateTopics::new).transpose()?.map(Arc::new);
    let follow = topics.map(|topics| Following { topics, lease: Arc::new(Lease::new(clock.clone())) });
    let timeout = config.state.commit_timeout;
    let (ledger, thread) = match &follow {
        Some(Following { topics, .. }) => Ledger::start_following(store, commits, timeout, topics.clone())?,
        None => Ledger::start_within(store, commits, timeout)?,
    };
    let ack = Ack::new(&ledger, clock.clone());
    let mut front = IntakeStages::new(config, &brokers, clock.clone());
    let database = config.subscriptions.as_ref().map(|SubscriptionsConfig { options, .. }| {
        let Started { lookups, changes, counts } = subscriptions::start(options);
        front.route = front.route.clone().asking(Some(lookups));
        let look_ahead = LookAhead { records: options.look_ahead(), bytes: LOOK_AHEAD_BYTES };
        Database { counts, changes: Mutex::new(Some(changes)), look_ahead }
    });
    let brokers = Roster::new(brokers);
    // Of a group nothing is this member's before it is given partitions.
    let portion = if follow.is_some() { Portion::held([], 1) } else { Portion::Whole };
    let portions = Portions::new(brokers.clone(), portion);
    Ok(Parts {
        ledger,
        thread,
        follow,
        brokers,
        portions,
        front,
        ack,
        telemetry,
        database,
        clock,
        limits,
        connections_max,
        clients,
    })
}

impl Parts {
    /// The line itself. The compiler checks the right column.
    #[rustfmt::skip]
    pub fn line(
        &self,
        config: &Config,
    ) -> Settling<
        impl Stage<In = RawRecord, Out = Vec<Delivery>> + use<>,
        impl Stage<In = Delivery, Out = Receipt> + use<>,
    > {
        let IntakeStages { decode, validate, route } = &self.front;
        let (http, response_max) = (self.clients.clone(), config.delivery.response_max);
        let (policy, clock) = (config.retry.policy(), || self.clock.clone());
        let look_ahead = self.database.as_ref().map(|database| database.look_ahead);
        let tally = self.ack.tally();
        let times = &tally.times;
        let validate = validate.clone().counting(tally.clone());

        let tracer = self.telemetry.as_ref().map(Telemetry::tracer);
        let lease = self.follow.as_ref().map(|follow| follow.lease.clone());
        let deliver = Deliver::new(http, clock(), response_max).under(lease.clone());
        let deliver = Traced::new(deliver, tracer);

        let attempt = Throttle::under(lease).timed(&times.throttle) // Fresh       -> Permitted
            .then(deliver.timed(&times.deliver));                 // Permitted     -> Attempt

        Line::split(Split::by(decode))                            // RawRecord     -> RawRecord, one per event in it
            .intake(decode.clone().timed(&times.decode))          // RawRecord     -> ShipmentEvent
            .then(validate.timed(&times.validate))                // ShipmentEvent -> ValidEvent
            .then(route.clone().timed(&times.route))              // ValidEvent    -> Vec<Delivery>, one per subscribed broker
            .per_broker(&self.brokers.listed(), self.limits)      // a bounded queue per broker; in order per (broker, load)
            .looking_ahead(look_ahead)                            // routed ahead where subscriptions are looked up
            .then(Dedupe::new(&self.ledger).timed(&times.dedupe)) // Delivery      -> Fresh
            .then(attempt.retry(policy, clock()))                 // Fresh         -> Receipt
            .settle(self.ack.clone())                             // every verdict, exactly once
    }
}

/// The brokers of `config`, in its order, spread over `shards` shards.
///
/// # Errors
/// [`AssembleFault::Endpoint`] or [`AssembleFault::Quota`].
pub fn brokers(config: &Config, shards: usize) -> Result<Vec<Arc<Broker>>, AssembleFault> {
    let brokers = config.brokers.iter().enumerate();
    brokers.map(|(ordinal, broker)| self::broker(config, broker, ordinal, shards)).collect()
}

/// How the state directory is opened.
#[must_use]
pub fn store_options(state: &StateConfig) -> StoreOptions {
    StoreOptions {
        durability: state.durability,
        dedupe_window: u64::try_from(state.dedupe_window.as_millis()).unwrap_or(u64::MAX),
        cache: state.cache,
        clock: Clock::System,
    }
}

/// How the ledger commits.
#[must_use]
pub fn commits(config: &Config, limits: &Limits) -> CommitOptions {
    CommitOptions {
        commit_max: config.state.commit_max,
        linger: config.state.linger,
        // Two messages for each delivery in memory, one for each broker that spills its queue, one for each post
        // being committed, one for each shard that puts dead letters back, the checkpoint's and the publisher's.
        inbox_max: 2 * limits.in_flight_max + BROKERS_PER_RUN_MAX + posts_max(config) + limits.shards + 64,
    }
}

fn posts_max(config: &Config) -> usize {
    match &config.source.kind {
        SourceKind::Http(http) => http.connections_max,
        SourceKind::File { .. } | SourceKind::Stdin | SourceKind::Fluvio(_) | SourceKind::Kafka(_) => 0,
    }
}

/// How long brokers that keep up are given before a partition leaves. Another member waits for it meanwhile, and what is on
/// the wire in the end needs a part of the grace period.
fn hand_over(config: &Config) -> Duration {
    match &config.source.kind {
        SourceKind::Kafka(kafka) if matches!(kafka.reading, Reading::Group(_)) => {
            config.limits.spill_after.min(config.limits.grace / 2)
        }
        _ => Duration::ZERO,
    }
}

/// The bounds of the line.
#[must_use]
pub fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let shards = if limits.shards == 0 { cores() } else { limits.shards };
    Limits {
        in_flight_max: limits.in_flight_max,
        memory_max: limits.memory_max,
        per_broker_max: limits.per_broker_max,
        spill_broker_max: limits.spill_broker_max,
        spill_total_max: limits.spill_total_max,
        full_letters_max: limits.full_letters_max,
        spill_after: limits.spill_after,
        hold_min: config.retry.in_place_max,
        drain: limits.drain,
        grace: limits.grace,
        hand_over: hand_over(config),
        // More shards than brokers would be idle threads. How many a database has is not known yet.
        shards: match config.subscriptions {
            Some(_) => shards,
            None => shards.clamp(1, config.brokers.len().max(1)),
        },
    }
}

fn clients(config: &Config, shards: usize) -> Result<HttpClients, AssembleFault> {
    Ok(HttpClients::new(shards, &http_options(config)?)?)
}

/// The options of the HTTP clients.
pub(crate) fn http_options(config: &Config) -> Result<HttpOptions, AssembleFault> {
    let delivery = &config.delivery;
    let extra_ca_pem = match &delivery.ca_file {
        None => Vec::new(),
        Some(path) => match fs::read(path) {
            Ok(pem) => vec![pem],
            Err(error) => {
                return Err(AssembleFault::Certificates { path: path.display().to_string(), error });
            }
        },
    };
    Ok(HttpOptions {
        connect_timeout: delivery.connect_timeout,
        idle_timeout: delivery.idle_timeout,
        idle_per_host_max: busiest_host(config),
        connection_age_max: delivery.connection_age_max,
        extra_ca_pem,
    })
}

/// Idle connections to one host of brokers of a database.
const IDLE_PER_HOST: usize = 256;

/// The most requests that can be under way to one host: several brokers may share one. Fewer idle connections would
/// mean that some are closed after each request and opened anew.
fn busiest_host(config: &Config) -> usize {
    let mut requests: BTreeMap<(Option<&str>, Option<u16>), usize> = BTreeMap::new();
    for broker in &config.brokers {
        *requests.entry((broker.url.host_str(), broker.url.port_or_known_default())).or_default() +=
            broker.concurrency;
    }
    // How many of a database's brokers share a host is not known yet.
    let of_database = config.subscriptions.is_some().then_some(IDLE_PER_HOST);
    requests.into_values().chain(of_database).max().unwrap_or(1).min(config.limits.in_flight_max)
}

/// The broker that `config` names as `broker`, as number `ordinal` of the run.
pub(crate) fn broker(
    config: &Config,
    broker: &BrokerConfig,
    ordinal: usize,
    shards: usize,
) -> Result<Arc<Broker>, AssembleFault> {
    let (terms, health) = (terms(broker, None)?, broker.health(&config.retry, &config.breaker));
    Ok(Arc::new(Broker::new(broker.id.as_str(), ordinal, ordinal % shards, terms, health)))
}

/// The terms of `broker`; keeps the quota `now` in force if rate and burst are the same.
pub(crate) fn terms(broker: &BrokerConfig, now: Option<Arc<Quota>>) -> Result<Terms, AssembleFault> {
    let name = || broker.id.clone();
    let endpoint = broker.endpoint();
    let quota = broker.quota().map_err(|fault| AssembleFault::Quota { broker: name(), fault })?;
    let same = |now: &Arc<Quota>| (now.rate(), now.burst()) == (quota.rate(), quota.burst());
    Ok(Terms {
        subscription: broker.subscription.clone(),
        endpoint: endpoint.map_err(|fault| AssembleFault::Endpoint { broker: name(), fault })?,
        quota: now.filter(same).unwrap_or_else(|| Arc::new(quota)),
        concurrency: broker.concurrency,
        when_full: broker.when_full,
    })
}
