//! The key is the place in the log: an event that stands in the log twice has two keys.

use crate::{
    drive::{Scheme, Trouble, drive},
    log::{Log, Record},
    verdict::Verdict,
    world::World,
};

#[derive(Default)]
struct KeyByOffset;

impl Scheme for KeyByOffset {
    async fn consume(&self, world: &World, record: Record) {
        for delivery in record.deliveries() {
            let key = format!("{}/{}", delivery.broker, delivery.offset);
            if world.marked(&key).await {
                continue;
            }
            world.post_until_taken(delivery).await;
            world.mark(&key).await;
        }
    }
}

#[test]
fn a_key_by_offset_looks_right_even_when_everything_is_read_again() {
    let again = Trouble { rewind_at_ms: Some(60_000), ..Trouble::default() };
    for trouble in [Trouble::default(), again] {
        Verdict::on(&drive::<KeyByOffset>(&Log::of(6, 2), &trouble)).looks_right();
    }
}

#[test]
fn a_key_by_offset_doubles_what_its_producer_sent_twice() {
    let log = Log::of(6, 2).with_producer_retry();
    Verdict::on(&drive::<KeyByOffset>(&log, &Trouble::default())).doubled(&[(0, 5), (1, 5)]);
}
