//! Brokers of the table come, change and go while events flow, as by a reload.

use std::{thread, time::Duration};

use lab::receiver::Behaviour;
use serde_json::Value;
use tests::{pause, until};

use crate::world::{Size, Verdict, World, brokers, numbers, status};

fn small() -> Option<World> {
    World::new(Size { brokers: 2, loads: 2, subscriptions: 2, events: 0 }, false)
}

#[test]
fn a_broker_and_its_subscription_that_are_as_new_as_the_event_are_seen() {
    let Some(mut world) = small() else { return };
    let run = world.start();
    for number in 0..20 {
        let url = world.fleet.tms(1).url();
        world.server.execute(&format!(
            "begin; insert into brokers (id, webhook_url, secret_refs, rate) \
             values ('new-{number}', '{url}/new-{number}', '{{env:LOADLINE_BROKER_KEY}}', 1000); \
             insert into broker_subscriptions (load_id, broker_id) values ('L-0', 'new-{number}'); commit;"
        ));
        world.produce(&[0]);
    }
    // An event that was produced before a broker came may be routed after it.
    until("each has every event since it came", || {
        let arrivals = world.fleet.tms(1).arrivals();
        (0..20).all(|number| {
            let had = numbers(&arrivals, &format!("/new-{number}"));
            (number..20).all(|event| had.contains(&event))
        })
    });
    run.terminate();
    let _summary = run.wait().summary();
}

#[test]
fn a_change_that_was_committed_late_is_not_missed() {
    let Some(world) = small() else { return };
    let run = world.start();
    let rate = |broker: &str| brokers(&world.site).get(broker).map(|broker| broker["rateAllowed"].clone());
    until("the table is in force", || rate("b-0") == Some(Value::from(100_000.0)));
    // Its transaction is older than many that are over, and read, before it is.
    let late = world.server.client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let execute = |statement: &str| runtime.block_on(late.batch_execute(statement)).unwrap();
    execute("begin; update brokers set rate = 7 where id = 'b-0'");
    for step in 1..=3 {
        world.server.execute(&format!("update brokers set rate = {step} where id = 'b-1'"));
        until("the other is in force", || rate("b-1") == Some(Value::from(f64::from(step))));
    }
    execute("commit");
    until("the late one is in force", || rate("b-0") == Some(Value::from(7.0)));
    run.terminate();
    let _summary = run.wait().summary();
}

#[test]
fn a_broken_row_takes_out_nothing_but_itself_and_its_last_good_version_stays() {
    let Some(mut world) = small() else { return };
    let run = world.start();
    world.produce(&[0, 1]);
    world.fleet.tms(1).wait_for(2);
    let breaks = [
        ("webhook_url = 'http://10.0.0.1/hook'", "webhook_url"),
        ("webhook_url = 'no url'", "webhook_url"),
        ("webhook_url = 'http://127.0.0.1/', secret_refs = '{env:LOADLINE_BROKER_GONE}'", "secret_refs"),
        ("webhook_url = 'http://127.0.0.1/', secret_refs = '{env:PATH}'", "secret_refs"),
        ("webhook_url = 'http://127.0.0.1/', secret_refs = '{env:LOADLINE_BROKER_KEY}', rate = -1", "rate"),
        ("settings = '{\"allow_networks\": [\"10.0.0.0/8\"]}'", "settings"),
    ];
    for (broken, column) in breaks {
        world.server.execute(&format!("update brokers set {broken} where id = 'b-0'"));
        until("the status has it", || {
            let status = status(&world.site).unwrap_or_default();
            let rejected = &status["subscriptions"]["rejected"][0];
            rejected["broker"] == "b-0" && rejected["why"].as_str().unwrap_or_default().contains(column)
        });
        let taken = world.fleet.tms(1).taken();
        world.produce(&[0, 1]);
        world.fleet.tms(1).wait_for(taken + 2);
    }
    let url = world.fleet.tms(1).url();
    world.server.execute(&format!(
        "update brokers set webhook_url = '{url}/b-0', secret_refs = '{{env:LOADLINE_BROKER_KEY}}', rate = 9, settings = '{{}}' \
         where id = 'b-0'"
    ));
    until("it is whole again", || brokers(&world.site)["b-0"]["rateAllowed"] == 9.0);
    let (verdict, right) = world.end(run);
    assert_eq!((verdict, right), (Verdict::default(), 14));
}

