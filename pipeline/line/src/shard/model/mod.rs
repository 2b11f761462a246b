//! The core of a shard under a model of everything around it: source, memory, wire, ledger, disk and time are under the
//! test's command, and whatever happens in whatever order, the rules hold at each step.
//!
//! The rules: deliveries of a load start in log order, one at a time; whatever was settled is done or on disk; what the
//! next run would find on disk, if the process ended now, comes before what it would read again; nothing of a partition that
//! is leaving, or lost, is started, and where its state follows it nothing of it stays on disk; and once it calms down every release comes to its end, and everything is delivered, also
//! while some loads are refused for ever.

mod moves;
mod outside;
mod part;
mod world;

use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use self::world::World;
use super::spill_batch::cost;
use crate::{
    limits::Limits,
    testing::{item, limits},
};

const BROKERS: usize = 2;
const LOADS: usize = 3;
const PARTITIONS: usize = 2;

/// Something that happens.
#[derive(Clone, Debug)]
enum Do {
    /// The source has one more for this broker, of this load.
    Arrive(usize, usize),
    /// A dead letter of this broker and load is sent again.
    Replay(usize, usize),
    /// An attempt of this broker ends.
    End(usize, usize, How),
    /// The ledger writes one thing.
    Commit,
    /// The core hears of something.
    Hear(usize),
    /// A read of this broker gets on: it has its permits, or passes so many numbers.
    Read(usize, u64),
    /// So many milliseconds pass.
    Pass(u64),
    /// A partition is handed over to the brokers that keep up, before it is released.
    HandOver(usize),
    /// A partition is released.
    Release(usize),
    /// A partition that was released comes again.
    Come(usize),
    /// A partition is lost.
    Lose(usize),
    /// The line is stopped in good order and started again.
    Restart,
    /// The process ends without notice, and another one starts.
    Crash,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Accept,
    Fail,
    /// It was cut off before anything was sent.
    Cut,
    /// The receiver asks for a pause.
    Throttle,
    /// It comes back before any attempt: no permit was given before the broker was held.
    Untried,
    /// The ledger says that it waits on disk, if it has come there since the attempt began.
    FoundSpilled,
}

fn doings() -> impl Strategy<Value = Vec<Do>> {
    let how = prop_oneof![
        4 => Just(How::Accept),
        3 => Just(How::Fail),
        1 => Just(How::Cut),
        1 => Just(How::Throttle),
        1 => Just(How::Untried),
        1 => Just(How::FoundSpilled),
    ];
    let one = prop_oneof![
        10 => (0..BROKERS, 0..LOADS).prop_map(|(broker, load)| Do::Arrive(broker, load)),
        4 => (0..BROKERS, 0..LOADS).prop_map(|(broker, load)| Do::Replay(broker, load)),
        16 => (0..BROKERS, 0..4usize, how).prop_map(|(broker, which, how)| Do::End(broker, which, how)),
        16 => Just(Do::Commit),
        20 => (0..4usize).prop_map(Do::Hear),
        10 => (0..BROKERS, 1..6u64).prop_map(|(broker, numbers)| Do::Read(broker, numbers)),
        6 => (1..60u64).prop_map(Do::Pass),
        2 => (0..PARTITIONS).prop_map(Do::HandOver),
        2 => (0..PARTITIONS).prop_map(Do::Release),
        3 => (0..PARTITIONS).prop_map(Do::Come),
        1 => (0..PARTITIONS).prop_map(Do::Lose),
        1 => Just(Do::Restart),
        1 => Just(Do::Crash),
    ];
    prop::collection::vec(one, 0..250)
}

proptest! {
    #[test]
    fn whatever_happens_everything_is_delivered_in_order_once_it_calms_down(
        (doings, bad) in (doings(), 0..LOADS),
        (room, total, memory, queue) in (0..6u64, 0..8u64, 2..8usize, 1..5usize),
        (spill_after, hold_min, letters, follows) in (0..20u64, 0..20u64, any::<bool>(), any::<bool>()),
    ) {
        // Loads that are refused for ever must have room to wait: with none on disk they fill memory, as a broker does that
        // is down, and nothing tells one from the other.
        let (room, total) = if bad == 0 { (room, total) } else { (1_000, 2_000) };
        let cost = cost(&item("L0", 0));
        let limits = Limits {
            in_flight_max: memory,
            memory_max: 1 << 30,
            per_broker_max: queue,
            spill_broker_max: room * cost,
            spill_total_max: total * cost,
            spill_after: Duration::from_millis(spill_after),
            hold_min: Duration::from_millis(hold_min),
            hand_over: Duration::from_millis(spill_after),
            ..limits()
        };
        let mut world = World::new(limits, letters);
        world.follows = follows;
        for what in &doings {
            world.act(what);
            prop_assert_eq!(&world.problem, &None, "at {:?}", what);
            let rule = world.could_end_now();
            prop_assert!(rule.is_ok(), "at {:?}: {:?}", what, rule);
        }
        // What is good is delivered while the first loads are refused again and again, and these once they are not.
        world.calm_down(bad);
        prop_assert!(!world.moves(), "a release does not come to its end: {:#?}", world.core);
        let left: Vec<_> = world.left().collect();
        let starved = left.iter().any(|(_, load, _)| (bad..LOADS).any(|good| **load == *format!("L{good}")));
        prop_assert!(!starved, "left: {:?} of {:#?}", left, world.core);
        world.calm_down(0);
        prop_assert_eq!(&world.problem, &None);
        prop_assert_eq!(world.left().count(), 0, "left: {:#?} {:#?}", world.left().collect::<Vec<_>>(), world.core);
        prop_assert!(world.core.is_idle() && world.sides.iter().all(|side| side.disk.is_empty()));
        prop_assert_eq!(world.permits.taken(), 0, "memory is not given back");
    }
}
