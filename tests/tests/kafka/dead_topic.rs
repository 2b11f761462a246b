//! Dead letters on a topic of Kafka: all that the state directory has, as an export has them.

use std::collections::BTreeMap;

use kafka_engine::produce::partition_of;
use lab::receiver::Behaviour;
use serde_json::Value;
use tests::{Events, Fleet, KafkaCluster, KafkaTopic, Listener, Site, Wants, until};

/// A site that reads a file and publishes its letters.
fn site(fleet: &Fleet, dead: &KafkaTopic<'_>) -> Site {
    let mut site = Site::new(fleet, &vec![Wants::all(); fleet.len()]);
    let brokers = dead.cluster().bootstrap(Listener::Plain);
    site.set("source.follow", true);
    site.set("dead_topic.bootstrap", brokers.split(',').collect::<Vec<_>>());
    site.set("dead_topic.topic", dead.name());
    site.set("dead_topic.timeout", "3s");
    site.set("dead_topic.backoff_max", "1s");
    site.set("dead_topic.grace", "1m");
    site
}

fn by_id<'l>(lines: impl Iterator<Item = &'l [u8]>) -> BTreeMap<String, Value> {
    let letters = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    letters.map(|letter| (letter["id"].as_str().unwrap().to_owned(), letter)).collect()
}

fn published(dead: &KafkaTopic<'_>) -> BTreeMap<String, Value> {
    let records = dead.records();
    by_id(records.iter().map(|record| record.value.as_deref().unwrap()))
}

#[test]
fn letters_come_to_the_topic_as_an_export_has_them_and_a_load_stays_where_its_events_are() {
    let Some(cluster) = KafkaCluster::of_three() else { return };
    let dead = cluster.topic(3);
    let log = Events::new(71, 30).take(500);
    let fleet = Fleet::start(1);
    fleet.tms(0).behave(Behaviour { status: 422.try_into().unwrap(), ..Behaviour::default() });
    let site = site(&fleet, &dead);
    site.write(&log[..250]);
    site.append_bytes(b"not json\n");
    let run = site.run();
    until("the first letters are on the topic", || published(&dead).len() == 251);
    // Two of three: nothing is taken until one is back.
    cluster.kill(1);
    cluster.kill(2);
    site.append(&log[250..]);
    until("publishing is in trouble", || run.log().contains("dead letters cannot be published"));
    cluster.start_again(1);
    cluster.start_again(2);
    cluster.wait_until_whole();
    until("all letters are on the topic", || published(&dead).len() == 501);
    run.terminate();
    let summary: Value = serde_json::from_str(&run.wait().expect(0).stdout).unwrap();
    assert_eq!((&summary["dead_letters"], &summary["unpublished"]), (&501.into(), &0.into()));

    let exported = site.loadline(&["dead", "export"]).expect(0).stdout;
    assert_eq!(published(&dead), by_id(exported.lines().map(str::as_bytes)));
    for record in dead.records() {
        let partition = record.key.map_or(0, |key| i32::try_from(partition_of(&key, 3)).unwrap());
        assert_eq!(record.partition, Some(partition));
    }
}
