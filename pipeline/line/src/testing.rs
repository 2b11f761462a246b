//! What the line's unit tests share: deliveries, items and places made by hand.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use stages::{
    BreakerPolicy, Broker, Egress, Endpoint, Health, Quota, RetryBudgetPolicy, Signer, SigningKey,
    Subscription, Terms, WhenFull, models::Delivery,
};
use state::{BodyDigest, Event, History, Position, SpillSeq, SpilledDelivery};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Limits,
    shard::{At, Backing, Item, Pressure},
    ticket::{Share, Tickets},
};
use crate::source::Cursor;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Bounds that no test comes near.
pub(crate) fn limits() -> Limits {
    Limits {
        in_flight_max: 3,
        memory_max: 1 << 30,
        per_broker_max: 3,
        spill_broker_max: 1 << 30,
        spill_total_max: 1 << 30,
        full_letters_max: 1 << 30,
        spill_after: Duration::from_secs(1),
        hold_min: Duration::from_secs(1),
        drain: Duration::from_secs(1),
        grace: Duration::from_secs(1),
        hand_over: Duration::from_secs(1),
        shards: 1,
    }
}

/// Broker `acme`, the only one.
pub(crate) fn broker() -> Arc<Broker> {
    broker_called("acme", 0)
}

/// A broker of this name.
pub(crate) fn broker_called(name: &str, ordinal: usize) -> Arc<Broker> {
    let signer = Signer::new(vec![SigningKey::parse(SECRET).unwrap()]).unwrap();
    let (url, headers) = ("https://tms.example.com/", http::HeaderMap::new());
    let endpoint = Endpoint::new(url, &headers, signer, Duration::from_secs(5), &Egress::default());
    let terms = Terms {
        subscription: Subscription::default(),
        endpoint: endpoint.unwrap(),
        quota: Arc::new(Quota::new(1e6, NonZeroU32::MIN).unwrap()),
        concurrency: 8,
        when_full: WhenFull::Hold,
    };
    let health = Health::new(BreakerPolicy::default(), RetryBudgetPolicy::default());
    Arc::new(Broker::new(name, ordinal, 0, terms, health))
}

/// A delivery of `load` that has just arrived.
pub(crate) fn delivery(load: &str, seq: SpillSeq) -> Delivery {
    delivery_of("test", load, seq)
}

/// The same of a partition.
pub(crate) fn delivery_of(partition: &str, load: &str, seq: SpillSeq) -> Delivery {
    let body = Bytes::from_static(b"{}");
    let event = Event {
        position: Position::new(partition.into(), 0, seq),
        event_id: "e".into(),
        load_id: load.into(),
        status: "posted".into(),
        occurred_at: 0,
        sequence: None,
        traceparent: None,
        read_at: 0,
        digest: BodyDigest::of(&body),
        body,
    };
    let (broker, history) = ("acme".into(), History::default());
    let spilled = SpilledDelivery { history, ..SpilledDelivery::untried(broker, seq, event) };
    let mut delivery = Delivery::from_spill(spilled, self::broker(), false);
    // As if it had never been on disk.
    delivery.on_disk = false;
    delivery
}

/// Tickets for more records than any test has.
pub(crate) fn tickets() -> Tickets {
    Tickets::new(1_000_000)
}

/// A place just behind record `at`.
pub(crate) fn after(at: u64) -> Cursor {
    Cursor { epoch: 0, offset: at + 1, mark: Arc::from([]) }
}

/// The only share of a record that nobody waits for.
fn share() -> Share {
    let tickets = tickets();
    tickets.stopping();
    share_of(&tickets, 0)
}

/// The only share of record `at`.
pub(crate) fn share_of(tickets: &Tickets, at: u64) -> Share {
    let place = Position::new("test".into(), 0, at);
    tickets.issue(place, after(at), false).unwrap().split(NonZeroU32::MIN).remove(0)
}

/// What a core may ask, answered by the broker itself; nothing presses.
pub(crate) struct Alone;

impl Pressure for Alone {
    fn is_pressed(&self) -> bool {
        false
    }

    fn is_contended(&self) -> bool {
        false
    }

    fn full_letters_room(&self) -> u64 {
        u64::MAX
    }
}

/// The same where somebody waits for what is in memory.
pub(crate) struct Contended;

impl Pressure for Contended {
    fn is_pressed(&self) -> bool {
        false
    }

    fn is_contended(&self) -> bool {
        true
    }

    fn full_letters_room(&self) -> u64 {
        u64::MAX
    }
}

/// What is written to disk is dated with this.
pub(crate) const LIVED: u64 = 1_000_000;

/// `now`, among so many brokers.
pub(crate) fn at(limits: &Limits, brokers: usize, now: Instant) -> At<'_> {
    At { now, lived: LIVED, limits, brokers, around: &Alone }
}

/// A live delivery of `load` with a place in memory.
pub(crate) fn item(load: &str, seq: SpillSeq) -> Item {
    item_of("test", load, seq)
}

/// The same of a partition.
pub(crate) fn item_of(partition: &str, load: &str, seq: SpillSeq) -> Item {
    Item {
        delivery: delivery_of(partition, load, seq),
        backing: Backing::Source(share()),
        permit: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap().into(),
        since: Instant::now(),
        not_before: None,
        recording: false,
        rewrite: false,
        by_number: false,
    }
}
