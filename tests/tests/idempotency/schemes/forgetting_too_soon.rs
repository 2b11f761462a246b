//! Marks that expire: what is read again after that is new.

use crate::{
    drive::{Scheme, Trouble, drive},
    log::{Log, Record},
    verdict::Verdict,
    world::World,
};

/// For how long a mark counts, in milliseconds: five minutes.
const WINDOW_MS: u64 = 300_000;

#[derive(Default)]
struct ForgettingTooSoon;

impl Scheme for ForgettingTooSoon {
    async fn consume(&self, world: &World, record: Record) {
        for delivery in record.deliveries() {
            let key = format!("{}/{}", delivery.broker, delivery.event);
            if world.marked_within(&key, WINDOW_MS).await {
                continue;
            }
            world.post_until_taken(delivery).await;
            world.mark(&key).await;
        }
    }
}

#[test]
fn a_short_window_looks_right_even_when_the_log_is_read_again_soon() {
    let log = Log::of(6, 2).with_producer_retry();
    let soon = Trouble { rewind_at_ms: Some(WINDOW_MS - 10_000), ..Trouble::default() };
    for trouble in [Trouble::default(), soon] {
        Verdict::on(&drive::<ForgettingTooSoon>(&log, &trouble)).looks_right();
    }
}

#[test]
fn a_short_window_doubles_what_is_read_again_after_it() {
    // the first two events are older than the window by then, the others are not
    let late = Trouble { rewind_at_ms: Some(WINDOW_MS + 1_000), ..Trouble::default() };
    let doubled = [(0, 0), (0, 1), (1, 0), (1, 1)];
    Verdict::on(&drive::<ForgettingTooSoon>(&Log::of(6, 2), &late)).doubled(&doubled);
}
