//! A subscription that was committed before an event was produced is seen, always, while the table changes all the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tests::{now, pause};

use crate::world::{Size, Verdict, World, memory, number, tell};

#[test]
fn every_event_reaches_exactly_those_who_were_subscribed_when_it_was_produced() {
    let all = Size { brokers: 40, loads: 2_000, subscriptions: 6_000, events: 4_000 }.or_given();
    let Some(mut world) = World::new(all, false) else { return };
    let run = world.start();
    let began = now();
    // With the defaults some hundred changes a second: each of them is followed by an event of its load at once.
    let pause = Duration::from_millis(number("PAUSE_MS", 20) as u64);
    world.flow(number("BATCH", 50), number("CHANGES", 10), pause, |_| {});
    world.wait();
    let (took, memory) = (began.elapsed(), memory(&run));
    let (verdict, right) = world.end(run);
    tell(&format!("{all:?}: {right} deliveries by subscription in {took:?}, at most {memory} of memory"));
    assert_eq!(verdict, Verdict::default());
    assert!(right > all.events, "there was something to deliver: {right}");
}

/// Both are told, none is judged: a machine may be busy. That they deliver the same is judged.
#[test]
fn the_database_gives_each_event_to_those_to_whom_the_config_gives_it() {
    let size = Size { brokers: 20, loads: 500, subscriptions: 1_500, events: 1_000 }.or_given();
    for turn in 0..number("TURNS", 1) {
        let mut rates = Vec::new();
        for make in [|size| World::new(size, false), World::by_config] {
            let Some(mut world) = make(size) else { return };
            world.produce_all();
            let run = world.start();
            world.wait();
            let memory = memory(&run);
            let (verdict, right) = world.end(run);
            assert_eq!(verdict, Verdict::default());
            rates.push(((size.events + right) as f64 / world.took().as_secs_f64(), right, memory));
        }
        let [(database, right, of_database), (config, as_many, of_config)] = &rates[..] else {
            unreachable!()
        };
        assert_eq!(right, as_many);
        tell(&format!(
            "{size:?}, turn {turn}: {database:.0} deliveries a second by the database with at most {of_database}, {config:.0} by \
             the config with {of_config}: {:.2}",
            database / config
        ));
    }
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
