//! The marks are in a store on disk, and nobody waits for its flush: a crash takes back what was marked.

use crate::{
    drive::{Scheme, Trouble, drive},
    log::{Log, Record},
    verdict::Verdict,
    world::World,
};

#[derive(Default)]
struct StoreNotFlushed;

impl Scheme for StoreNotFlushed {
    async fn consume(&self, world: &World, record: Record) {
        for delivery in record.deliveries() {
            let key = format!("{}/{}", delivery.broker, delivery.event);
            if world.marked(&key).await {
                continue;
            }
            world.post_until_taken(delivery).await;
            world.mark_without_flush(&key).await;
        }
    }
}

#[test]
fn a_store_without_flush_looks_right_even_after_a_clean_restart() {
    let log = Log::of(6, 2).with_producer_retry();
    // it is stopped cleanly before everything is read again
    let again = Trouble { rewind_at_ms: Some(60_000), ..Trouble::default() };
    for trouble in [Trouble::default(), again] {
        Verdict::on(&drive::<StoreNotFlushed>(&log, &trouble)).looks_right();
    }
}

#[test]
fn a_store_without_flush_doubles_what_was_marked_before_a_crash() {
    // 6 steps a record, and no commit before the fourth: it dies when the third record is done
    let killed = Trouble { kill_after: Some(18), ..Trouble::default() };
    Verdict::on(&drive::<StoreNotFlushed>(&Log::of(6, 2), &killed)).doubled(&[(0, 0), (1, 0)]);
}
