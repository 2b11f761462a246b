//! State that follows its partition: members come and go, in good order or not, and what they remember and what waits on
//! their disks goes with the partition. The environment makes the last three scenarios as long as one likes.

use std::time::Duration;

use lab::receiver::Behaviour;
use tests::{DeliveryCounts, KafkaCluster, KafkaTopic, Loadline, pause, until};

use crate::{
    scaling_group::{Members, following, under_load, wait_for_all},
    scene::{PARTITIONS, scene},
    site::wait_for_shares,
    volume::Volume,
};

/// More than a member has on the wire at 75 deliveries a second to each of two brokers; less than it would send in two seconds.
const ON_THE_WIRE: usize = 20;

fn end_all(runs: impl IntoIterator<Item = Loadline>) {
    let runs: Vec<_> = runs.into_iter().inspect(Loadline::terminate).collect();
    runs.into_iter().for_each(|run| drop(run.wait().summary()));
}

#[test]
fn what_waits_on_a_members_disk_is_delivered_by_the_next_one_in_its_order() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let scene = scene(33, 2_000);
    let sites = [0, 1, 2].map(|_| following("classic", &scene, &topic));
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
    wait_for_all(&scene);
    end_all([second, third]);
    scene.oracle.assert_exactly_once(&scene.fleet);
}

#[test]
fn a_member_that_is_killed_repeats_at_most_one_event_of_a_load_marked_and_counted_and_its_disk_is_not_needed()
{
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let scene = scene(34, 4_000);
    let mut members = Members::new("classic", &scene, &topic);
    members.scale(2);
    topic.produce(&scene.log[..2_000]);
    until("some are delivered", || scene.fleet.taken() > 800);
    // The one that comes instead has nothing on its disk.
    members.kill_one();
    topic.produce(&scene.log[2_000..]);
    wait_for_all(&scene);
    let counted = members.end();
    let given = scene.oracle.assert_nothing_lost(&scene.fleet);
    // A load has one delivery on the wire or not acknowledged by the topics, and the next one only when that has happened.
    assert!(given.repeats_of_a_load <= 1 && given.unmarked == 0, "{given:?}");
    assert!(given.repeats as u64 <= counted.crash, "{given:?}, {counted:?}");
}

/// A member stands still past its session, and finds nobody who could tell it so when it wakes.
fn one_stands_still(protocol: &str, seed: u64) {
    let Some(cluster) = KafkaCluster::of_three() else { return };
    let topic = cluster.topic(PARTITIONS);
    let scene = scene(seed, 2_000);
    let sites = [0, 1].map(|_| {
        let mut site = following(protocol, &scene, &topic);
        // So that it has a lot in memory when it stands still, and little on the wire.
        for broker in 0..scene.fleet.len() {
            site.set_broker(broker, "rate", 150.0);
            site.set_broker(broker, "burst", 1);
        }
        site
    });
    let [stopped, stays] = [sites[0].run(), sites[1].run()];
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    topic.produce(&scene.log);
    until("some are delivered", || scene.fleet.taken() > 300);
    stopped.pause();
    wait_for_all(&scene);
    (0..cluster.nodes()).for_each(|node| cluster.pause(node));
    let arrived = || scene.fleet.iter().map(|tms| tms.arrivals().len()).sum::<usize>();
    let before = arrived();
    stopped.resume();
    pause(Duration::from_secs(2));
    let sent = arrived() - before;
    for run in [stopped, stays] {
        let _killed = run.kill();
    }
    (0..cluster.nodes()).for_each(|node| cluster.resume(node));
    let given = scene.oracle.judge_all(&scene.fleet);
    assert!(sent <= ON_THE_WIRE, "{sent} were sent when it woke: {given:?}");
    // What was on the wire when it was stopped, or not acknowledged by the topics, may have been taken twice; what was just
    // being written comes behind what the other has sent, and does not know of it.
    for DeliveryCounts { missing, repeats_of_a_load, unmarked, out_of_order, .. } in &given {
        assert!(*missing == 0 && *repeats_of_a_load <= 1, "{given:?}");
        assert!(*unmarked <= sent && *out_of_order <= sent, "{sent} were sent when it woke: {given:?}");
    }
}

