//! State that follows its partition: members come and go, in good order or not, and what they remember and what waits on
//! their disks goes with the partition.

use lab::receiver::Behaviour;
use tests::{KafkaCluster, KafkaTopic, Loadline, Site, until};

use crate::{
    scene::{PARTITIONS, Scene, scene},
    site::{assigned, follows, group, member_by, wait_for_shares},
};

/// A member whose state follows its partitions.
fn member(protocol: &str, scene: &Scene, topic: &KafkaTopic<'_>) -> Site {
    follows(member_by(protocol, &scene.fleet, &scene.wants, topic, &group(topic)))
}

fn all_arrived(scene: &Scene) -> bool {
    scene.oracle.judge_all(&scene.fleet).iter().all(|given| given.missing == 0)
}

fn end_all(runs: impl IntoIterator<Item = Loadline>) {
    let runs: Vec<_> = runs.into_iter().inspect(Loadline::terminate).collect();
    runs.into_iter().for_each(|run| drop(run.wait().summary()));
}

#[test]
fn what_waits_on_a_members_disk_is_delivered_by_the_next_one_in_its_order() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let scene = scene(33, 2_000);
    let sites = [0, 1, 2].map(|_| member("classic", &scene, &topic));
    scene.fleet.tms(1).refuse();
    let first = sites[0].run();
    topic.produce(&scene.log[..1_000]);
    until("the healthy one has its share", || scene.fleet.tms(0).taken() >= 1_000);
    // It never comes back; the second takes over, then the third beside it, and the broker is well again.
    end_all([first]);
    let second = sites[1].run();
    wait_for_shares(&[&sites[1]], &[6]);
    topic.produce(&scene.log[1_000..]);
    until("the healthy one has all", || scene.fleet.tms(0).taken() >= 2_000);
    let third = sites[2].run();
    wait_for_shares(&[&sites[1], &sites[2]], &[3, 3]);
    scene.fleet.tms(1).behave(Behaviour::default());
    until("all is delivered", || all_arrived(&scene));
    end_all([second, third]);
    scene.oracle.assert_exactly_once(&scene.fleet);
}

#[test]
fn a_member_that_is_killed_repeats_at_most_what_was_under_way_and_its_disk_is_not_needed() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let scene = scene(34, 4_000);
    let sites = [0, 1, 2].map(|_| member("classic", &scene, &topic));
    let [killed, stays] = [sites[0].run(), sites[1].run()];
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    topic.produce(&scene.log[..2_000]);
    until("some are delivered", || scene.fleet.taken() > 800);
    let _killed = killed.kill();
    topic.produce(&scene.log[2_000..]);
    // One without anything on its disk.
    let new = sites[2].run();
    until("all is delivered", || all_arrived(&scene));
    end_all([stays, new]);
    // Their first arrivals are in order, or this fails.
    let given = scene.oracle.judge_all(&scene.fleet);
    // Much less than what a member settles in between two commits of its offsets, which is what came twice without it.
    let in_flight = 600;
    assert!(given.iter().all(|given| given.repeats <= in_flight), "{given:?}");
}

#[test]
fn members_come_and_go_under_load_and_each_event_comes_once_and_in_order() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    for (seed, protocol) in [(31, "classic"), (32, "consumer")] {
        let topic = cluster.topic(PARTITIONS);
        let scene = scene(seed, 4_800);
        let sites = [0, 1].map(|_| member(protocol, &scene, &topic));
        let stays = sites[0].run();
        for part in scene.log.chunks(1_200) {
            topic.produce(part);
            let comes = sites[1].run();
            until("it has partitions", || assigned(&sites[1]).is_some_and(|count| count > 0));
            end_all([comes]);
        }
        until("all is delivered", || all_arrived(&scene));
        end_all([stays]);
        scene.oracle.assert_exactly_once(&scene.fleet);
    }
}
