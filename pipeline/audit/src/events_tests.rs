//! Which event corrects a load that stands wrong at some broker.

use super::*;
use crate::judge::judge;

/// A delivery at a second of load L-1: broker, event, when it occurred. Each event has its own status, and e-0 none.
fn delivery(broker: &str, event: &str, second: u64, occurred_at: Option<UnixMillis>) -> Delivery {
    Delivery {
        broker: broker.into(),
        load: "L-1".into(),
        event: event.into(),
        status: if event == "e-0" { String::new() } else { format!("status of {event}") },
        digest: String::new(),
        at: second * 1_000,
        place: second,
        occurred_at,
        sequence: None,
        outcome: Outcome::Taken,
    }
}

/// What an audit gives of these deliveries, sorted.
fn given(mut deliveries: Vec<Delivery>, statuses: &StatusOrder) -> Vec<FirstTaken> {
    deliveries.sort_by(Sorted::order);
    let loads = deliveries.chunk_by(Delivery::is_with);
    let mut all: Vec<_> = loads.flat_map(|load| FirstTaken::of_load(load, &judge(load, statuses))).collect();
    all.sort_by(Sorted::order);
    all
}

/// What is written of them.
fn written(deliveries: Vec<Delivery>, statuses: &StatusOrder) -> (Written, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let events = CorrectionEvents::create(&path, statuses).unwrap();
    let written = events.write(given(deliveries, statuses).into_iter().map(Ok)).unwrap();
    assert!(CorrectionEvents::create(&path, statuses).is_err(), "it is not overwritten");
    (written, std::fs::read_to_string(path).unwrap())
}

/// The event that is corrected, of deliveries without numbers: broker, event, second.
fn corrected(
    deliveries: &[(&str, &str, u64)],
    occurred_at: Option<UnixMillis>,
    order: &[&str],
) -> Option<String> {
    let all = deliveries.iter().map(|(broker, event, second)| delivery(broker, event, *second, occurred_at));
    let (_, text) = written(all.collect(), &StatusOrder::new(order.iter().copied()));
    let event: serde_json::Value = serde_json::from_str(text.lines().next()?).unwrap();
    Some(event["corrects"].as_str().unwrap().to_owned())
}

#[test]
fn a_load_that_stands_wrong_anywhere_gets_its_newest_status_of_all_brokers_once() {
    let numbered = |load: &str, broker: &str, event: &str, second, sequence| Delivery {
        load: load.into(),
        sequence: Some(sequence),
        ..delivery(broker, event, second, Some(1_000))
    };
    let deliveries = vec![
        numbered("L-1", "acme", "e-5", 1, 5),
        numbered("L-1", "bolt", "e-4", 2, 4),
        numbered("L-1", "bolt", "e-3", 3, 3),
        numbered("L-2", "acme", "e-9", 4, 9),
        numbered("L-3", "acme", "e-0", 5, 2),
        numbered("L-3", "acme", "e-8", 6, 1),
    ];
    let statuses = StatusOrder::default();
    let (counts, text) = written(deliveries.clone(), &statuses);
    assert_eq!(counts, Written { events: 1, without_status: 1 });
    let event: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (&event["loadId"], &event["corrects"], &event["sequence"]),
        (&json!("L-1"), &json!("e-5"), &json!(5))
    );
    assert_eq!(event["occurredAt"], "1970-01-01T00:00:01Z");
    assert!(event["eventId"].as_str().unwrap().starts_with("correction-"), "{event}");
    assert_eq!(written(deliveries, &statuses).1, text, "the same logs give the same events");
}

#[test]
fn of_equals_the_event_that_was_first_taken_last_is_sent_whatever_its_broker_is_called() {
    // bolt stands wrong, and what acme was given last is newer than all that bolt was given.
    let log = [
        ("acme", "e-1", 10),
        ("acme", "e-2", 30),
        ("bolt", "e-1", 10),
        ("bolt", "e-3", 20),
        ("bolt", "e-1", 25),
    ];
    let renamed =
        log.map(|(broker, event, second)| (if broker == "acme" { "zeta" } else { broker }, event, second));
    for log in [log, renamed] {
        let occurred = Some(7);
        assert_eq!(corrected(&log, None, &[]).as_deref(), Some("e-2"));
        assert_eq!(corrected(&log, occurred, &[]).as_deref(), Some("e-2"));
    }
    let right = &log[..4];
    assert_eq!(corrected(right, None, &[]), None, "it stands right at both");
}

#[test]
fn an_event_is_as_new_as_its_first_delivery_to_any_broker() {
    // bolt was given e-3 late; acme had it before e-2, the newest.
    let late = [
        ("acme", "e-1", 10),
        ("acme", "e-3", 20),
        ("acme", "e-2", 30),
        ("bolt", "e-1", 10),
        ("bolt", "e-3", 40),
        ("bolt", "e-1", 45),
    ];
    assert_eq!(corrected(&late, None, &[]).as_deref(), Some("e-2"));
    // acme was given e-2 once more behind all others: it is no newer for that.
    let repeated = [("acme", "e-2", 10), ("acme", "e-2", 50), ("bolt", "e-3", 20), ("bolt", "e-4", 30)];
    let repeated = [&repeated[..], &[("bolt", "e-3", 35)]].concat();
    assert_eq!(corrected(&repeated, None, &[]).as_deref(), Some("e-4"));
}

#[test]
fn a_higher_rank_is_newer_whenever_it_was_taken() {
    let order = ["status of e-1", "status of e-3", "status of e-2"];
    let log = [("acme", "e-2", 10), ("bolt", "e-3", 20), ("bolt", "e-1", 30)];
    assert_eq!(corrected(&log, None, &order).as_deref(), Some("e-2"));
    assert_eq!(corrected(&log, None, &[]), None, "without an order nothing is found to be set back");
}

#[test]
fn what_had_no_answer_is_no_first_delivery() {
    let mut unclear = delivery("bolt", "e-2", 1, None);
    unclear.outcome = Outcome::Unclear;
    let all = given(vec![unclear, delivery("bolt", "e-2", 3, None)], &StatusOrder::default());
    assert_eq!(all.iter().map(|first| first.at.0).collect::<Vec<_>>(), [3_000]);
}
