//! What the tests of state topics begin with.

use std::sync::Arc;

use bytes::Bytes;
use state::{BodyDigest, Event, LedgerEntry, Outcome, Position, SpilledDelivery, UnixMillis};

use super::{options::FollowOptions, record::Said};
use crate::{name_of, options::Reading, testing::SECOND};

/// An entry of the ledger.
pub(crate) fn entry(outcome: Outcome, at: UnixMillis) -> LedgerEntry {
    LedgerEntry { outcome, digest: BodyDigest::of(b"body"), failed_attempts: 0, at }
}

/// The outcome of an event at broker `b`.
pub(crate) fn outcome(event_id: &str, outcome: Outcome) -> Said {
    Said::Outcome { broker: "b".into(), event_id: event_id.into(), entry: entry(outcome, 1) }
}

/// A delivery of the event at `offset` of partition 0 of topic `t`.
pub(crate) fn waiting(broker: &str, load: &str, offset: u64, body: &[u8]) -> SpilledDelivery {
    let event = Event {
        position: Position::new(name_of("t", 0), 0, offset),
        event_id: Arc::from(format!("e{offset}")),
        load_id: Arc::from(load),
        status: Arc::from("posted"),
        occurred_at: 5,
        sequence: None,
        traceparent: None,
        read_at: 6,
        body: Bytes::copy_from_slice(body),
        digest: BodyDigest::of(body),
    };
    let broker = Arc::from(broker);
    SpilledDelivery { not_before: 7, ..SpilledDelivery::untried(broker, 0, event) }
}

/// The state topics `t-ledger` and `t-waiting` of the topic `t`.
pub(crate) fn options() -> FollowOptions {
    let cluster = crate::testing::options(Reading::Partitions(Vec::new())).cluster;
    FollowOptions {
        cluster,
        group: "g".to_owned(),
        source_topic: "t".to_owned(),
        ledger_topic: "t-ledger".to_owned(),
        waiting_topic: "t-waiting".to_owned(),
        control_topic: "t-control".to_owned(),
        create: true,
        replication: 3,
        min_isr: 2,
        dedupe_window: 7 * 24 * 3_600 * SECOND,
        record_max: 1 << 20,
        member: Arc::from("one"),
        seed: 1,
    }
}
