//! Brokers come and go while events flow: a new one gets events from then on, one that leaves is sent what is left for it,
//! and one that comes again goes on where it was; the others notice nothing.

use std::{collections::HashMap, os::unix::net::UnixStream};

use lab::receiver::Behaviour;
use serde_json::{Value, json};
use tests::{Arrival, DeliveryCounts, Events, Fleet, Loadline, Oracle, ShipmentEvent, Site, Wants, until};

use crate::{
    admin::{exchange, following, status},
    reload::{reload, slow, started},
};

/// The places in the log of what has arrived, in order.
fn places(log: &[ShipmentEvent], arrivals: &[Arrival]) -> Vec<usize> {
    let by_body: HashMap<_, _> = log.iter().enumerate().map(|(place, event)| (&event.body, place)).collect();
    let mut places: Vec<_> = arrivals.iter().map(|arrival| by_body[&arrival.body]).collect();
    places.sort_unstable();
    places
}

#[test]
fn a_broker_that_is_added_under_load_gets_every_event_from_then_on_and_none_from_before() {
    let log = Events::new(503, 60).take(3_000);
    let fleet = Fleet::start(3);
    let wants = vec![Wants::all(); 3];
    let mut site = following(&fleet, &wants);
    let newcomer = site.take_broker(2);
    site.set("limits.in_flight_max", 64);
    site.set("limits.per_broker_max", 32);
    fleet.iter().for_each(|tms| tms.behave(slow()));
    site.write(&log);
    let run = started(&site);
    fleet.tms(0).wait_for(500);
    site.put_broker(newcomer);
    let told = reload(&site);
    assert_eq!((&told["added"], &told["changed"]), (&json!(["broker-2"]), &json!([])));
    (0..2).for_each(|index| fleet.tms(index).wait_for(3_000));
    until("all is settled", || status(&site)["inFlight"] == 0 && status(&site)["settled"] == 3_000);
    let shown = status(&site);
    assert_eq!(shown["brokers"][2]["id"], "broker-2");
    assert_eq!(shown["brokers"][2]["delivered"], fleet.tms(2).taken());
    run.terminate();
    let _summary = run.wait().summary();
    let given = places(&log, &fleet.tms(2).arrivals());
    let first = given[0];
    assert!((1..2_900).contains(&first), "it began at {first}: the reload was not under load");
    assert_eq!(given, (first..3_000).collect::<Vec<_>>(), "an event is missing, or came twice");
    // In order per load as well, and the others noticed nothing.
    let rest = Oracle::new(&log[first..], &[Wants::all()]);
    assert_eq!(
        rest.judge(0, &fleet.tms(2).arrivals()),
        DeliveryCounts { events: 3_000 - first, ..DeliveryCounts::default() }
    );
    let oracle = Oracle::new(&log, &wants);
    for index in 0..2 {
        let given = oracle.judge(index, &fleet.tms(index).arrivals());
        assert_eq!(given, DeliveryCounts { events: 3_000, ..DeliveryCounts::default() }, "broker {index}");
    }
}

/// A site with a running process; `log` waits on disk for its second broker, which refuses connections.
fn with_a_backlog(fleet: &Fleet, log: &[ShipmentEvent]) -> (Site, Loadline) {
    let site = following(fleet, &vec![Wants::all(); 2]);
    fleet.tms(1).refuse();
    site.write(log);
    let run = started(&site);
    until("its backlog is on disk", || status(&site)["brokers"][1]["spilled"] == log.len());
    (site, run)
}

#[test]
fn a_broker_that_is_removed_is_sent_what_is_left_for_it_in_order_and_then_it_is_gone() {
    let log = Events::new(504, 20).take(900);
    let fleet = Fleet::start(2);
    let (mut site, run) = with_a_backlog(&fleet, &log[..300]);
    let removed = site.take_broker(1);
    let told = reload(&site);
    assert_eq!(told["removed"], json!(["broker-1"]));
    assert!(told["hints"][0].as_str().unwrap().contains("300 deliveries are left"), "{told}");
    site.append(&log[300..600]);
    fleet.tms(0).wait_for(600);
    let shown = status(&site);
    assert_eq!(
        (&shown["brokers"][1]["leaving"], &shown["brokers"][1]["spilled"]),
        (&json!(true), &300.into())
    );
    let because = shown["verdict"]["because"].to_string();
    assert!(because.contains("no longer in the config"), "{because}");
    fleet.tms(1).behave(Behaviour::default());
    until("it is gone", || status(&site)["brokers"].as_array().unwrap().len() == 1);
    let first = Oracle::new(&log[..300], &[Wants::all()]);
    assert_eq!(
        first.judge(0, &fleet.tms(1).arrivals()),
        DeliveryCounts { events: 300, ..DeliveryCounts::default() }
    );

    // Under the same name it goes on.
    site.put_broker(removed);
    assert_eq!(reload(&site)["added"], json!(["broker-1"]));
    site.append(&log[600..]);
    fleet.iter().zip([900, 600]).for_each(|(tms, count)| tms.wait_for(count));
    assert_eq!(status(&site)["brokers"][1]["delivered"], 600);
    run.terminate();
    assert_eq!(run.wait().summary().delivered, 1_500);
    let given = places(&log, &fleet.tms(1).arrivals());
    assert_eq!(given, (0..300).chain(600..900).collect::<Vec<_>>());
}

