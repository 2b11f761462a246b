//! One broker fails, and the event is started over for all: those who took it get it again.

use crate::{
    drive::{Scheme, Trouble, drive},
    log::{Log, Record},
    verdict::Verdict,
    world::{Answer, Fault, World},
};

#[derive(Default)]
struct RetryFromTheTop;

impl Scheme for RetryFromTheTop {
    async fn consume(&self, world: &World, record: Record) {
        let key = record.event.to_string();
        if world.marked(&key).await {
            return;
        }
        'event: loop {
            for delivery in record.deliveries() {
                if world.post(delivery).await != Answer::Taken {
                    world.sleep(100).await;
                    continue 'event;
                }
            }
            break;
        }
        world.mark(&key).await;
    }
}

#[test]
fn retrying_from_the_top_looks_right_while_no_broker_fails() {
    let log = Log::of(6, 2).with_producer_retry();
    let again = Trouble { rewind_at_ms: Some(60_000), ..Trouble::default() };
    for trouble in [Trouble::default(), again] {
        Verdict::on(&drive::<RetryFromTheTop>(&log, &trouble)).looks_right();
    }
}

#[test]
fn retrying_from_the_top_doubles_the_event_at_those_who_took_it() {
    let fails = Trouble { faults: vec![(1, 3, Fault::Refuses)], ..Trouble::default() };
    Verdict::on(&drive::<RetryFromTheTop>(&Log::of(6, 2), &fails)).doubled(&[(0, 3)]);
}
