//! The look-ups and the brokers' table over a scripted database, in simulated time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use stages::Subscribers;
use tokio::time::{Instant, sleep};

use crate::{
    BROKERS_QUERY, BrokerRow, Change, ConnectionString, DatabaseFault, LOOKUP_QUERY, LastKnownOptions,
    Options, Started, SubscriptionRow,
    session::{BrokersRead, Connect, Session},
    start_over,
};

const MILLI: Duration = Duration::from_millis(1);

/// A database, and what it has been asked. A clone is the same.
#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    /// Brokers by load.
    subscriptions: BTreeMap<String, Vec<String>>,
    brokers: Vec<BrokerRow>,
    /// How long a query takes.
    takes: Duration,
    /// How many of the next queries fail.
    failing: usize,
    away: bool,
    /// When somebody tried to connect.
    tries: Vec<Instant>,
    blocks: Vec<Vec<String>>,
    reads: VecDeque<Option<String>>,
    now: u64,
}

impl Scripted {
    fn away(&self) -> Result<(), DatabaseFault> {
        let mut script = self.0.lock();
        if script.failing > 0 || script.away {
            script.failing = script.failing.saturating_sub(1);
            return Err(DatabaseFault::Away { why: "as scripted".into() });
        }
        Ok(())
    }

    fn subscribe(&self, load: &str, broker: &str) {
        self.0.lock().subscriptions.entry(load.into()).or_default().push(broker.into());
    }
}

impl Connect for Scripted {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Session>, DatabaseFault>> {
        Box::pin(async {
            self.0.lock().tries.push(Instant::now());
            if self.0.lock().away {
                return Err(DatabaseFault::Away { why: "as scripted".into() });
            }
            Ok(Box::new(self.clone()) as Box<dyn Session>)
        })
    }
}

impl Session for Scripted {
    fn subscribers<'a>(
        &'a mut self,
        loads: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<SubscriptionRow>, DatabaseFault>> {
        Box::pin(async move {
            // Its snapshot is taken when it begins.
            let rows = {
                let mut script = self.0.lock();
                script.blocks.push(loads.iter().map(ToString::to_string).collect());
                let found = |load: &Arc<str>| script.subscriptions.get(&**load).cloned().unwrap_or_default();
                let row = |load: &Arc<str>, broker| SubscriptionRow {
                    id: 1,
                    load_id: load.to_string(),
                    broker_id: broker,
                    statuses: None,
                };
                loads
                    .iter()
                    .flat_map(|load| found(load).into_iter().map(move |broker| row(load, broker)))
                    .collect()
            };
            let takes = self.0.lock().takes;
            sleep(takes).await;
            self.away()?;
            Ok(rows)
        })
    }

    fn brokers<'a>(
        &'a mut self,
        since: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BrokersRead, DatabaseFault>> {
        Box::pin(async move {
            self.away()?;
            let mut script = self.0.lock();
            script.reads.push_back(since.map(str::to_owned));
            script.now += 1;
            let rows = if since.is_none() { script.brokers.clone() } else { Vec::new() };
            Ok(BrokersRead { rows, xmin: script.now.to_string() })
        })
    }
}

fn options() -> Options {
    Options {
        connection: ConnectionString::new(""),
        tls: None,
        connect_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(1),
        backoff_min: 100 * MILLI,
        backoff_max: 800 * MILLI,
        block_max: 4,
        last_known: None,
        poll: Duration::from_secs(1),
        lookup_query: LOOKUP_QUERY.to_owned(),
        brokers_query: BROKERS_QUERY.to_owned(),
    }
}

async fn ask(started: &Started, load: &str) -> Vec<String> {
    let load = Arc::from(load);
    started.lookups.of_load(&load).await.iter().map(|found| found.broker.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_a_query_is_on_its_way_is_part_of_the_next_and_sees_what_was_committed_before() {
    let database = Scripted::default();
    database.0.lock().takes = 10 * MILLI;
    let started = start_over(database.clone(), &options());
    let first = async { ask(&started, "a").await };
    let later = async {
        sleep(5 * MILLI).await;
        // Committed before the second ask, after the first query began.
        database.subscribe("a", "acme");
        ask(&started, "a").await
    };
    assert_eq!(tokio::join!(first, later), (Vec::<String>::new(), vec!["acme".to_owned()]));
    let many = (0..10).map(|load| format!("l-{}", load % 6)).collect::<Vec<_>>();
    join_all(many.iter().map(|load| ask(&started, load))).await;
    let sizes: Vec<usize> = database.0.lock().blocks.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 4, 4, 2], "in their order, in blocks of four loads");
}

