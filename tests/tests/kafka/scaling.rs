//! Members come and go. Their state does not follow the partitions. A partition that moves in good order repeats nothing:
//! brokers that keep up take what is in memory first. What is left for the others waits on that member's disk, and is
//! delivered from there, so their loads lose their order. After a crash, whoever takes over sends again what was settled and
//! not committed.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use lab::receiver::{Availability, Behaviour};
use tests::{KafkaCluster, KafkaTopic, Loadline, Oracle, Site, pause, until};

use crate::{
    scene::{PARTITIONS, Scene, scene},
    site::{assigned, end, group, member, member_by, wait_for_shares},
};

/// How many deliveries are missing, and how many came twice. Unlike [`Oracle::judge_all`] it says nothing of order.
fn missing_and_repeated(scene: &Scene) -> (usize, usize) {
    let counts = scene.fleet.iter().map(|tms| {
        let arrivals = tms.arrivals();
        let events: HashSet<_> = arrivals.iter().map(|arrival| arrival.body.clone()).collect();
        (scene.log.len() - events.len(), arrivals.len() - events.len())
    });
    counts.fold((0, 0), |(missing, repeated), (more, again)| (missing + more, repeated + again))
}

/// Ends a run that may be in the middle of its work; what it has put on its disk, and how many of its records it has not
/// settled: one that was on its way to several brokers is read again by another member, as a whole.
fn leave(run: Loadline) -> (usize, usize) {
    run.terminate();
    let summary = run.wait().summary();
    let count = |number: u64| usize::try_from(number).unwrap();
    (count(summary.spilled), count(summary.records - summary.settled))
}

#[test]
fn one_member_becomes_three_and_one_again_and_each_event_comes_once_and_in_order() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let Scene { log, fleet, wants, oracle } = scene(11, 3_000);
    let sites: Vec<Site> = (0..3).map(|_| member(&fleet, &wants, &topic, &group(&topic))).collect();
    let (mut runs, mut produced): (Vec<Loadline>, usize) = (Vec::new(), 0);
    let (mut records, mut parts) = (0, log.chunks(600));
    for (members, shares) in [(1, &[6][..]), (2, &[3, 3]), (3, &[2, 2, 2]), (2, &[3, 3]), (1, &[6])] {
        if members > runs.len() {
            runs.push(sites[runs.len()].run());
        } else {
            records += end(runs.pop().unwrap());
        }
        wait_for_shares(&sites[..members].iter().collect::<Vec<_>>(), shares);
        let part = parts.next().unwrap();
        topic.produce(part);
        produced += part.len();
        until("what was produced is delivered", || fleet.taken() >= produced * fleet.len());
    }
    records += end(runs.pop().unwrap());
    assert_eq!(records, 3_000, "a record was read twice");
    oracle.assert_exactly_once(&fleet);
}

/// Puts events onto the topic while `moves` happen: as many as the receivers are always behind by some, and few enough that
/// brokers which keep up take what is in a member's memory before its partitions leave.
fn busy(scene: &Scene, topic: &KafkaTopic<'_>, moves: impl FnOnce()) -> usize {
    /// Ends the producing, also when what happens meanwhile has failed.
    struct Ends<'o>(&'o AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let producing = scope.spawn(|| {
            let mut produced = 0;
            for part in scene.log.chunks(50) {
                topic.produce(part);
                produced += part.len();
                until("the receivers catch up", || {
                    let taken = scene.fleet.taken() + 300 * scene.fleet.len();
                    taken >= produced * scene.fleet.len() || over.load(Relaxed)
                });
                if over.load(Relaxed) {
                    return produced;
                }
            }
            panic!("{produced} events are not enough");
        });
        let ends = Ends(&over);
        moves();
        drop(ends);
        producing.join().unwrap()
    })
}

