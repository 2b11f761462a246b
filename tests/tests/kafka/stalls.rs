//! A line that is full for longer than a rebalance waits for a member.

use tests::{Events, Fleet, KafkaCluster, Oracle, Wants, until};

use crate::site::{end, group, member, status};

#[test]
fn a_line_that_is_full_for_longer_than_max_poll_interval_keeps_its_partitions() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(2);
    let log = Events::new(41, 50).take(300);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let mut site = member(&fleet, &wants, &topic, &group(&topic));
    site.set("delivery.timeout", "4s");
    site.set("source.max_poll_interval", "10s");
    // The quota keeps it full for about half a minute: nothing else is slow, so nothing waits on disk.
    site.set_broker(0, "rate", 10);
    site.set("limits.in_flight_max", 48);
    site.set("limits.per_broker_max", 32);
    site.set("limits.spill_after", "10m");
    topic.produce(&log);
    let run = site.run();
    until("all is delivered", || fleet.taken() == 300);
    let group_now = &status(&site)["group"];
    assert_eq!((&group_now["rebalances"], &group_now["lost"]), (&1.into(), &0.into()), "{group_now}");
    end(run);
    oracle.assert_exactly_once(&fleet);
}