#[tokio::test(start_paused = true)]
async fn a_query_that_fails_is_asked_again_until_there_is_an_answer_and_pauses_grow() {
    let database = Scripted::default();
    database.subscribe("a", "acme");
    let started = start_over(database.clone(), &options());
    assert_eq!(ask(&started, "a").await, ["acme"]);
    {
        let mut script = database.0.lock();
        (script.away, script.tries) = (true, Vec::new());
    }
    let answered = tokio::time::timeout(Duration::from_secs(30), ask(&started, "a")).await;
    assert!(answered.is_err(), "there is no answer without the database");
    let outage = started.counts.outage().unwrap();
    assert!(outage.length > Duration::from_secs(29) && outage.error.contains("as scripted"), "{outage:?}");
    let tries = database.0.lock().tries.len();
    assert!((30..100).contains(&tries), "{tries} tries in 30 s");
    database.0.lock().away = false;
    assert_eq!(ask(&started, "a").await, ["acme"]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!((started.counts.outage(), started.counts.waiting()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_database_is_away_a_load_is_answered_as_it_was_known_and_never_while_it_answers() {
    let database = Scripted::default();
    database.subscribe("a", "acme");
    let age_max = Duration::from_secs(60);
    let last_known = Some(LastKnownOptions { age_max, memory_max: 1 << 20 });
    let started = start_over(database.clone(), &Options { last_known, ..options() });
    assert_eq!(ask(&started, "a").await, ["acme"]);
    database.subscribe("a", "blue");
    assert_eq!(ask(&started, "a").await, ["acme", "blue"], "the memory is not used while the server answers");
    // A connection that is lost, and the server answers over the next one.
    database.subscribe("a", "coral");
    database.0.lock().failing = 1;
    assert_eq!(ask(&started, "a").await.len(), 3);
    assert_eq!((started.counts.last_known(), started.counts.is_bridged()), (0, false));

    database.0.lock().away = true;
    let waits = started.lookups.clone();
    let unknown = tokio::spawn(async move { waits.of_load(&Arc::from("b")).await.len() });
    sleep(Duration::from_secs(2)).await;
    assert!(started.counts.is_bridged() && started.counts.outage().is_some());
    // Committed during the outage: it is what may be missed.
    database.subscribe("a", "dune");
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(ask(&started, "a").await.len(), 3);
    }
    assert!(began.elapsed() < 100 * MILLI, "they do not wait for the next try: {:?}", began.elapsed());
    assert_eq!((started.counts.last_known(), started.counts.waiting()), (100, 1));
    assert!(!unknown.is_finished(), "a load that is not known waits");

    // It is tried although nobody has to wait for it, and the first success ends it.
    unknown.abort();
    database.0.lock().away = false;
    sleep(Duration::from_secs(2)).await;
    assert!(!started.counts.is_bridged() && started.counts.outage().is_none());
    assert_eq!(ask(&started, "a").await.len(), 4);
    assert_eq!(started.counts.last_known(), 100);

    database.0.lock().away = true;
    let late = tokio::time::timeout(age_max, async {
        sleep(Duration::from_secs(30)).await;
        assert_eq!(ask(&started, "a").await.len(), 4);
        sleep(Duration::from_secs(28)).await;
        ask(&started, "a").await.len()
    });
    assert_eq!(late.await, Ok(4));
    sleep(Duration::from_secs(3)).await;
    let too_old = tokio::time::timeout(Duration::from_secs(60), ask(&started, "a")).await;
    assert!(too_old.is_err(), "what is older than the bound waits");
}

#[tokio::test(start_paused = true)]
async fn while_the_database_is_away_nobody_waits_for_a_broker_whose_row_was_never_whole() {
    let database = Scripted::default();
    database.subscribe("a", "broken");
    let last_known = Some(LastKnownOptions { age_max: Duration::from_secs(60), memory_max: 1 << 20 });
    let mut started = start_over(database.clone(), &Options { last_known, ..options() });
    started.changes.recv().await.unwrap().applied.tell();
    assert_eq!(ask(&started, "a").await, ["broken"]);
    database.0.lock().away = true;
    // One asks before it is known that the database is away, the other afterwards.
    let (wants, asks) = (started.lookups.clone(), started.lookups.clone());
    let early = tokio::spawn(async move { wants.brokers_now().await });
    let load = tokio::spawn(async move { asks.of_load(&Arc::from("a")).await.len() });
    sleep(Duration::from_secs(3)).await;
    assert!(started.counts.is_bridged() && load.is_finished() && early.is_finished());
    let began = Instant::now();
    started.lookups.brokers_now().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_load_with_a_zero_is_no_text_of_the_databases_and_spoils_no_block() {
    let database = Scripted::default();
    let started = start_over(database.clone(), &options());
    assert_eq!(ask(&started, "a\0b").await, Vec::<String>::new());
    assert!(database.0.lock().blocks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_table_is_read_whole_at_first_then_by_transaction_and_whole_after_every_failure() {
    let database = Scripted::default();
    let mut started = start_over(database.clone(), &options());
    let Change { whole, applied, .. } = started.changes.recv().await.unwrap();
    assert!(whole);
    // Dropped: it was not applied.
    drop(applied);
    let Change { whole, applied, .. } = started.changes.recv().await.unwrap();
    assert!(whole, "it is read whole until it is applied");
    applied.tell();
    sleep(3_500 * MILLI).await;
    let reads: Vec<_> = database.0.lock().reads.drain(..).collect();
    assert_eq!(reads, [None, None, Some("2".into()), Some("3".into()), Some("4".into())]);
    database.0.lock().failing = 1;
    let Change { whole, applied, .. } = started.changes.recv().await.unwrap();
    assert!(whole);
    applied.tell();
}

#[tokio::test(start_paused = true)]
async fn who_wants_the_brokers_as_they_are_now_waits_for_a_read_that_begins_afterwards() {
    let database = Scripted::default();
    let mut started = start_over(database.clone(), &options());
    let change = started.changes.recv().await.unwrap();
    let wants = started.lookups.clone();
    let waits = tokio::spawn(async move { wants.brokers_now().await });
    sleep(MILLI).await;
    assert!(!waits.is_finished(), "what is being applied was read before");
    let before = database.0.lock().reads.len();
    change.applied.tell();
    waits.await.unwrap();
    assert_eq!(database.0.lock().reads.len(), before + 1);
    // Everything ends with whoever asks and applies.
    drop(started);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(database.0.lock().reads.len(), before + 1);
}
