//! The log is gone before it was read: never a silent jump.

use tests::{Events, Fleet, KafkaCluster, KafkaRecord, Oracle, ShipmentEvent, Wants, until};

use crate::site::{end, group, member, status};

/// The events, the first half in partition 0 and the others in partition 1.
fn halves(log: &[ShipmentEvent]) -> Vec<KafkaRecord> {
    let half = log.len() / 2;
    let record = |(index, event)| {
        let partition = Some(i32::from(index >= half));
        KafkaRecord { partition, ..KafkaRecord::of(event) }
    };
    log.iter().enumerate().map(record).collect()
}

#[test]
fn retention_that_overtakes_a_stopped_run_is_named_as_a_range_and_stops_that_partition_alone() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(2);
    // No load is in both halves.
    let (first, second) = (Events::new(31, 1).take(400), Events::new(32, 50).take(800));
    let second: Vec<_> =
        second.into_iter().filter(|event| event.load_id != first[0].load_id).take(400).collect();
    let log = [&first[..], &second].concat();
    let records = halves(&log);
    let before: Vec<_> = [&records[..100], &records[400..500]].concat();
    let after: Vec<_> = [&records[100..400], &records[500..]].concat();
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let mut site = member(&fleet, &wants, &topic, &group(&topic));
    topic.append(&before);
    let run = site.run();
    until("the first part is delivered", || fleet.taken() == 200);
    end(run);
    topic.append(&after);
    topic.delete_before(0, 250);

    let run = site.run();
    until("the other partition is delivered", || fleet.taken() == 500);
    until("the range is named", || run.log().contains("100 to 249"));
    let told = status(&site);
    let lost = told["partitions"][0]["reading"]["lost"].clone();
    assert!(lost[0].as_str().is_some_and(|lost| lost.contains("100 to 249")), "{told}");
    run.terminate();
    assert_eq!(run.wait().summary().losses, 1);
    assert_eq!(topic.committed(&group(&topic)), [Some(100), Some(400)], "nothing was passed over");

    site.set("source.on_loss", "continue");
    let run = site.run();
    until("what is left is delivered", || fleet.taken() == 650);
    let shown = site.loadline(&["status"]);
    assert!(shown.stdout.contains("lost before it was read of kafka:"), "{shown:?}");
    run.terminate();
    let ended = run.wait();
    assert!(ended.stdout.contains("100 to 249"), "{ended:?}");
    assert_eq!(ended.summary().losses, 1, "counted, and so an end with 6 by --strict");
    let there = [&first[..100], &first[250..], &second[..]].concat();
    Oracle::new(&there, &wants).assert_exactly_once(&fleet);
}
