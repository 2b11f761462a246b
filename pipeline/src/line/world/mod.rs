//! Two slots that share memory and disk, driven as a shard drives them, with everything that takes time under the
//! test's command: whatever happens in whatever order, once it calms down everything has been delivered.
//!
//! What a shard does is repeated in `inside`, because its own code needs a ledger thread and real time; whoever changes
//! `Shard` changes it there too.

mod inside;
mod outside;

use std::time::Duration;

use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use self::inside::World;
use super::{
    limits::Limits,
    slot::Slot,
    testing::{item, limits},
    write::cost,
};

const BROKERS: usize = 2;
const LOADS: usize = 3;

/// Something that happens.
#[derive(Clone, Debug)]
enum Do {
    /// The source has one more for this broker, of this load.
    Arrive(usize, usize),
    /// A dead letter of this broker and load is sent again.
    Replay(usize, usize),
    /// An attempt of this broker ends: accepted, failed, cut off before it was sent, or asked to pause.
    End(usize, usize, How),
    /// The ledger thread writes one thing.
    Commit,
    /// The shard hears of something.
    Hear(usize),
    /// A read of this broker gets on: it has its places, or passes so many numbers.
    Read(usize, u64),
    /// So many milliseconds pass.
    Pass(u64),
    /// Intake is held and the shard looks around.
    LookAround,
    /// The line is stopped in good order and started again.
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Accept,
    Fail,
    Cut,
    Throttle,
}

fn doings() -> impl Strategy<Value = Vec<Do>> {
    let how = prop_oneof![4 => Just(How::Accept), 3 => Just(How::Fail), 1 => Just(How::Cut), 1 => Just(How::Throttle)];
    let one = prop_oneof![
        5 => (0..BROKERS, 0..LOADS).prop_map(|(broker, load)| Do::Arrive(broker, load)),
        2 => (0..BROKERS, 0..LOADS).prop_map(|(broker, load)| Do::Replay(broker, load)),
        8 => (0..BROKERS, 0..4usize, how).prop_map(|(broker, which, how)| Do::End(broker, which, how)),
        8 => Just(Do::Commit),
        8 => (0..4usize).prop_map(Do::Hear),
        5 => (0..BROKERS, 1..6u64).prop_map(|(broker, numbers)| Do::Read(broker, numbers)),
        3 => (1..30u64).prop_map(Do::Pass),
        1 => Just(Do::LookAround),
        1 => Just(Do::Restart),
    ];
    prop::collection::vec(one, 0..200)
}

fn run<T>(world: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(world)
}

proptest! {
    #[test]
    fn whatever_happens_everything_is_delivered_in_order_once_it_calms_down(
        (doings, bad) in (doings(), 0..LOADS),
        (room, total, memory, queue) in (0..6u64, 0..8u64, 2..8usize, 1..5usize),
        (spill_after, hold_min) in (0..20u64, 0..20u64),
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
            ..limits()
        };
        run(async move {
            let mut world = World::new(limits);
            for what in &doings {
                world.act(what).await;
                prop_assert_eq!(&world.problem, &None, "at {:?}", what);
                let rule = world.could_end_now();
                prop_assert!(rule.is_ok(), "at {:?}: {:?}", what, rule);
            }
            // What is good is delivered while the first loads are refused again and again, and these once they are not.
            world.calm_down(bad).await;
            let left: Vec<_> = world.log.iter().filter(|name| !world.done.contains(*name)).collect();
            let starved = left.iter().any(|(_, load, _)| (bad..LOADS).any(|good| **load == *format!("L{good}")));
            prop_assert!(!starved, "left: {:?} of {:#?}", left, world.sides.iter().map(|side| &side.slot).collect::<Vec<_>>());
            world.calm_down(0).await;
            prop_assert_eq!(&world.problem, &None);
            let slots: Vec<&Slot> = world.sides.iter().map(|side| &side.slot).collect();
            prop_assert_eq!(world.done.len(), world.log.len(), "left: {:#?} {:#?}", slots, world.shared);
            prop_assert!(world.sides.iter().all(|side| side.slot.is_idle() && side.disk.is_empty()));
            Ok(())
        })?;
    }
}
