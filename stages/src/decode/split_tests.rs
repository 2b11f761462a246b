//! Records of several events: each has its own bytes and its index, and what cannot be split stays whole.

use proptest::prelude::*;
use state::Position;

use super::*;

fn record(text: &str) -> RawRecord {
    let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
    RawRecord {
        position: Position::new("test".into(), 2, 7),
        full_len: bytes.len() as u64,
        bytes,
        read_at: 1,
        unreadable: None,
        id: Some("h".into()),
        traceparent: None,
    }
}

fn under(pointer: &str) -> Schema {
    Schema::flat().with_events(pointer).unwrap()
}

fn split(schema: &Schema, text: &str) -> Events {
    Split::by(&Decode::new(schema.clone())).events(record(text))
}

/// The bytes of each event; none if the record stays whole.
fn events(schema: &Schema, text: &str) -> Option<Vec<String>> {
    match split(schema, text) {
        Events::One(raw) => {
            assert_eq!(raw, record(text));
            None
        }
        Events::Nothing(_) => Some(Vec::new()),
        Events::Several(events) => {
            for (at, event) in (0..).zip(&events) {
                assert_eq!(event.position, record(text).position.of_event(at));
                assert_eq!((event.full_len, event.read_at), (event.bytes.len() as u64, 1));
                assert_eq!(event.id, None, "a header names the record, not each event");
            }
            Some(events.iter().map(|event| String::from_utf8(event.bytes.to_vec()).unwrap()).collect())
        }
    }
}

fn cause(schema: &Schema, text: &str) -> (&'static str, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(Decode::new(schema.clone()).run(record(text))) {
        Err(Exit::Verdict(Verdict::Rejected(no))) => (no.cause, no.detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_elements_of_an_array_are_events_byte_by_byte() {
    let flat = Schema::flat();
    let text = " [ {\"a\" : 1.50}, [1, 2],null ,\"x\\n\"] ";
    assert_eq!(events(&flat, text).unwrap(), ["{\"a\" : 1.50}", "[1, 2]", "null", "\"x\\n\""]);
    assert_eq!(events(&flat, "[]").unwrap(), [""; 0]);
    assert_eq!(events(&flat, "{\"a\": []}"), None);
    assert_eq!(events(&Schema::cloudevents(), "[{},{}]").unwrap().len(), 2);
}

#[test]
fn an_array_may_stand_anywhere_in_the_record_also_in_a_text() {
    for (pointer, text, expected) in [
        ("/events", "{\"n\": 1, \"events\": [{\"a\": 1}, {}]}", vec!["{\"a\": 1}", "{}"]),
        ("/m/0/sets", "{\"m\": [{\"x\": 1, \"sets\": [{\"s\":1}]}, 2]}", vec!["{\"s\":1}"]),
        ("/body/events", r#"{"body": "{\"events\": [{\"a\":\"ü\"},{}]}"}"#, vec![r#"{"a":"ü"}"#, "{}"]),
        ("/Message", r#"{"Message": "[{\"a\":1},{}]"}"#, vec![r#"{"a":1}"#, "{}"]),
        // One event that a converter of XML has not put into an array.
        ("/events", "{\"events\": {\"a\": 1}}", vec!["{\"a\": 1}"]),
        (
            "/events",
            "[{\"a\": 1}, {\"events\": [{\"b\": 1}, 2]}, {\"events\": []}, 3]",
            vec!["{\"a\": 1}", "{\"b\": 1}", "2", "3"],
        ),
        ("/events", "{\"events\": []}", vec![]),
    ] {
        assert_eq!(events(&under(pointer), text).unwrap(), expected, "{pointer} {text}");
    }
}

#[test]
fn what_has_no_array_of_events_stays_one_record() {
    for text in [
        "{\"event\": 1}",
        "{\"events\": null}",
        "{\"events\": \"text\"}",
        "{\"events\": 3}",
        "{\"events\": [1}",
        "{\"events\": [1]} x",
        "[1, 2",
        "[1] [2]",
        "",
        "7",
    ] {
        assert_eq!(events(&under("/events"), text), None, "{text}");
    }
    let marked = split(&Schema::flat(), "\u{feff}[1,2]");
    assert!(matches!(marked, Events::Several(events) if events.len() == 2));
    assert_eq!(
        split(&Schema::flat(), "\u{feff}{}"),
        Events::One(record("{}")),
        "a mark is no part of a record"
    );
    let cut = RawRecord { full_len: 99, ..record("[{}]") };
    let split = Split::by(&Decode::new(Schema::flat()));
    assert_eq!(split.events(cut.clone()), Events::One(cut));
    let nth = RawRecord { position: Position::new("t".into(), 0, 0).of_event(1), ..record("[{}]") };
    assert_eq!(split.events(nth.clone()), Events::One(nth), "an event is not split again");
    assert!(matches!(Split::default().events(record("[{}]")), Events::One(_)));
}

#[test]
fn what_cannot_be_split_says_why() {
    let few = Schema::flat().with_events_max(2);
    assert_eq!(events(&few, "[1,2]").unwrap().len(), 2);
    assert_eq!(events(&few, "[1,2,3]"), None);
    let told = "the record has more than 2 events: send fewer at once, or raise schema.events_max";
    assert_eq!(cause(&few, "[1,2,3]"), ("too-many-events", told.into()));
    let few_under = few.clone().with_events("/events").unwrap();
    assert_eq!(events(&few_under, "[{\"events\": [1]}, {\"events\": [1]}]").unwrap().len(), 2);
    assert_eq!(cause(&few_under, "[{\"events\": [1]}, {\"events\": [1, 2]}]").0, "too-many-events");
    assert_eq!(cause(&few, "[1,2").0, "not-json");
    assert_eq!(cause(&few, "[1] 2").0, "trailing-data");
    let deep = format!("[{}{}]", "[".repeat(64), "]".repeat(64));
    assert_eq!(events(&Schema::flat(), &deep).unwrap().len(), 1, "as deep as an event may be");
    assert_eq!(cause(&Schema::flat(), &format!("[{deep}]")).0, "too-deep");
    let twice = "{\"events\": [1], \"events\": [2]}";
    assert_eq!(events(&under("/events"), twice), None);
    assert_eq!(cause(&under("/events"), twice).0, "duplicate-key");
}

proptest! {
    #[test]
    fn any_bytes_are_split_or_stay_whole(
        text in "[\\[\\]{},:\"a1\\\\ ]{0,60}|\\[(\\{\"a\":1\\},?){0,5}\\]|\\{\"events\":\\[[1,{} ]{0,9}\\]\\}",
    ) {
        for schema in [Schema::flat(), under("/events"), under("/a/0")] {
            if let Some(events) = events(&schema, &text) {
                for event in events {
                    prop_assert!(serde_json::from_str::<IgnoredAny>(&event).is_ok(), "{}", event);
                }
            }
        }
    }
}