#[test]
fn a_member_that_stood_still_past_its_session_sends_nothing_of_what_others_have_by_then() {
    one_stands_still("classic", 36);
}

#[test]
fn a_member_of_the_new_protocol_that_stood_still_sends_nothing_of_what_others_have_by_then() {
    one_stands_still("consumer", 37);
}

fn members_come_and_go(protocol: &str, seed: u64) {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let short = Volume {
        events: 4_800,
        pace: 400,
        partitions: PARTITIONS,
        few: 1,
        many: 2,
        rounds: 2,
        kills: 0,
        node_kills: 0,
    };
    let volume = Volume { kills: 0, node_kills: 0, ..short.or_of_environment() };
    let topic = cluster.topic(volume.partitions);
    let given = scale_out_and_in(protocol, seed, &volume, &topic);
    assert_eq!(given, DeliveryCounts { events: given.events, ..DeliveryCounts::default() }, "{volume:?}");
}

#[test]
fn members_come_and_go_under_load_and_each_event_comes_once_and_in_order() {
    members_come_and_go("classic", 31);
}

#[test]
fn members_of_the_new_protocol_come_and_go_under_load_and_each_event_comes_once_and_in_order() {
    members_come_and_go("consumer", 32);
}

#[test]
fn members_and_nodes_are_killed_while_members_come_and_go_and_nothing_is_lost_and_every_repeat_says_so() {
    let Some(cluster) = KafkaCluster::of_three() else { return };
    let short = Volume {
        events: 4_800,
        pace: 400,
        partitions: PARTITIONS,
        few: 1,
        many: 3,
        rounds: 1,
        kills: 2,
        node_kills: 1,
    };
    let volume = short.or_of_environment();
    let topic = cluster.topic(volume.partitions);
    let given = scale_out_and_in("classic", 35, &volume, &topic);
    assert_eq!(given.unmarked, 0, "{given:?}");
    // Each kill may cost a load the one delivery that it has on the wire.
    assert!(given.repeats_of_a_load <= volume.kills, "{given:?}");
}

/// Scales out and in under load, with kills in between; what came.
fn scale_out_and_in(protocol: &str, seed: u64, volume: &Volume, topic: &KafkaTopic<'_>) -> DeliveryCounts {
    let scene = scene(seed, volume.events);
    let mut members = Members::new(protocol, &scene, topic);
    members.scale(volume.few);
    let [events, kills, nodes] =
        [volume.events, volume.kills, volume.node_kills].map(|all| volume.of_each_move(all));
    let (mut produced, mut next_node) = (0, 0);
    for (nth, count) in events.into_iter().enumerate() {
        under_load(&scene, topic, volume, (produced, count), || {
            members.scale(if nth % 2 == 0 { volume.many } else { volume.few });
            for _ in 0..kills[nth] {
                members.kill_one();
                pause(Duration::from_secs(3));
            }
            for _ in 0..nodes[nth] {
                kill_node(topic, next_node % 3);
                next_node += 1;
            }
        });
        produced += count;
    }
    wait_for_all(&scene);
    let counted = members.end();
    let given = scene.oracle.assert_nothing_lost(&scene.fleet);
    seen(&format!("{protocol}, {volume:?}: {given:?}; counted by members that ended well: {counted:?}"));
    given
}

/// Says what was seen, also of a form that is fine.
#[allow(clippy::print_stdout, reason = "it is for whoever runs the long form, with --nocapture")]
fn seen(what: &str) {
    println!("{what}");
}

/// A node dies, and comes back while events flow.
fn kill_node(topic: &KafkaTopic<'_>, node: usize) {
    topic.cluster().kill(node);
    pause(Duration::from_secs(5));
    topic.cluster().start_again(node);
    topic.cluster().wait_until_whole();
}
