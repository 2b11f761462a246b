//! The marks are a set in memory: a restart begins with an empty one, and with records it has seen.

use std::{cell::RefCell, collections::HashSet};

use crate::{
    drive::{Scheme, Trouble, drive},
    log::{Log, Record},
    verdict::Verdict,
    world::World,
};

#[derive(Default)]
struct InMemorySet {
    seen: RefCell<HashSet<(u16, u32)>>,
}

impl Scheme for InMemorySet {
    async fn consume(&self, world: &World, record: Record) {
        for delivery in record.deliveries() {
            if !self.seen.borrow_mut().insert((delivery.broker, delivery.event)) {
                continue;
            }
            world.post_until_taken(delivery).await;
        }
    }
}

#[test]
fn an_in_memory_set_looks_right_even_when_the_group_changes() {
    let log = Log::of(6, 2).with_producer_retry();
    let rebalance = Trouble { rebalance_after: Some(1), ..Trouble::default() };
    for trouble in [Trouble::default(), rebalance] {
        Verdict::on(&drive::<InMemorySet>(&log, &trouble)).looks_right();
    }
}

#[test]
fn an_in_memory_set_doubles_what_is_read_again_after_a_restart() {
    // two steps a record, and no commit before the fourth: it dies when the last of three is on the wire
    let killed = Trouble { kill_after: Some(6), ..Trouble::default() };
    Verdict::on(&drive::<InMemorySet>(&Log::of(6, 2), &killed)).doubled(&[(0, 0), (1, 0)]);
}
