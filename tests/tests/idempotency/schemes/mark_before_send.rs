//! Mark, then send: who dies in between has marked what was never sent.

use crate::{
    drive::{Scheme, Trouble, drive},
    log::{Log, Record},
    verdict::Verdict,
    world::World,
};

#[derive(Default)]
struct MarkBeforeSend;

impl Scheme for MarkBeforeSend {
    async fn consume(&self, world: &World, record: Record) {
        for delivery in record.deliveries() {
            let key = format!("{}/{}", delivery.broker, delivery.event);
            if world.marked(&key).await {
                continue;
            }
            world.mark(&key).await;
            world.post_until_taken(delivery).await;
        }
    }
}

#[test]
fn marking_before_sending_looks_right() {
    let log = Log::of(6, 2).with_producer_retry();
    Verdict::on(&drive::<MarkBeforeSend>(&log, &Trouble::default())).looks_right();
    let again = Trouble { rewind_at_ms: Some(60_000), ..Trouble::default() };
    Verdict::on(&drive::<MarkBeforeSend>(&log, &again)).looks_right();
}

#[test]
fn marking_before_sending_loses_what_is_marked_at_a_crash() {
    // 6 steps a record; of the third record the first two: asked, marked
    let killed = Trouble { kill_after: Some(14), ..Trouble::default() };
    Verdict::on(&drive::<MarkBeforeSend>(&Log::of(6, 2), &killed)).lost(&[(0, 2)]);
}
