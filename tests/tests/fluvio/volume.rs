//! In volume, against a real cluster: batches of any size, the leader killed again and again, several processes.
//!
//! `LOADLINE_TEST_FLUVIO_EVENTS` says how many events each scenario is to have.

use std::{env, thread, time::Duration};

use tests::{Events, Fleet, Oracle, ShipmentEvent, Site, Wants, pause, until};

use crate::{
    cluster::{produce_in, site},
    topic::{Topic, spu},
};

const PARTITIONS: u32 = 4;
const KILLS: usize = 5;

fn events(seed: u64) -> Vec<ShipmentEvent> {
    let count = env::var("LOADLINE_TEST_FLUVIO_EVENTS").map_or(20_000, |count| count.parse().unwrap());
    Events::new(seed, 2_000).take(count)
}

/// A topic whose leader can be killed; none, said aloud, if there is no cluster or nobody has said how.
fn topic() -> Option<Topic> {
    Topic::create(PARTITIONS).filter(|_| spu("start"))
}

/// All of `log` is produced in batches of `batch`, and the leader is killed [`KILLS`] times meanwhile.
fn produce_and_kill(site: &Site, fleet: &Fleet, log: &[ShipmentEvent], batch: &str) {
    thread::scope(|scope| {
        scope.spawn(|| produce_in(site, log, batch));
        for kill in 1..=KILLS {
            // Spread over the run: while it is produced, and while it is read.
            until("some more are delivered", || fleet.taken() >= kill * log.len() / (KILLS + 2));
            assert!(spu("kill"));
            pause(Duration::from_secs(1));
            assert!(spu("start"));
        }
    });
}

/// All that was sent is delivered once, in batches of `batch`, while the leader is killed.
fn each_event_arrives_once(seed: u64, batch: &str) {
    let Some(topic) = topic() else { return };
    let log = events(seed);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let site = site(&fleet, &wants, &topic);
    let run = site.run();
    produce_and_kill(&site, &fleet, &log, batch);
    until("all are delivered", || fleet.taken() >= log.len());
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!(summary.records - summary.duplicates, log.len() as u64, "{summary:?}");
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn every_event_arrives_once_in_batches_of_16_kib_while_the_leader_is_killed_five_times() {
    each_event_arrives_once(16, "16KiB");
}

#[test]
fn every_event_arrives_once_in_batches_of_256_kib_while_the_leader_is_killed_five_times() {
    each_event_arrives_once(256, "256KiB");
}

#[test]
fn every_event_arrives_once_in_batches_of_1_mib_while_the_leader_is_killed_five_times() {
    each_event_arrives_once(1024, "1MiB");
}

/// Two sites that read two partitions of the topic each.
fn halves(fleet: &Fleet, topic: &Topic) -> [Site; 2] {
    [vec![0, 1], vec![2, 3]].map(|partitions| {
        let mut half = site(fleet, &[Wants::all()], topic);
        half.set("source.partitions", partitions);
        half
    })
}

#[test]
fn every_event_arrives_once_through_two_processes_while_the_leader_is_killed_five_times() {
    let Some(topic) = topic() else { return };
    let log = events(2);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let sites = halves(&fleet, &topic);
    let runs = sites.each_ref().map(Site::run);
    produce_and_kill(&sites[0], &fleet, &log, "64KiB");
    until("all are delivered", || fleet.taken() >= log.len());
    for run in runs {
        run.terminate();
        assert!(run.wait().summary().records > 0, "each has a part of it");
    }
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn two_processes_share_four_partitions_and_one_that_is_killed_loses_nothing() {
    let Some(topic) = Topic::create(PARTITIONS) else { return };
    let log = events(5);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let sites = halves(&fleet, &topic);
    produce_in(&sites[0], &log, "64KiB");
    let (killed, running) = (sites[0].run(), sites[1].run());
    until("some are delivered", || fleet.taken() > log.len() / 10);
    let _killed = killed.kill();
    let again = sites[0].run();
    // What was on the wire may come twice, so counting is not enough.
    until("all are delivered", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
    for run in [again, running] {
        run.terminate();
        let _ended = run.wait().expect(0);
    }
    let given = oracle.assert_nothing_lost(&fleet);
    assert!(given.repeats_of_a_load <= 1, "{given:?}");
}
