//! `loadline produce` onto a topic of Kafka.

use kafka_engine::produce::partition_of;
use serde_json::json;
use tests::{Events, Fleet, KafkaCluster, KafkaRecord, Site, Wants};

use crate::site::{group, member};

fn produced(site: &Site) -> serde_json::Value {
    let ended = site.produce("1m").expect(0);
    serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap()["produced"].clone()
}

#[test]
fn events_go_where_javas_producer_puts_their_load_in_order_and_once_though_leaders_die() {
    let Some(cluster) = KafkaCluster::of_three() else { return };
    let topic = cluster.topic(5);
    let log = Events::new(61, 40).take(3_000);
    let fleet = Fleet::start(1);
    let site = member(&fleet, &[Wants::all()], &topic, &group(&topic));
    site.write(&log);
    site.append_bytes(b"no event\n");
    cluster.pause(1);
    let told = std::thread::scope(|scope| {
        let producing = scope.spawn(|| produced(&site));
        cluster.kill(0);
        cluster.resume(1);
        cluster.start_again(0);
        producing.join().unwrap()
    });
    let expected = json!({
        "read": 3_001, "taken": 3_001, "without_load": 1, "too_long": 0, "sent_again": 0, "partitions": 5,
    });
    assert_eq!(told, expected);
    let (found, mut by_load) = (topic.records(), 0);
    for load in log.iter().map(|event| &event.load_id).collect::<std::collections::BTreeSet<_>>() {
        let of_load: Vec<_> =
            log.iter().filter(|event| event.load_id == *load).map(KafkaRecord::of).collect();
        let there: Vec<_> =
            found.iter().filter(|record| record.key.as_deref() == Some(load.as_bytes())).collect();
        let partition = i32::try_from(partition_of(load.as_bytes(), 5)).unwrap();
        assert!(there.iter().all(|record| record.partition == Some(partition)), "{load}");
        assert!(
            there.iter().map(|record| &record.value).eq(of_load.iter().map(|record| &record.value)),
            "{load}"
        );
        by_load += there.len();
    }
    assert_eq!((by_load, found.len()), (3_000, 3_001));
    let without = found.iter().find(|record| record.key.is_none()).unwrap();
    assert_eq!((without.partition, without.value.as_deref()), (Some(0), Some(&b"no event"[..])));
}

#[test]
fn a_topic_that_is_not_there_and_a_record_that_it_does_not_take_are_named() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic_with(1, &[("max.message.bytes", "2000")]);
    let fleet = Fleet::start(1);
    let mut site = member(&fleet, &[Wants::all()], &topic, &group(&topic));
    site.write_bytes(&[&vec![b'x'; 30_000][..], b"\n"].concat());
    let ended = site.produce("1m").expect(1);
    assert!(ended.stderr.contains("max.message.bytes"), "{ended:?}");
    site.set("source.topic", "no-such-topic");
    let ended = site.produce("1m").expect(1);
    assert!(ended.stderr.contains("topic no-such-topic does not exist; create it"), "{ended:?}");
}
