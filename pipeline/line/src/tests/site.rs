//! A whole line on a state directory of its own, between a log and scripted receivers. What was delivered is compared
//! with what the log asks for.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use futures::FutureExt;
use parking_lot::Mutex;
use stages::{
    Ack, AttemptExt, BreakerPolicy, Broker, Decode, Dedupe, Egress, Endpoint, Health, Quota,
    RetryBudgetPolicy, RetryPolicy, Route, Rules, Schema, Signer, SigningKey, Subscribers, Subscription,
    Subscriptions, Terms, Validate, WhenFull,
};
use state::{
    Clock, CommitOptions, DeadLetter, Durability, Ledger, LedgerThread, LogMember, StateFault, Store,
    StoreOptions,
};
use tokio::time::{Instant, sleep};
use tokio_stream::Stream;

use super::{
    log::{Entry, Log, LogSource},
    wire::Wire,
};
use crate::{
    Executor, Limits, Line, LineFault, LineHandle, LineReport, LookAhead, SourceFault, SourcePartition,
    SourceRecord, fixed, ingest, stop::Stop,
};

/// A run that goes on for so many moments hangs: 15 s if the process runs all the time. Moments are counted one by one
/// and not by the clock, which goes on while the process is stopped from outside: then any run would seem to hang.
const HANGS: u32 = 150;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Everything a line is made of, with small bounds throughout.
pub(super) struct Site {
    pub(super) dir: PathBuf,
    pub(super) log: Arc<Log>,
    pub(super) wire: Wire,
    pub(super) brokers: usize,
    /// The number of the first of them.
    pub(super) first_broker: usize,
    pub(super) concurrency: usize,
    pub(super) when_full: WhenFull,
    pub(super) limits: Limits,
    pub(super) executor: Executor,
    pub(super) retry: RetryPolicy,
    pub(super) breaker: BreakerPolicy,
    pub(super) unsettled_max: usize,
    pub(super) follows: bool,
    pub(super) inbox_max: usize,
    /// Which events every receiver refuses for good, by their numbers.
    pub(super) refused: fn(u64) -> bool,
    /// How much the source has read, over all runs.
    pub(super) read: Arc<AtomicU64>,
    /// The view into the run under way or the last one.
    pub(super) watch: Mutex<Option<LineHandle>>,
    /// The brokers of that run.
    pub(super) served: Mutex<Vec<Arc<Broker>>>,
    /// The store of the run under way.
    pub(super) running: Mutex<Option<Store>>,
    /// The log that the state of its partitions goes to, too.
    pub(super) state_log: Option<LogMember>,
    /// Who is asked about each load, while records are read ahead.
    pub(super) outside: Option<(Arc<dyn Subscribers>, LookAhead)>,
}

/// Milliseconds.
pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Returns after a time in which every run would have come to its end.
async fn hangs() {
    for _ in 0..HANGS {
        sleep(ms(100)).await;
    }
}

impl Site {
    pub(super) fn new(dir: &Path, log: Log, wire: Wire, brokers: usize) -> Self {
        let limits = Limits {
            in_flight_max: 8,
            memory_max: 1 << 20,
            per_broker_max: 2,
            spill_broker_max: 1 << 20,
            spill_total_max: 4 << 20,
            full_letters_max: 1 << 20,
            spill_after: ms(20),
            hold_min: ms(20),
            drain: Duration::from_secs(50),
            grace: Duration::from_secs(5),
            hand_over: Duration::ZERO,
            shards: 2,
        };
        let retry = RetryPolicy {
            base: ms(4),
            cap: ms(40),
            attempts_max: 1_000,
            in_place_max: ms(2),
            ..RetryPolicy::default()
        };
        let breaker = BreakerPolicy {
            failures: NonZeroU32::new(3).unwrap(),
            open_min: ms(10),
            open_max: ms(50),
            probe_max: Duration::from_secs(30),
        };
        Self {
            dir: dir.to_owned(),
            log: Arc::new(log),
            wire,
            brokers,
            first_broker: 0,
            concurrency: 4,
            when_full: WhenFull::Hold,
            limits,
            executor: Executor::default(),
            retry,
            breaker,
            unsettled_max: 1_000,
            follows: false,
            inbox_max: 10_000,
            refused: |_| false,
            read: Arc::default(),
            watch: Mutex::default(),
            served: Mutex::default(),
            running: Mutex::default(),
            state_log: None,
            outside: None,
        }
    }

