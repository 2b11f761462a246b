//! Arrivals that come together are treated as if they had come one after the other.

use std::{num::NonZeroU32, time::Duration};

use stages::models::Step;
use state::{CommitOptions, Durability, Ledger, Position, SpillUsage, Store, StoreOptions};
use tokio::{sync::Semaphore, time::sleep};

use super::*;
use crate::{
    line::{account::Account, testing},
    stop::stop,
};

/// More than may wait for the broker if it lags, less than come together.
const WAITING_MAX: usize = 9;
const BURST: u64 = 20;

/// Takes everything, at once as far as a broker can tell.
struct Takes;

impl Stage for Takes {
    type In = Delivery;
    type Out = Receipt;

    async fn run(&self, _delivery: Delivery) -> Step<Receipt> {
        sleep(Duration::from_millis(2)).await;
        Ok(Receipt { failed_attempts: 0, status: 200, at: 0 })
    }
}

fn arrival(seq: u64, tickets: &crate::line::ticket::Tickets, places: &Arc<Semaphore>) -> Arrival {
    let at = Position::new("test".into(), 0, seq);
    Arrival {
        delivery: testing::delivery(&format!("L{seq}"), seq),
        share: tickets.issue(at, testing::after(seq), false).split(NonZeroU32::MIN).remove(0),
        permit: places.clone().try_acquire_owned().unwrap(),
    }
}

#[tokio::test]
async fn a_burst_for_a_broker_that_had_nothing_to_do_stays_in_memory() {
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
    let shard = Shard::new(Arc::new(Takes), Ack::new(&ledger, clock), limits, shared, vec![slot]);
    let places = Arc::new(Semaphore::new(64));
    let (inbox, arrivals) = mpsc::channel(64);
    let (_commands, commands) = mpsc::channel(1);
    let (_stopper, stop) = stop();
    let feed = async {
        // Long enough that its pace is not known any more.
        sleep(Duration::from_millis(150)).await;
        for seq in 0..BURST {
            inbox.try_send(arrival(seq, &tickets, &places)).unwrap();
        }
        drop(inbox);
    };
    let (ran, ()) = tokio::join!(shard.run(arrivals, commands, stop), feed);
    ran.unwrap();
    assert_eq!(broker.tally.spilled.get(), 0);
}
