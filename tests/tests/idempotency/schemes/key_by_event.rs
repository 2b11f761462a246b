//! The key is the event alone: who is served first takes it away from the others.

use crate::{
    drive::{Scheme, Trouble, drive},
    log::{Log, Record},
    verdict::Verdict,
    world::World,
};

#[derive(Default)]
struct KeyByEvent;

impl Scheme for KeyByEvent {
    async fn consume(&self, world: &World, record: Record) {
        for delivery in record.deliveries() {
            let key = delivery.event.to_string();
            if world.marked(&key).await {
                continue;
            }
            world.post_until_taken(delivery).await;
            world.mark(&key).await;
        }
    }
}

#[test]
fn a_key_by_event_looks_right_while_every_event_is_for_one_broker() {
    let log = Log::of(6, 1).with_producer_retry();
    let again = Trouble { rewind_at_ms: Some(60_000), ..Trouble::default() };
    for trouble in [Trouble::default(), again] {
        Verdict::on(&drive::<KeyByEvent>(&log, &trouble)).looks_right();
    }
}

#[test]
fn a_key_by_event_loses_it_for_the_second_broker() {
    Verdict::on(&drive::<KeyByEvent>(&Log::of(2, 2), &Trouble::default())).lost(&[(1, 0), (1, 1)]);
}
