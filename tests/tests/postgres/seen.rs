//! A subscription that was committed before an event was produced is seen, always, while the table changes all the time.

use std::{
    env,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tests::{now, pause};

use crate::world::{Size, Verdict, World};

/// A size from the environment, or this one.
fn size(name: &str, default: usize) -> usize {
    let given = env::var(format!("LOADLINE_TEST_POSTGRES_{name}")).ok();
    given.map_or(default, |given| given.parse().expect("a number"))
}

#[test]
fn every_event_reaches_exactly_those_who_were_subscribed_when_it_was_produced() {
    let all = Size {
        brokers: size("BROKERS", 40),
        loads: size("LOADS", 2_000),
        subscriptions: size("SUBSCRIPTIONS", 6_000),
        events: size("EVENTS", 4_000),
    };
    let Some(mut world) = World::new(all, false) else { return };
    let run = world.start();
    let began = now();
    // With the defaults some hundred changes a second: each of them is followed by an event of its load at once.
    world.flow(
        size("BATCH", 50),
        size("CHANGES", 10),
        Duration::from_millis(size("PAUSE_MS", 20) as u64),
        |_| {},
    );
    world.wait();
    let took = began.elapsed();
    let memory = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap_or_default();
    let memory = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
    let (verdict, right) = world.end(run);
    // Past the test harness, which keeps what macros print to itself.
    let told = format!("{all:?}: {right} deliveries by subscription in {took:?}, {memory}\n");
    io::stderr().write_all(told.as_bytes()).unwrap();
    assert_eq!(verdict, Verdict::default());
    assert!(right > all.events, "there was something to deliver: {right}");
}

/// The mutant: its look-ups are answered from a copy of the table that is half a second old at most.
#[test]
fn a_copy_of_the_table_that_is_half_a_second_old_is_found_out() {
    let size = Size { brokers: 20, loads: 200, subscriptions: 600, events: 1_500 };
    let Some(mut world) = World::new(size, false) else { return };
    world.server.execute(
        "create materialized view copy as select * from broker_subscriptions; create index on copy (load_id);",
    );
    let query = "select id, load_id, broker_id, statuses from copy where load_id = any($1) and active";
    world.site.set("subscriptions.lookup_query", query);
    let run = world.start();
    let client = world.server.client();
    let ended = Arc::new(AtomicBool::new(false));
    let ends = ended.clone();
    let refreshing = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        while !ends.load(Ordering::Relaxed) {
            runtime.block_on(client.batch_execute("refresh materialized view copy")).unwrap();
            pause(Duration::from_millis(500));
        }
    });
    world.flow(20, 10, Duration::from_millis(20), |_| {});
    let (verdict, _) = world.end(run);
    ended.store(true, Ordering::Relaxed);
    refreshing.join().unwrap();
    assert!(verdict.missing > 0 && verdict.wrong > 0, "the oracle must see it: {verdict:?}");
}