    fn broker(&self, ordinal: usize) -> Arc<Broker> {
        let signer = Signer::new(vec![SigningKey::parse(SECRET).unwrap()]).unwrap();
        let endpoint = Endpoint::new(
            "https://tms.example.com/",
            &http::HeaderMap::new(),
            signer,
            Duration::from_secs(5),
            &Egress::default(),
        );
        let budget = RetryBudgetPolicy { ratio: 1.0, min_per_second: 1e6, window_seconds: 10.0 };
        let terms = Terms {
            subscription: Subscription::default(),
            endpoint: endpoint.unwrap(),
            quota: Arc::new(Quota::new(1e6, NonZeroU32::new(1_000).unwrap()).unwrap()),
            concurrency: self.concurrency,
            when_full: self.when_full,
        };
        let (shard, health) = (ordinal % self.limits.shards, Health::new(self.breaker, budget));
        let name = format!("b{}", self.first_broker + ordinal);
        Arc::new(Broker::new(name, ordinal, shard, terms, health))
    }

    pub(super) fn store(&self) -> Store {
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: 3_600_000,
            cache: 8 << 20,
            clock: Clock::System,
        };
        for _ in 0..200 {
            match Store::open(&self.dir, options.clone()) {
                // The run before gives its last handles up a moment after it has reported.
                Err(StateFault::Locked { .. }) => {}
                opened => return opened.unwrap(),
            }
            let _moment = std::sync::mpsc::sync_channel::<()>(1).1.recv_timeout(ms(10));
        }
        panic!("the state directory is never given up");
    }

    fn ledger(&self) -> (Ledger, LedgerThread) {
        let commits = CommitOptions { commit_max: 64, linger: ms(1), inbox_max: self.inbox_max };
        match &self.state_log {
            None => Ledger::start(self.store(), commits).unwrap(),
            Some(log) => {
                let (limit, log) = (Ledger::COMMIT_TIMEOUT, Arc::new(log.clone()));
                Ledger::start_following(self.store(), commits, limit, log).unwrap()
            }
        }
    }

    /// Runs the line until its input ends or `stop` says so, and closes the state directory.
    pub(super) async fn run(&self, stop: Stop) -> Result<LineReport, LineFault> {
        let source = |store: &Store| {
            let from = store.sources().checkpoint("log").unwrap().map_or(0, |checkpoint| checkpoint.offset);
            let (log, read, follows) = (self.log.clone(), self.read.clone(), self.follows);
            fixed([LogSource { log, from, read, read_at: Clock::System.now(), follows }.into_partition()])
        };
        self.run_over(source, stop).await
    }

    /// The same over the partitions that `source` gives.
    pub(super) async fn run_over<P, S>(
        &self,
        source: impl FnOnce(&Store) -> P,
        stop: Stop,
    ) -> Result<LineReport, LineFault>
    where
        P: Stream<Item = Result<SourcePartition<S>, SourceFault>> + Send + 'static,
        S: Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static,
    {
        let (ledger, thread) = self.ledger();
        let brokers: Vec<_> = (0..self.brokers).map(|ordinal| self.broker(ordinal)).collect();
        *self.served.lock() = brokers.clone();
        *self.running.lock() = Some(ledger.store().clone());
        let century = Duration::from_secs(100 * 31_557_600);
        let rules = Rules { age_max: century, ahead_max: century, ..Rules::default() };
        let (outside, look_ahead) = self.outside.clone().unzip();
        let run = Line::intake(Decode::new(Schema::flat()))
            .then(Validate::new(rules, Clock::System))
            .then(Route::new(Arc::new(Subscriptions::new(brokers.clone()))).asking(outside))
            .per_broker(&brokers, self.limits)
            .looking_ahead(look_ahead)
            .then(Dedupe::new(&ledger))
            .then(self.wire.clone().retry(self.retry, Clock::System))
            .settle(Ack::new(&ledger, Clock::System))
            .run_on(
                self.executor,
                ingest(source(ledger.store()), &ledger, self.unsettled_max).unwrap(),
                stop,
                |watch| *self.watch.lock() = Some(watch),
            );
        let result = tokio::select! {
            biased;
            result = run.boxed() => Some(result),
            () = hangs() => None,
        };
        drop(ledger);
        *self.running.lock() = None;
        let Some(result) = result else { panic!("the line hangs: {}", self.describe()) };
        // A ledger that was faulted on purpose ends with that fault.
        let _fault = tokio::task::spawn_blocking(move || thread.join()).await.unwrap();
        result
    }

    /// Where the run stands, for a message.
    pub(super) fn describe(&self) -> String {
        let watch = self.watch.lock().clone().unwrap();
        let (tickets, seen) = (watch.partitions(), self.wire.seen());
        let now = Instant::now();
        let gates: Vec<_> = self.served.lock().iter().map(|broker| broker.health.gate(now)).collect();
        format!(
            "gates {gates:?}, {} read, {} settled, {} in flight, {} spilled, held: {}, {} attempts, {} accepted",
            tickets.issued(),
            tickets.settled(),
            watch.in_flight(),
            watch.spilled(),
            watch.is_held(),
            seen.starts.len(),
            seen.accepted.len()
        )
    }

    /// Every dead letter there is.
    pub(super) fn letters(&self) -> Vec<DeadLetter> {
        self.store().dead_letters().iter().collect::<Result<_, _>>().unwrap()
    }

    /// Every dead letter there is while a line runs.
    pub(super) fn running_letters(&self) -> Vec<DeadLetter> {
        let store = self.running.lock().clone().unwrap();
        store.dead_letters().iter().collect::<Result<_, _>>().unwrap()
    }

    /// How many records the run has settled; none before it has begun.
    pub(super) fn settled(&self) -> u64 {
        self.watch.lock().as_ref().map_or(0, |watch| watch.partitions().settled())
    }

    /// What each broker must be given, by load, in this order.
    pub(super) fn expected(&self) -> BTreeMap<String, Vec<u64>> {
        let mut expected = self.log.expected();
        expected.values_mut().for_each(|numbers| numbers.retain(|number| !(self.refused)(*number)));
        expected.retain(|_, numbers| !numbers.is_empty());
        expected
    }

    /// Checks that nothing on the wire broke a promise, each broker was given each event once and in order per load,
    /// and everything else is a dead letter.
    pub(super) fn check(&self, context: &str) {
        self.check_with(&[], context);
    }

    /// The same of a line whose letters are spread over others, too.
    pub(super) fn check_with(&self, others: &[&Self], context: &str) {
        self.check_wire(context);
        self.check_letters(others, context);
    }

    /// Checks what was on the wire alone.
    pub(super) fn check_wire(&self, context: &str) {
        let seen = self.wire.seen();
        assert!(seen.broken.is_empty(), "{context}: {:?}", seen.broken);
        for broker in 0..self.brokers {
            let by_load = |list: &[(usize, String, u64)]| {
                let mut loads: BTreeMap<String, Vec<u64>> = BTreeMap::new();
                for (_, load, number) in list.iter().filter(|entry| entry.0 == broker) {
                    loads.entry(load.clone()).or_default().push(*number);
                }
                loads
            };
            assert_eq!(by_load(&seen.accepted), self.expected(), "{context}: accepted by broker {broker}");
            for (load, starts) in by_load(&seen.starts) {
                assert!(
                    starts.is_sorted(),
                    "{context}: broker {broker}, load {load} started in order {starts:?}"
                );
            }
        }
    }

    fn check_letters(&self, others: &[&Self], context: &str) {
        let mut letters: Vec<_> = [self]
            .iter()
            .chain(others)
            .flat_map(|site| site.letters())
            .map(|letter| (letter.position.offset, letter.broker, letter.cause))
            .collect();
        letters.sort();
        // A record that was not settled when its partition moved is a letter of both.
        letters.dedup();
        let garbage = self.log.places(|entry| *entry == Entry::Garbage).into_iter();
        let conflicts = self.log.places(|entry| matches!(entry, Entry::Conflict { .. })).into_iter();
        let refused = self.log.expected().into_values().flatten().filter(|number| (self.refused)(*number));
        let mut wanted: Vec<_> = garbage.map(|at| (at, None, "not-json".to_owned())).collect();
        let each = conflicts.map(|at| (at, "conflict")).chain(refused.map(|at| (at, "refused")));
        wanted.extend(each.flat_map(|(at, cause)| {
            (0..self.brokers).map(move |broker| (at, Some(format!("b{broker}").into()), cause.to_owned()))
        }));
        wanted.sort();
        assert_eq!(letters, wanted, "{context}: dead letters");
    }
}
