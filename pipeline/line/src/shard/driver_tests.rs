//! A shard with one broker, over a real ledger: what comes together, and what it shows of itself.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use stages::{
    Broker,
    models::{Exit, Step, Verdict},
};
use state::{CommitOptions, Durability, Ledger, Outcome, Position, SpillUsage, Store, StoreOptions};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    shard::SpillIndex,
    stop::stop,
    testing::{self, broker_called},
    ticket::{Share, Tickets},
};

/// More than may wait for the broker if it lags, less than come together.
const WAITING_MAX: usize = 9;
const BURST: u64 = 20;

/// Takes everything, each after this time.
struct Takes(Duration);

impl Stage for Takes {
    type In = Delivery;
    type Out = Receipt;

    async fn run(&self, _delivery: Delivery) -> Step<Receipt> {
        sleep(self.0).await;
        Ok(Receipt { failed_attempts: 0, status: 200, at: 0 })
    }
}

/// Says at once that its broker has had it, which costs the ledger nothing; notes how many have begun and not finished, at
/// the most.
struct Known {
    places: Arc<Semaphore>,
    begun: AtomicUsize,
    unfinished_most: AtomicUsize,
}

impl Stage for Known {
    type In = Delivery;
    type Out = Receipt;

    async fn run(&self, _delivery: Delivery) -> Step<Receipt> {
        // All places are taken before the first one begins; what is finished gives its own back.
        let unfinished = self.begun.fetch_add(1, Ordering::Relaxed) + 1 - self.places.available_permits();
        self.unfinished_most.fetch_max(unfinished, Ordering::Relaxed);
        Err(Exit::Verdict(Verdict::Duplicate { of: Outcome::Delivered }))
    }
}

/// What gives the shard its arrivals.
struct Feed {
    inbox: mpsc::Sender<Arrival>,
    tickets: Tickets,
    places: Arc<Semaphore>,
}

impl Feed {
    fn give(&self, seq: u64) {
        self.send(testing::delivery(&format!("L{seq}"), seq), seq);
    }

    fn send(&self, delivery: Delivery, seq: u64) {
        let at = Position::new("test".into(), 0, seq);
        let arrival = Arrival {
            delivery,
            share: self.share(at, seq),
            permit: self.places.clone().try_acquire_owned().unwrap().into(),
        };
        self.inbox.try_send(arrival).unwrap();
    }

    fn share(&self, at: Position, seq: u64) -> Share {
        self.tickets.issue(at, testing::after(seq), false).unwrap().split(NonZeroU32::MIN).remove(0)
    }
}

/// Runs a shard whose broker takes what it gets after `time`, until `feed` is done and all of it is settled.
async fn serve(time: Duration, feed: impl AsyncFnOnce(Feed, &Broker)) -> Arc<Broker> {
    let (broker, places) = (testing::broker(), Arc::new(Semaphore::new(64)));
    let brokers = std::slice::from_ref(&broker);
    serve_all(Takes(time).into(), brokers, places, async |given| feed(given, &broker).await).await;
    broker
}

/// Runs a shard with these brokers, until `feed` is done and all of it is settled.
async fn serve_all(
    stages: Arc<impl Stage<In = Delivery, Out = Receipt>>,
    brokers: &[Arc<Broker>],
    places: Arc<Semaphore>,
    feed: impl AsyncFnOnce(Feed),
) {
    let dir = tempfile::tempdir().unwrap();
    let (durability, clock) = (Durability::Process, Clock::System);
    let options = StoreOptions { durability, dedupe_window: 3_600_000, cache: 8 << 20, clock: clock.clone() };
    let commits = CommitOptions { commit_max: 64, linger: Duration::from_millis(1), inbox_max: 1_000 };
    let (ledger, _thread) = Ledger::start(Store::open(dir.path(), options).unwrap(), commits).unwrap();
    let in_flight_max = places.available_permits();
    let limits = Limits { in_flight_max, per_broker_max: WAITING_MAX, ..testing::limits() };
    let tickets = testing::tickets();
    let shared = Arc::new(Shared::new(&limits, 64, tickets.clone()));
    let queue = |broker: &Arc<Broker>| {
        let index = SpillIndex::new(shared.counters.clone(), &limits, SpillUsage::default(), 0);
        BrokerQueue::new(broker.clone(), index, Instant::now())
    };
    let (queues, ack) = (brokers.iter().map(queue).collect(), Ack::new(&ledger, clock));
    let shard = Driver::new(stages, ack, limits, shared.clone(), queues);
    let (inbox, arrivals) = mpsc::channel(in_flight_max);
    let (_commands, commands) = mpsc::channel(1);
    let (_stopper, stop) = stop();
    let feed = feed(Feed { inbox, tickets, places });
    let (ran, ()) = tokio::join!(shard.run(arrivals, commands, stop), feed);
    ran.unwrap();
}

#[tokio::test]
async fn a_burst_for_a_broker_that_had_nothing_to_do_stays_in_memory() {
    let broker = serve(Duration::from_millis(2), async |feed, _broker| {
        // Long enough that its pace is not known any more.
        sleep(Duration::from_millis(150)).await;
        (0..BURST).for_each(|seq| feed.give(seq));
    });
    assert_eq!(broker.await.tally.spilled.get(), 0);
}

#[tokio::test]
async fn a_broker_shows_what_it_has_while_it_has_it_and_nothing_once_it_is_idle() {
    let until = async |broker: &Broker, shows: fn([u64; 3]) -> bool| {
        let gauges = &broker.tally.gauges;
        while !shows([&gauges.oldest_at, &gauges.queued, &gauges.on_wire].map(|gauge| gauge.get())) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    // Longer than it takes until it is looked at; the last one is alone.
    let served = serve(Duration::from_millis(250), async |feed, broker| {
        for burst in [BURST, 1] {
            (0..burst).for_each(|seq| feed.give(seq));
            until(broker, |[oldest_at, ..]| oldest_at > 0).await;
            until(broker, |[oldest_at, queued, on_wire]| oldest_at + queued + on_wire == 0).await;
        }
    });
    timeout(Duration::from_secs(30), served).await.expect("what it has is not shown, or still is");
}

#[tokio::test]
async fn what_has_been_begun_is_finished_before_much_more_is() {
    const BROKERS: usize = 64;
    let brokers: Vec<_> = (0..BROKERS).map(|ordinal| broker_called(&ordinal.to_string(), ordinal)).collect();
    // As many as they may have on the wire.
    let all: usize = brokers.iter().map(|broker| broker.concurrency()).sum();
    let places = Arc::new(Semaphore::new(all));
    let (begun, unfinished_most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let known = Arc::new(Known { places: places.clone(), begun, unfinished_most });
    let feed = async |feed: Feed| {
        for (seq, broker) in (0..all as u64).zip(brokers.iter().cycle()) {
            let delivery = testing::delivery(&format!("L{seq}"), seq);
            feed.send(Delivery { broker: broker.clone(), ..delivery }, seq);
        }
    };
    serve_all(known.clone(), &brokers, places, feed).await;
    let (begun, most) = (known.begun.load(Ordering::Relaxed), known.unfinished_most.load(Ordering::Relaxed));
    assert_eq!(begun, all);
    assert!(most <= 4 * TOGETHER_MAX, "{most} of {all} had begun and not finished");
}
