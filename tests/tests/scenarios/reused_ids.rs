//! An id that comes again: with the same body it is a duplicate, with another one a conflict.

use bytes::Bytes;
use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, ShipmentEvent, Site, Wants};

/// The same event with one more field.
fn corrected(event: &ShipmentEvent) -> ShipmentEvent {
    let body = String::from_utf8(event.body.to_vec()).unwrap();
    let body = Bytes::from(body.replacen('{', r#"{"correction":true,"#, 1));
    ShipmentEvent { body, ..event.clone() }
}

#[test]
fn duplicates_are_delivered_once_and_another_body_under_a_known_id_is_a_conflict_for_each_broker() {
    let mut log = Events::new(110, 10).take(200);
    let original = log.clone();
    // Right behind it, and far behind it.
    log.insert(101, log[100].clone());
    log.extend_from_slice(&original[..50]);
    log.push(corrected(&original[7]));
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&original, &wants);
    let site = Site::new(&fleet, &wants);
    site.write(&log);

    let summary = site.run().wait().summary();
    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.delivered, summary.duplicates, summary.dead_letters), (400, 102, 2));
    let letters = site.dead_letters();
    let brokers: Vec<_> = letters.iter().map(|letter| letter.broker.clone().unwrap()).collect();
    assert_eq!(brokers, ["broker-0", "broker-1"]);
    for letter in &letters {
        assert_eq!((&*letter.stage, &*letter.cause), ("dedupe", "conflict"));
        assert_eq!(letter.body(), corrected(&original[7]).body);
        assert_eq!(letter.attempts, 0);
    }

    // Another run knows what this one knew.
    site.append(&original[20..30]);
    site.append(&[corrected(&original[8]), corrected(&original[7])]);
    let next = site.run().wait().summary();
    assert_eq!((next.delivered, next.duplicates, next.dead_letters), (0, 20, 4));
    oracle.assert_exactly_once(&fleet);
    assert_eq!(site.dead_letters().len(), 6);
}

#[test]
fn duplicates_and_conflicts_of_events_that_wait_on_disk_are_known_too() {
    let original = Events::new(111, 10).take(200);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&original, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.impatient();
    site.set("limits.drain", "200ms");
    fleet.tms(0).refuse();

    site.write(&original);
    let first = site.run().wait().summary();
    assert_eq!((first.delivered, first.spilled, first.settled), (200, 200, 200));

    // All again while broker 0 is still away, in this run and in the next one.
    site.append(&original);
    site.append(&[corrected(&original[3])]);
    let second = site.run().wait().summary();
    assert_eq!((second.records, second.settled), (201, 201));
    site.append(&original[..100]);
    fleet.tms(0).behave(Behaviour::default());
    site.set("limits.drain", "1h");
    let third = site.run().wait().summary();

    oracle.assert_exactly_once(&fleet);
    assert_eq!(third.spilled, 0);
    let conflicts = site.dead_letters();
    assert_eq!(conflicts.len(), 2, "{conflicts:?}");
    assert!(conflicts.iter().all(|letter| letter.cause == "conflict"));
    assert_eq!(first.duplicates + second.duplicates + third.duplicates, 200 + 200 + 100 + 100);
}
