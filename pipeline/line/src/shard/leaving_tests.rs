//! Partitions that are taken away while their deliveries arrive.

use std::sync::Arc;

use futures::FutureExt;
use state::SpillUsage;
use tokio::time::Instant;

use super::*;
use crate::{
    in_flight_permits::InFlightPermits,
    limits::Limits,
    shard::{
        broker_queue::BrokerQueue,
        spill_index::SpillIndex,
        step::{Arrival, Input},
    },
    testing::{at, broker, delivery_of, limits, share_of, tickets},
};

#[tokio::test]
async fn what_arrives_with_a_place_passes_nothing_that_was_abandoned_before_the_shard_knew_that_its_partition_leaves()
 {
    // No room on disk for any.
    let (limits, now, tickets) = (Limits { spill_broker_max: 0, ..limits() }, Instant::now(), tickets());
    let index = SpillIndex::new(Arc::default(), &limits, SpillUsage::default(), 0);
    let queue = BrokerQueue::new(broker(), index, now);
    let (permits, served) = (InFlightPermits::new(8, 1 << 20), queue.broker.clone());
    let mut core = Core::new(Arc::default(), vec![queue], now);
    let shares = [0, 1].map(|number| share_of(&tickets, number));
    tickets.retire();
    tickets.begin_to_leave();
    let places = [permits.leaving().await.unwrap(), permits.arrival().now_or_never().unwrap().unwrap()];
    let (at, mut effects) = (at(&limits, 1, now), Vec::new());
    for ((share, permit), number) in shares.into_iter().zip(places).zip(0..) {
        let mut delivery = delivery_of("test", "a", number);
        delivery.broker = served.clone();
        core.step(Input::Arrived(Arrival { delivery, share, permit }), at, &mut effects);
        core.advance_dirty(at, &mut effects);
    }
    let abandoned = |effect: &Effect| match effect {
        Effect::Abandon(items) => items.len(),
        _ => 0,
    };
    assert_eq!(effects.iter().map(abandoned).sum::<usize>(), 2, "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Start { .. })), "{effects:?}");
}