#[test]
fn a_broker_that_is_switched_off_gets_nothing_new_and_what_waits_for_it_is_sent() {
    let Some(mut world) = small() else { return };
    world.site.impatient();
    world.fleet.tms(1).refuse();
    let run = world.start();
    world.produce(&[0, 0, 0]);
    until("three wait", || status(&world.site).is_some_and(|status| status["spilled"] == 3));
    world.server.execute("update brokers set active = false where id = 'b-0'");
    until("it leaves", || brokers(&world.site).get("b-0").is_some_and(|broker| broker["leaving"] == true));
    world.produce(&[0, 0]);
    world.wait();
    world.fleet.tms(1).behave(Behaviour::default());
    world.fleet.tms(1).wait_for(3);
    until("it is gone", || !brokers(&world.site).contains_key("b-0"));
    run.terminate();
    let _summary = run.wait().summary();
    assert_eq!(world.fleet.tms(1).taken(), 3);

    // Over a restart it is stranded, and taken up again when it is switched on.
    world.fleet.tms(1).refuse();
    world.server.execute("update brokers set active = true where id = 'b-0'");
    let run = world.start();
    world.produce(&[0]);
    until("one waits", || status(&world.site).is_some_and(|status| status["spilled"] == 1));
    world.server.execute("update brokers set active = false where id = 'b-0'");
    run.terminate();
    let _summary = run.wait().summary();
    let run = world.start();
    until("it is stranded", || {
        brokers(&world.site).get("b-0").is_some_and(|broker| broker["state"] == "stranded")
    });
    world.fleet.tms(1).behave(Behaviour::default());
    world.server.execute("update brokers set active = true where id = 'b-0'");
    world.fleet.tms(1).wait_for(4);
    run.terminate();
    let _summary = run.wait().summary();
}

#[test]
fn a_broker_of_the_table_can_be_paused_while_no_process_runs() {
    let Some(mut world) = small() else { return };
    let pause = |broker: &str| world.site.loadline(&["broker", "pause", broker, "--config"]);
    let _unknown = pause("b-9").expect(64);
    let paused = pause("b-0").expect(0);
    assert!(paused.stdout.contains("in the state directory, for the next run"), "{paused:?}");
    let run = world.start();
    until("it is paused", || {
        brokers(&world.site).get("b-0").is_some_and(|broker| broker["state"] == "paused")
    });
    let _resumed = world.site.loadline(&["broker", "resume", "b-0", "--config"]).expect(0);
    world.produce(&[0]);
    world.fleet.tms(1).wait_for(1);
    run.terminate();
    let _summary = run.wait().summary();
    world.server.kill();
    let away = world.site.loadline(&["broker", "pause", "b-0", "--config"]).expect(1);
    assert!(away.stderr.contains("the database cannot be asked"), "{away:?}");
}

#[test]
fn rows_that_change_all_the_time_drop_nothing_and_reorder_nothing() {
    let size = Size { brokers: 10, loads: 40, subscriptions: 120, events: 3_000 };
    let Some(mut world) = World::new(size, false) else { return };
    let run = world.start();
    let client = world.server.client();
    let changing = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for step in 0..50 {
            let (broker, rate) = (step % 10, 50_000 + step);
            let change = format!("update brokers set rate = {rate} where id = 'b-{broker}'");
            runtime.block_on(client.batch_execute(&change)).unwrap();
            pause(Duration::from_millis(100));
        }
    });
    world.flow(50, 0, Duration::from_millis(80), |_| {});
    changing.join().unwrap();
    let (verdict, right) = world.end(run);
    assert_eq!((verdict, right), (Verdict::default(), 9_000));
}
