//! Kafka's own nodes die and come back: leaders move, the group's coordinator with them.

use tests::{Events, Fleet, KafkaCluster, Oracle, Wants, until};

use crate::site::{end, group, member};

#[test]
fn each_node_dies_and_comes_back_and_every_event_is_delivered_once_and_in_order() {
    let Some(cluster) = KafkaCluster::of_three() else { return };
    let topic = cluster.topic(3);
    let log = Events::new(21, 100).take(4_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let site = member(&fleet, &wants, &topic, &group(&topic));
    let mut parts = log.chunks(1_000);
    topic.produce(parts.next().unwrap());
    let run = site.run();
    for node in 0..3 {
        until("some are delivered", || fleet.taken() > 1_000 * node + 100);
        cluster.kill(node);
        topic.produce(parts.next().unwrap());
        until("what was produced without it is delivered", || fleet.taken() >= 1_000 * (node + 2));
        cluster.start_again(node);
        cluster.wait_until_whole();
    }
    // One that leads a partition again is another kind of move: nobody died.
    cluster.elect_preferred_leaders();
    until("all is delivered", || fleet.taken() >= 4_000);
    end(run);
    oracle.assert_exactly_once(&fleet);
}
