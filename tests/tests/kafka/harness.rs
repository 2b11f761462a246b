//! The cluster itself: that what the scenarios do to it happens.

use tests::{Events, KafkaCluster, KafkaRecord, Listener, Transaction, until};

#[test]
fn a_topic_gives_what_was_put_there_and_not_what_was_aborted_or_deleted() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let log = Events::new(1, 10).take(300);
    let topic = cluster.topic(3);
    topic.produce(&log[..200]);
    let records: Vec<_> = log[200..].iter().map(KafkaRecord::of).collect();
    topic.transact("one", &records[..50], Transaction::Abort);
    topic.transact("one", &records[50..], Transaction::Commit);
    let found = topic.records();
    assert_eq!(found.len(), 250);
    let of_load = |load: &str, all: &[KafkaRecord]| {
        let mine = all.iter().filter(|record| record.key.as_deref() == Some(load.as_bytes()));
        mine.map(|record| record.value.clone().unwrap()).collect::<Vec<_>>()
    };
    let kept: Vec<_> = [&log[..200], &log[250..]].concat().iter().map(KafkaRecord::of).collect();
    for event in &log {
        assert_eq!(of_load(&event.load_id, &found), of_load(&event.load_id, &kept));
    }
    let (first, next) = topic.offsets()[1];
    assert_eq!(first, 0);
    topic.delete_before(1, next);
    assert!(topic.records().iter().all(|record| record.partition != Some(1)));
    topic.grow(4);
    assert_eq!(topic.committed("nobody"), [None; 4]);
    topic.delete();
    topic.create(1, &[]);
    assert_eq!(topic.offsets(), [(0, 0)]);
}

#[test]
fn a_node_that_is_killed_hands_its_partitions_over_and_comes_back() {
    let Some(cluster) = KafkaCluster::of_three() else { return };
    let log = Events::new(2, 10).take(60);
    let topic = cluster.topic(3);
    topic.produce(&log[..20]);
    cluster.kill(0);
    topic.produce(&log[20..40]);
    until("another node leads", || topic.leaders().iter().all(|leader| *leader != 1));
    cluster.start_again(0);
    cluster.wait_until_whole();
    cluster.pause(1);
    topic.produce(&log[40..]);
    cluster.resume(1);
    assert_eq!(topic.records().len(), 60);
    let addresses = cluster.bootstrap(Listener::SaslTls);
    assert_eq!(addresses.split(',').count(), 3);
}
