//! Events as producers send them: several in one record, CloudEvents in a post's headers, ids that are not given, and
//! statuses that nobody has listed. Each through a whole process.

use std::time::Duration;

use lab::receiver::Behaviour;
use serde_json::{Value, json};
use tests::{Fleet, Producer, Site, Wants, pause, until};

use crate::dead_letters::{dead, finish, following, letters, list, start, status};

fn event(id: &str, load: &str, status: &str) -> Value {
    json!({"eventId": id, "loadId": load, "status": status, "occurredAt": "2025-06-01T00:00:00Z"})
}

/// The bodies that a receiver has taken, in order.
fn taken(fleet: &Fleet, index: usize) -> Vec<String> {
    let arrivals = fleet.tms(index).arrivals();
    arrivals.iter().map(|arrival| String::from_utf8_lossy(&arrival.body).into_owned()).collect()
}

fn record(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

#[test]
fn the_events_of_one_record_are_delivered_each_by_itself_and_a_bad_one_is_a_letter_of_its_own() {
    let fleet = Fleet::start(1);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("schema.events", "/events");
    let good = [event("a", "L", "matched"), event("b", "L", "accepted"), event("c", "M", "matched")];
    let record_of_four = json!({"n": 1, "events": [good[0], {"eventId": "bad"}, good[1], good[2]]});
    let bytes =
        [record(&record_of_four), record(&json!({"events": []})), record(&event("d", "L", "delivered"))];
    site.write_bytes(&bytes.concat());
    let summary = site.run().wait().summary();
    assert_eq!((summary.records, summary.settled), (3, 3));
    assert_eq!((summary.delivered, summary.dead_letters), (4, 1));
    let mut bodies = taken(&fleet, 0);
    let of_load = |bodies: &[String]| -> Vec<String> {
        bodies.iter().filter(|body| body.contains(r#""loadId":"L""#)).cloned().collect()
    };
    let expected = [&good[0], &good[1], &event("d", "L", "delivered")].map(Value::to_string);
    assert_eq!(of_load(&bodies), expected, "in the order of the record, then of the log");
    bodies.sort();
    assert_eq!(bodies.len(), 4);
    let letter = &list(&site, &[])[0];
    assert!(letter["id"].as_str().unwrap().ends_with("@0:0.1"), "{letter}");
    assert_eq!((&letter["index"], &letter["body"]), (&json!(1), &json!(r#"{"eventId":"bad"}"#)));
    let shown = site.loadline_with(&["dead", "show"], &[letter["id"].as_str().unwrap()]).expect(0);
    assert!(shown.stdout.contains("missing-field"), "{shown:?}");
}

#[test]
fn a_kill_between_the_events_of_a_record_loses_none_and_repeats_none_that_was_recorded() {
    let fleet = Fleet::start(1);
    let mut site = following(&fleet);
    site.set("schema.events", "/events");
    let events: Vec<Value> =
        (0..200).map(|n| event(&format!("e{n}"), &format!("L{}", n % 7), "matched")).collect();
    site.write_bytes(&record(&json!({ "events": events })));
    fleet.tms(0).behave(Behaviour { latency: Duration::from_millis(4), ..Behaviour::default() });
    let run = start(&site);
    until("some have arrived", || fleet.tms(0).taken() > 40);
    run.kill();
    let run = start(&site);
    until("all have arrived", || {
        let mut bodies = taken(&fleet, 0);
        bodies.sort();
        bodies.dedup();
        bodies.len() == 200
    });
    until("the record is settled", || status(&site)["settled"] == 1);
    finish(run);
}

#[test]
fn a_cloudevent_in_headers_is_one_event_with_its_attributes_and_a_batch_is_several() {
    let fleet = Fleet::start(1);
    let mut site = Site::with_posts(&fleet, &[Wants::all()]);
    site.set("schema.preset", "cloudevents");
    let mut run = site.run();
    let producer = Producer::new(run.listening());
    let data = r#"{"loadId": 7, "status": " Posted "}"#;
    let headers = |id: &'static str| {
        [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/a%20b"),
            ("ce-type", "t"),
        ]
    };
    assert_eq!(producer.post_with(&headers("1"), data).status, 202);
    assert_eq!(producer.post_with(&headers("1"), data).status, 202, "a repeat");
    let in_batch = |id: &str| json!({"specversion": "1.0", "id": id, "source": "/b", "type": "t", "data": {"loadId": "M", "status": "matched"}});
    let batch = json!([in_batch("1"), in_batch("2")]).to_string();
    let kind = [("content-type", "application/cloudevents-batch+json")];
    assert_eq!(producer.post_with(&kind, batch).status, 202);
    fleet.tms(0).wait_for(3);
    pause(Duration::from_millis(100));
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.records, summary.delivered, summary.duplicates, summary.dead_letters), (4, 3, 1, 0));
    let first: Value = serde_json::from_str(&taken(&fleet, 0)[0]).unwrap();
    assert_eq!((&first["source"], &first["data"]["loadId"]), (&json!("/a b"), &json!(7)));
}

#[test]
fn a_status_nobody_has_listed_passes_in_its_loads_order_and_is_counted() {
    let fleet = Fleet::start(1);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("rules.unknown_status", "pass");
    site.set("schema.event_id", "digest");
    let statuses = ["MATCHED", "DETENTION_STARTED", "delivered "];
    let events = statuses.map(|status| json!({"loadId": "L", "status": status, "occurredAt": 1_748_736_000}));
    site.write_bytes(&events.iter().flat_map(record).collect::<Vec<_>>());
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (3, 0));
    assert_eq!(taken(&fleet, 0), events.map(|event| event.to_string()));
    let ids: Vec<_> = fleet.tms(0).arrivals().iter().map(|arrival| arrival.webhook_id.clone()).collect();
    assert!(ids.iter().all(|id| id.starts_with("sha256-")), "{ids:?}");
}

#[test]
fn a_letter_that_later_events_of_its_load_have_passed_is_told_and_not_sent_behind_them_unless_it_is_forced() {
    let fleet = Fleet::start(1);
    let mut site = following(&fleet);
    site.set("rules.unknown_status", "dead");
    let log = [
        event("a", "L", "lost"),
        event("b", "M", "lost"),
        event("c", "L", "delivered"),
        event("d", "L", "lost"),
    ];
    site.write_bytes(&log.iter().flat_map(record).collect::<Vec<_>>());
    let run = start(&site);
    until("all are settled", || status(&site)["settled"] == 4 && letters(&site) == 3);
    until("the status tells it", || status(&site)["deadLetters"]["overtaken"] == 1);
    let passed = |site: &Site, event: &str| list(site, &["--event", event])[0]["passedBy"].clone();
    assert_eq!(
        (&passed(&site, "a")["eventId"], passed(&site, "b"), passed(&site, "d")),
        (&json!("c"), Value::Null, Value::Null)
    );
    let id = list(&site, &["--event", "a"])[0]["id"].as_str().unwrap().to_owned();
    let shown = site.loadline_with(&["dead", "show"], &[&id]).expect(0).stdout;
    assert!(shown.contains("passed by c of the same load"), "{shown}");

    // What was not an event becomes one; the one that is newer than all that was delivered goes, and so does another load's.
    site.set("rules.unknown_status", "pass");
    site.save();
    let _reloaded = site.loadline(&["reload"]).expect(0);
    let dry = dead(&site, "replay", &["--all", "--dry-run"]);
    assert_eq!((&dry["counts"]["replayed"], &dry["counts"]["overtaken"]), (&json!(2), &json!(1)));
    let replayed = dead(&site, "replay", &["--all"]);
    assert_eq!(replayed["counts"], dry["counts"]);
    let named = &replayed["counts"]["overtakenBy"][0];
    assert_eq!(
        (&named["letter"], &named["eventId"], &named["passedBy"]["eventId"]),
        (&json!(id), &json!("a"), &json!("c"))
    );
    fleet.tms(0).wait_for(3);
    let told = site.loadline_with(&["dead", "replay"], &["--all"]).expect(1).stdout;
    assert!(told.contains("--force") && told.contains(", event a: behind event "), "{told}");
    assert_eq!(fleet.tms(0).taken(), 3);

    // In the directory as in the process.
    finish(run);
    assert!(passed(&site, "a")["eventId"].is_string());
    let told = site.loadline_with(&["dead", "replay"], &["--all", "--json"]).expect(1).stdout;
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["counts"]["overtaken"], 1);
    let run = start(&site);
    assert_eq!(dead(&site, "replay", &["--all", "--force"])["counts"]["replayed"], 1);
    fleet.tms(0).wait_for(4);
    until("it is no letter", || letters(&site) == 0 && status(&site)["deadLetters"]["overtaken"] == 0);
    finish(run);
}