#[test]
fn members_that_come_and_go_under_load_repeat_nothing_and_leave_nothing_behind() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    for (seed, protocol) in [(12, "classic"), (13, "consumer")] {
        let topic = cluster.topic(PARTITIONS);
        let mut scene = scene(seed, 100_000);
        for tms in scene.fleet.iter() {
            tms.behave(Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() });
        }
        let (fleet, wants) = (&scene.fleet, &scene.wants);
        let sites = [0, 1, 2].map(|_| {
            let mut site = member_by(protocol, fleet, wants, &topic, &group(&topic));
            site.set("delivery.concurrency", 4);
            // However slow the machine: what is in memory is sent before its partition leaves.
            site.set("limits.spill_after", "1m");
            site.set("limits.grace", "5m");
            site
        });
        let stays = sites[0].run();
        let produced = busy(&scene, &topic, || {
            for _ in 0..3 {
                let mut come = Vec::new();
                for site in &sites[1..] {
                    come.push(site.run());
                    until("it has partitions", || assigned(site).is_some_and(|count| count > 0));
                }
                for run in come {
                    assert_eq!(leave(run), (0, 0), "{protocol}: on its disk, unsettled");
                }
            }
        });
        scene.log.truncate(produced);
        until("all is delivered", || missing_and_repeated(&scene).0 == 0);
        end(stays);
        assert_eq!(missing_and_repeated(&scene), (0, 0), "{protocol}");
        Oracle::new(&scene.log, &scene.wants).assert_exactly_once(&scene.fleet);
    }
}

#[test]
fn a_member_that_leaves_keeps_on_its_disk_what_waits_for_a_broker_that_is_down_and_delivers_it_later() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let scene = scene(16, 4_000);
    // From the beginning: no request is under way that it would cut off.
    scene.fleet.tms(0).behave(Behaviour { availability: Availability::Refusing, ..Behaviour::default() });
    let sites = [0, 1].map(|_| member(&scene.fleet, &scene.wants, &topic, &group(&topic)));
    let [leaves, stays] = [sites[0].run(), sites[1].run()];
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    topic.produce(&scene.log);
    until("some are delivered", || scene.fleet.taken() > 400);
    let (on_disk, unsettled) = leave(leaves);
    // One may have been read and sent to nobody.
    assert!(on_disk > 0 && unsettled <= 1, "{on_disk} on its disk, {unsettled} unsettled");
    scene.fleet.tms(0).behave(Behaviour::default());
    until("the other has read and delivered the rest", || missing_and_repeated(&scene).0 == on_disk);
    let back = sites[0].run();
    until("all is delivered", || missing_and_repeated(&scene).0 == 0);
    for run in [stays, back] {
        end(run);
    }
    assert_eq!(missing_and_repeated(&scene), (0, 0));
}

#[test]
fn a_member_that_is_killed_loses_nothing_and_the_other_sends_again_only_what_was_not_committed() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let Scene { log, fleet, wants, oracle } = scene(14, 4_000);
    let sites = [0, 1].map(|_| member(&fleet, &wants, &topic, &group(&topic)));
    let [killed, stays] = [sites[0].run(), sites[1].run()];
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    topic.produce(&log[..2_000]);
    until("some are delivered", || fleet.taken() > 400);
    let _killed = killed.kill();
    topic.produce(&log[2_000..]);
    until("all is delivered", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
    end(stays);
    // Their first arrivals are in order, or this fails.
    let given = oracle.judge_all(&fleet);
    assert!(given.iter().all(|given| given.repeats < 2_000), "{given:?}");
}

#[test]
fn a_member_that_stood_still_past_its_session_forgets_its_partitions_and_comes_back() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let Scene { log, fleet, wants, oracle } = scene(15, 3_000);
    let sites = [0, 1].map(|_| member(&fleet, &wants, &topic, &group(&topic)));
    let [stopped, stays] = [sites[0].run(), sites[1].run()];
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    topic.produce(&log[..1_500]);
    until("some are delivered", || fleet.taken() > 300);
    stopped.pause();
    until("the other has all partitions", || assigned(&sites[1]) == Some(6));
    pause(Duration::from_millis(500));
    stopped.resume();
    until("it says that they are lost", || stopped.log().contains("lost"));
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    topic.produce(&log[1_500..]);
    until("all is delivered", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
    for run in [stopped, stays] {
        run.terminate();
        let _ended = run.wait().summary();
    }
    let given = oracle.judge_all(&fleet);
    assert!(given.iter().all(|given| given.repeats < 1_500), "{given:?}");
}
