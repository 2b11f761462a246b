//! Ask, send, mark, with no claim: two consumers ask before either has marked.

use crate::{
    drive::{Scheme, Trouble, drive, steps},
    log::{Log, Record},
    verdict::Verdict,
    world::World,
};

#[derive(Default)]
struct MarkAfterSend;

impl Scheme for MarkAfterSend {
    async fn consume(&self, world: &World, record: Record) {
        for delivery in record.deliveries() {
            let key = format!("{}/{}", delivery.broker, delivery.event);
            if world.marked(&key).await {
                continue;
            }
            world.post_until_taken(delivery).await;
            world.mark(&key).await;
        }
    }
}

#[test]
fn marking_after_sending_looks_right_even_when_killed_anywhere() {
    let log = Log::of(6, 2).with_producer_retry();
    Verdict::on(&drive::<MarkAfterSend>(&log, &Trouble::default())).looks_right();
    for step in 1..=steps::<MarkAfterSend>(&log, &Trouble::default()) {
        let killed = Trouble { kill_after: Some(step), ..Trouble::default() };
        let repeats = Verdict::on(&drive::<MarkAfterSend>(&log, &killed)).accepted();
        assert!(repeats <= 1, "killed after step {step}: {repeats} repeats");
    }
}

#[test]
fn marking_after_sending_doubles_what_two_consumers_hold_at_once() {
    // nothing is committed yet, and neither has marked the event when the other asks
    let rebalance = Trouble { rebalance_after: Some(1), ..Trouble::default() };
    Verdict::on(&drive::<MarkAfterSend>(&Log::of(6, 2), &rebalance)).doubled(&[(0, 0), (1, 0)]);
}
