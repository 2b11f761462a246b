//! The database goes away and comes back: routing waits for it, nothing is lost, nothing goes to the wrong broker, and what
//! waits already is sent meanwhile.

use std::time::Duration;

use lab::receiver::Behaviour;
use tests::{pause, until};

use crate::world::{Size, Verdict, World, memory, number, status, tell};

#[test]
fn a_server_that_is_killed_five_times_costs_no_event_and_sends_none_astray() {
    let size = Size { brokers: 20, loads: 500, subscriptions: 1_500, events: 4_000 }.or_given();
    let (batch, changes) = (number("BATCH", 40), number("CHANGES", 2));
    let Some(mut world) = World::new(size, false) else { return };
    let run = world.start();
    let every = size.events / (batch + changes) / 6;
    let (mut turn, mut kills) = (0, 0);
    world.flow(batch, changes, Duration::from_millis(number("PAUSE_MS", 20) as u64), |world| {
        turn += 1;
        if turn % every == 0 && kills < 5 {
            kills += 1;
            world.server.kill();
            // Some more while it is away.
            let loads: Vec<_> = (0..50).map(|load| load * kills).collect();
            world.produce(&loads);
            pause(Duration::from_millis(300));
            world.server.start_again();
        }
    });
    world.wait();
    let memory = memory(&run);
    let (verdict, right) = world.end(run);
    tell(&format!(
        "{size:?}, killed {kills} times: {right} deliveries by subscription, at most {memory} of memory"
    ));
    assert_eq!((kills, verdict), (5, Verdict::default()));
    assert!(right > size.events, "{right}");
}

#[test]
fn while_the_database_is_away_the_status_says_so_first_and_what_waits_is_sent() {
    let size = Size { brokers: 2, loads: 2, subscriptions: 2, events: 0 };
    let Some(mut world) = World::new(size, false) else { return };
    world.site.impatient();
    world.fleet.tms(1).refuse();
    let run = world.start();
    world.produce(&[0, 1, 0, 1]);
    world.wait();
    until("four wait", || status(&world.site).is_some_and(|status| status["spilled"] == 4));
    world.server.kill();
    world.produce(&[0, 0, 0]);
    until("the status says why", || {
        let status = status(&world.site).unwrap_or_default();
        let first = status["verdict"]["because"][0].as_str().unwrap_or_default().to_owned();
        first.starts_with("the database of subscriptions has not answered for")
            && first.contains("the intake is held and 3 events wait to be routed")
            && status["held"] == true
    });
    let told = world.site.loadline(&["status"]).stdout;
    assert!(told.starts_with("lagging because the database of subscriptions has not answered"), "{told}");
    world.fleet.tms(1).behave(Behaviour::default());
    world.fleet.tms(1).wait_for(4);
    assert_eq!(world.fleet.tms(0).taken(), 4, "nothing is routed without an answer");
    world.server.start_again();
    let (verdict, right) = world.end(run);
    assert_eq!((verdict, right), (Verdict::default(), 7));
}

#[test]
fn away_at_the_start_it_is_waited_for_or_ends_the_run_if_that_is_asked() {
    let size = Size { brokers: 2, loads: 2, subscriptions: 2, events: 0 };
    let Some(mut world) = World::new(size, false) else { return };
    world.server.kill();
    let ended = world.site.loadline(&["run", "--fail-fast"]).expect(1);
    assert!(ended.stderr.contains("the database of subscriptions: it cannot be reached"), "{ended:?}");
    world.produce(&[0, 1]);
    let run = world.start();
    until("two wait", || status(&world.site).is_some_and(|status| status["subscriptions"]["waiting"] == 2));
    world.server.start_again();
    let (verdict, right) = world.end(run);
    assert_eq!((verdict, right), (Verdict::default(), 2));
}

#[test]
fn with_last_known_an_outage_is_bridged_for_loads_that_are_known_and_each_load_keeps_its_order() {
    let size = Size { brokers: 4, loads: 40, subscriptions: 120, events: 0 };
    let Some(mut world) = World::new(size, false) else { return };
    world.site.set("subscriptions.on_outage", "last-known");
    let run = world.start();
    // All but the last load become known.
    world.produce(&(0..39).collect::<Vec<_>>());
    world.wait();
    world.server.kill();
    for _ in 0..5 {
        world.produce(&(0..39).collect::<Vec<_>>());
    }
    world.fleet.tms(0).wait_for(6 * 39);
    until("the status says so first", || {
        let first = status(&world.site).unwrap_or_default()["verdict"]["because"][0].clone();
        let first = first.as_str().unwrap_or_default();
        first.starts_with("the database of subscriptions has not answered for")
            && first.contains("events are routed by what was known last of their loads")
    });
    // One that is not known waits, and nothing goes past it, whatever is known of it.
    world.produce(&[0, 39, 0, 1, 39]);
    until("the status says that it waits", || {
        let status = status(&world.site).unwrap_or_default();
        status["subscriptions"]["waiting"].as_u64().is_some_and(|waiting| waiting > 0)
            && status["subscriptions"]["lastKnownEvents"].as_u64() > Some(190)
    });
    world.fleet.tms(0).wait_for(6 * 39 + 1);
    pause(Duration::from_millis(300));
    assert_eq!(world.fleet.tms(0).taken(), 6 * 39 + 1);
    world.server.start_again();
    let (verdict, _) = world.end(run);
    assert_eq!(verdict, Verdict::default());
}

#[test]
fn with_last_known_nothing_stale_is_used_while_the_server_answers_nor_once_it_is_back() {
    let size = Size { brokers: 20, loads: 200, subscriptions: 600, events: 3_000 };
    let Some(mut world) = World::new(size, false) else { return };
    world.site.set("subscriptions.on_outage", "last-known");
    let run = world.start();
    let mut turn = 0;
    world.flow(40, 4, Duration::from_millis(20), |world| {
        turn += 1;
        if turn == 30 {
            world.wait();
            // Until it is over for Loadline nothing changes: what is known last is what there is.
            world.server.kill();
            world.produce(&[0, 1, 2]);
            pause(Duration::from_millis(1_500));
            world.server.start_again();
            until("it answers again", || {
                status(&world.site).is_some_and(|status| status["subscriptions"]["awaySeconds"].is_null())
            });
        }
    });
    let (verdict, right) = world.end(run);
    assert_eq!(verdict, Verdict::default());
    assert!(right > size.events, "{right}");
}
