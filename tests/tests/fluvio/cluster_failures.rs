//! Against a real cluster whose controller is killed or hangs, or whose partitions go to another leader.

use std::{collections::BTreeSet, time::Duration};

use fluvio::metadata::{partition::PartitionSpec, spu::SpuSpec, topic::TopicSpec};
use tests::{Events, Fleet, Oracle, PossibleRepeats, Wants, pause, skipped, until};

use crate::{
    cluster::{produce, site},
    topic::{Topic, sc, spu},
};

#[test]
fn a_controller_that_is_killed_or_hangs_holds_nothing_that_has_a_leader() {
    let Some(topic) = Topic::create(2) else { return };
    if !sc("start") {
        return;
    }
    let log = Events::new(21, 200).take(9_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let site = site(&fleet, &wants, &topic);
    produce(&site, &log[..3_000]);
    let run = site.run();
    until("some are delivered", || fleet.taken() > 200);
    assert!(sc("kill"));
    until("what was there is delivered without it", || fleet.taken() == 3_000);
    assert!(sc("start"));
    produce(&site, &log[3_000..6_000]);
    until("what came after it had restarted is delivered", || fleet.taken() == 6_000);

    assert!(sc("pause"));
    // The connection is lost while nobody says who leads: it is waited for, and nothing hangs for ever.
    let restarted = spu("kill") && spu("start");
    pause(Duration::from_secs(8));
    assert!(sc("resume"));
    produce(&site, &log[6_000..]);
    until("the rest is delivered", || fleet.taken() == 9_000);
    run.terminate();
    let ended = run.wait();
    assert!(!restarted || ended.stderr.contains("is unreachable"), "{ended:?}");
    assert_eq!(ended.summary().possible_repeats, PossibleRepeats::default());
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_partition_that_moves_to_another_leader_is_read_on_there() {
    let Some(probe) = Topic::create(1) else { return };
    let spus = probe.with_client(async |cluster| {
        let spus = cluster.admin().await.all::<SpuSpec>().await.unwrap();
        let online = spus.into_iter().filter(|spu| spu.status.is_online());
        // The one that can be killed is the one with the lower id.
        online.map(|spu| spu.spec.id).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    });
    let leader = |topic: &Topic| {
        topic.with_client(async |cluster| {
            let all = cluster.admin().await.all::<PartitionSpec>().await.unwrap();
            all.into_iter().find(|found| found.name.starts_with(&topic.name)).map(|found| found.spec.leader)
        })
    };
    let [first, second] = spus[..] else {
        return skipped("it needs a cluster with two SPUs");
    };
    let spec = TopicSpec::new_assigned(vec![(0, vec![first, second])]);
    let Some(topic) = Topic::create_as(&spec) else { return };
    if !spu("start") {
        return;
    }
    let log = Events::new(22, 200).take(6_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let site = site(&fleet, &wants, &topic);
    produce(&site, &log[..3_000]);
    let run = site.run();
    until("the first part is delivered", || fleet.taken() == 3_000);
    assert!(spu("kill"));
    until("the other SPU leads", || leader(&topic) == Some(second));
    // As a follower: alone, the new leader commits nothing.
    assert!(spu("start"));
    produce(&site, &log[3_000..]);
    until("the second part is delivered", || fleet.taken() == 6_000);
    assert_eq!(leader(&topic), Some(second));
    run.terminate();
    let _ended = run.wait().expect(0);
    oracle.assert_exactly_once(&fleet);
}