#[test]
fn what_waited_on_disk_for_a_broker_that_was_gone_over_a_restart_is_taken_up_when_it_is_added() {
    let log = Events::new(505, 20).take(600);
    let fleet = Fleet::start(2);
    let (mut site, run) = with_a_backlog(&fleet, &log[..300]);
    let _told = site.loadline(&["broker", "pause", "broker-1", "--config"]).expect(0);
    let removed = site.take_broker(1);
    let _told = reload(&site);
    fleet.tms(0).wait_for(300);
    run.terminate();
    assert_eq!(run.wait().summary().spilled, 300);
    let stranded = |status: &Value| {
        let row = status["brokers"].as_array().unwrap().iter().find(|row| row["state"] == "stranded");
        row.map(|row| (row["id"].as_str().unwrap().to_owned(), row["spilled"].as_u64().unwrap()))
    };
    let its = Some(("broker-1".to_owned(), 300));
    assert_eq!(stranded(&status(&site)), its, "without a process");

    let run = started(&site);
    assert_eq!(stranded(&status(&site)), its, "with one");
    fleet.tms(1).behave(Behaviour::default());
    site.put_broker(removed);
    let told = reload(&site);
    until("it is one of the brokers again", || stranded(&status(&site)).is_none());
    // The pause on record holds too.
    assert!(told["hints"][0].as_str().unwrap().contains("broker-1 is paused"), "{told}");
    site.append(&log[300..]);
    fleet.tms(0).wait_for(600);
    until("what is new waits behind it", || status(&site)["brokers"][1]["spilled"] == 600);
    assert_eq!(fleet.tms(1).taken(), 0);
    let _told = site.loadline(&["broker", "resume", "broker-1", "--config"]).expect(0);
    fleet.tms(1).wait_for(600);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.spilled, summary.dead_letters), (0, 0));
    Oracle::new(&log, &vec![Wants::all(); 2]).assert_exactly_once(&fleet);
}

#[test]
fn reloads_that_come_together_are_carried_out_one_after_the_other() {
    let log = Events::new(509, 60).take(3_000);
    let fleet = Fleet::start(3);
    let wants = vec![Wants::all(); 2];
    let mut site = following(&fleet, &vec![Wants::all(); 3]);
    let third = site.take_broker(2);
    site.set("limits.in_flight_max", 64);
    site.set("limits.per_broker_max", 32);
    fleet.iter().for_each(|tms| tms.behave(slow()));
    let (before, after) = log.split_at(2_000);
    site.write(before);
    let run = started(&site);
    fleet.tms(0).wait_for(300);
    site.put_broker(third);
    site.save();
    let socket = site.path("state").join("admin.sock");
    let asks: Vec<_> = (0..6)
        .map(|_| {
            let stream = UnixStream::connect(&socket).unwrap();
            std::thread::spawn(move || {
                exchange(stream, "POST /reload HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            })
        })
        .collect();
    run.hang_up();
    let answers: Vec<Value> = asks
        .into_iter()
        .map(|ask| {
            let (status, body) = ask.join().unwrap();
            assert_eq!(status, 200, "{body}");
            serde_json::from_str(&body).unwrap()
        })
        .collect();
    // The first of them, or the signal, has done it; there was nothing left for the others.
    let added = answers.iter().filter(|answer| answer["added"] == json!(["broker-2"])).count();
    assert!(added <= 1, "{answers:?}");
    until("the signal's turn has come", || run.log().matches("config reloaded").count() == 7);
    assert_eq!(run.log().matches("added=[\"broker-2\"]").count(), 1);
    site.append(after);
    (0..2).for_each(|index| fleet.tms(index).wait_for(3_000));
    until("all is settled", || status(&site)["inFlight"] == 0);
    run.terminate();
    let _summary = run.wait().summary();
    let oracle = Oracle::new(&log, &wants);
    for index in 0..2 {
        let given = oracle.judge(index, &fleet.tms(index).arrivals());
        assert_eq!(given, DeliveryCounts { events: 3_000, ..DeliveryCounts::default() }, "broker {index}");
    }
    let given = places(&log, &fleet.tms(2).arrivals());
    assert_eq!(given, (given[0]..3_000).collect::<Vec<_>>());
}
