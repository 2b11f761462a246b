//! A shard with one broker, over a real ledger: what comes together, and what it shows of itself.

use std::{num::NonZeroU32, time::Duration};

use stages::models::Step;
use state::{CommitOptions, Durability, Ledger, Position, SpillUsage, Store, StoreOptions};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    line::{
        account::Account,
        testing,
        ticket::{Share, Tickets},
    },
    stop::stop,
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

/// What gives the shard its arrivals.
struct Feed {
    inbox: mpsc::Sender<Arrival>,
    tickets: Tickets,
    places: Arc<Semaphore>,
}

impl Feed {
    fn give(&self, seq: u64) {
        let at = Position::new("test".into(), 0, seq);
        let arrival = Arrival {
            delivery: testing::delivery(&format!("L{seq}"), seq),
            share: self.share(at, seq),
            permit: self.places.clone().try_acquire_owned().unwrap().into(),
        };
        self.inbox.try_send(arrival).unwrap();
    }

    fn share(&self, at: Position, seq: u64) -> Share {
        self.tickets.issue(at, testing::after(seq), false).split(NonZeroU32::MIN).remove(0)
    }
}

/// Runs a shard whose broker takes what it gets after `time`, until `feed` is done and all of it is settled.
async fn serve(time: Duration, feed: impl AsyncFnOnce(Feed, &Broker)) -> Arc<Broker> {
    let dir = tempfile::tempdir().unwrap();
    let (durability, clock) = (Durability::Process, Clock::System);
    let options = StoreOptions { durability, dedupe_window: 3_600_000, cache: 8 << 20, clock: clock.clone() };
    let commits = CommitOptions { commit_max: 64, linger: Duration::from_millis(1), inbox_max: 1_000 };
    let (ledger, _thread) = Ledger::start(Store::open(dir.path(), options).unwrap(), commits).unwrap();
    let limits = Limits { in_flight_max: 64, per_broker_max: WAITING_MAX, ..testing::limits() };
    let tickets = testing::tickets();
    let shared = Arc::new(Shared::new(&limits, 64, tickets.clone()));
    let broker = testing::broker();
    let slot = Slot::new(broker.clone(), Account::new(shared.clone(), &limits, SpillUsage::default(), 0));
    let shard = Shard::new(Arc::new(Takes(time)), Ack::new(&ledger, clock), limits, shared, vec![slot]);
    let (inbox, arrivals) = mpsc::channel(64);
    let (_commands, commands) = mpsc::channel(1);
    let (_stopper, stop) = stop();
    let feed = feed(Feed { inbox, tickets, places: Arc::new(Semaphore::new(64)) }, &broker);
    let (ran, ()) = tokio::join!(shard.run(arrivals, commands, stop), feed);
    ran.unwrap();
    broker
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
