//! Against a real cluster: every event once, in order per load, whatever happens to the SPU or to Loadline.

use std::time::Duration;

use tests::{Events, Fleet, Oracle, PossibleRepeats, ShipmentEvent, Site, Wants, pause, until};

use crate::topic::{Topic, spu};

/// A site that reads the topic, quick to notice trouble.
pub(crate) fn site(fleet: &Fleet, wants: &[Wants], topic: &Topic) -> Site {
    let mut site = Site::with_topic(fleet, wants, &topic.endpoint, &topic.name);
    site.set("source.stall_after", "4s");
    site.set("source.connect_timeout", "3s");
    site.set("source.backoff_max", "2s");
    site
}

pub(crate) fn produce(site: &Site, events: &[ShipmentEvent]) {
    produce_in(site, events, "64KiB");
}

pub(crate) fn produce_in(site: &Site, events: &[ShipmentEvent], batch: &str) {
    site.write(events);
    let produced = site.produce_in("2m", batch).expect(0);
    assert!(produced.stdout.contains(&format!("\"taken\":{}", events.len())), "{produced:?}");
}

#[test]
fn every_event_of_a_topic_is_delivered_once_in_order_and_a_second_run_goes_on_where_the_first_ended() {
    let Some(topic) = Topic::create(1) else { return };
    let log = Events::new(1, 200).take(20_000);
    let (fleet, wants) = (Fleet::start(2), [Wants::all(), Wants::all().only(&["delivered"])]);
    let (oracle, first) = (Oracle::new(&log, &wants), Oracle::new(&log[..15_000], &wants));
    let site = site(&fleet, &wants, &topic);
    produce(&site, &log[..15_000]);

    let run = site.run();
    until("the first part is delivered", || fleet.taken() == first.deliveries());
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.records, summary.settled), (15_000, 15_000));
    assert_eq!(summary.possible_repeats, PossibleRepeats::default());

    let run = site.run();
    produce(&site, &log[15_000..]);
    until("the rest is delivered", || fleet.taken() == oracle.deliveries());
    run.terminate();
    assert_eq!(run.wait().summary().records, 5_000);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn four_partitions_are_read_beside_each_other_and_each_goes_on_where_it_was() {
    let Some(topic) = Topic::create(4) else { return };
    let log = Events::new(4, 400).take(20_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let site = site(&fleet, &wants, &topic);
    produce(&site, &log[..12_000]);
    let run = site.run();
    until("the first part is delivered", || fleet.taken() == 12_000);
    let status = site.loadline(&["status", "--json"]).status();
    let partitions = status["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 4, "{status}");
    assert!(
        partitions.iter().all(|p| p["end"].as_u64().unwrap() > 0 && p["reading"]["gaps"] == 0),
        "{status}"
    );
    run.terminate();
    assert_eq!(run.wait().summary().possible_repeats, PossibleRepeats::default());
    let told = site.loadline(&["status", "--json"]).status();
    for (left, partition) in told["partitions"].as_array().unwrap().iter().zip(partitions) {
        assert_eq!((&left["name"], &left["unit"]), (&partition["name"], &"records".into()), "{told:?}");
        assert_eq!(left["settledTo"], partition["end"], "what the directory says: {told:?}");
    }
    let run = site.run();
    produce(&site, &log[12_000..]);
    until("the rest is delivered", || fleet.taken() == 20_000);
    run.terminate();
    assert_eq!(run.wait().summary().records, 8_000);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_run_that_is_killed_loses_nothing() {
    let Some(topic) = Topic::create(1) else { return };
    let log = Events::new(2, 100).take(10_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let site = site(&fleet, &wants, &topic);
    produce(&site, &log);
    let run = site.run();
    until("some are delivered", || fleet.taken() > 1_000);
    let _killed = run.kill();
    let run = site.run();
    // What was on the wire may come twice, so counting is not enough.
    until("all are delivered", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
    run.terminate();
    let _ended = run.wait().expect(0);
    let _given = oracle.assert_nothing_lost(&fleet);
}

#[test]
fn a_leader_that_is_killed_or_paused_loses_nothing_and_reorders_nothing() {
    let Some(topic) = Topic::create(1) else { return };
    if !spu("start") {
        return;
    }
    let log = Events::new(3, 100).take(12_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let site = site(&fleet, &wants, &topic);
    produce(&site, &log[..4_000]);
    let run = site.run();
    until("some are delivered", || fleet.taken() > 500);
    assert!(spu("kill"));
    pause(Duration::from_secs(3));
    assert!(spu("start"));
    produce(&site, &log[4_000..8_000]);
    until("what came after the kill is delivered", || fleet.taken() >= 8_000);
    assert!(spu("pause"));
    pause(Duration::from_secs(10));
    assert!(spu("resume"));
    produce(&site, &log[8_000..]);
    until("what came after the pause is delivered", || fleet.taken() >= 12_000);
    run.terminate();
    let ended = run.wait();
    let summary = ended.summary();
    assert_eq!(summary.possible_repeats, PossibleRepeats::default());
    oracle.assert_exactly_once(&fleet);
}
