//! What stands beside an array of events is in each of them that lacks it, and changes none that does not.

use crate::{
    decode::{Decode, Events, Field, Place, Schema, Split},
    models::RawRecord,
};

fn record(text: &str) -> RawRecord {
    let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
    RawRecord::whole(state::Position::new("test".into(), 2, 7), bytes, 1)
}

fn schema(event_id: Place<&'static str>, load_id: &'static str, events: &str) -> Schema {
    let places = [
        (Field::EventId, vec![event_id]),
        (Field::LoadId, vec![Place::Pointer(load_id)]),
        (Field::Status, vec![Place::Pointer("/status")]),
        (Field::OccurredAt, vec![Place::Pointer("/at"), Place::Reading]),
    ];
    Schema::flat().with_places(places).unwrap().with_events(events).unwrap()
}

fn events(schema: &Schema, text: &str) -> Vec<String> {
    match Split::by(&Decode::new(schema.clone())).events(record(text)) {
        Events::Several(events) => events
            .iter()
            .map(|event| {
                assert_eq!(event.full_len, event.bytes.len() as u64);
                String::from_utf8(event.bytes.to_vec()).unwrap()
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_field_beside_the_array_is_in_each_event_that_has_none() {
    let flat = schema(Place::Pointer("/id"), "/loadId", "/events");
    let text = r#"{"loadId":"L\u00e9","at":17,"sequence":4,"events":[{"id":1,"n":1.50},{"id":2,"loadId":"M","at":3},
        {"id":3,"loadId":null,"at":""},{},7]}"#;
    let expected = [
        r#"{"loadId":"Lé","at":17,"id":1,"n":1.50}"#,
        r#"{"id":2,"loadId":"M","at":3}"#,
        r#"{"id":3,"loadId":"Lé","at":17}"#,
        r#"{"loadId":"Lé","at":17}"#,
        "7",
    ];
    assert_eq!(events(&flat, text), expected);
    let none = r#"{"other":1,"events":[{"id" : 1}]}"#;
    assert_eq!(events(&flat, none), [r#"{"id" : 1}"#], "byte by byte if there is nothing to take");
}

#[test]
fn it_may_stand_deep_or_in_a_text_and_goes_to_where_it_is_looked_for() {
    let deep = schema(Place::Pointer("/id"), "/data/load/id", "/data/list");
    let text = r#"{"data":{"load":{"id":9},"list":[{"id":1},{"id":2,"data":{"x":[1]}},{"id":3,"data":7}]}}"#;
    let expected = [
        r#"{"data":{"load":{"id":9}},"id":1}"#,
        r#"{"id":2,"data":{"load":{"id":9},"x":[1]}}"#,
        r#"{"id":3,"data":7}"#,
    ];
    assert_eq!(events(&deep, text), expected);
    let text = schema(Place::Pointer("/id"), "/body/load", "/body/events");
    let escaped = r#"{"body":"{\"load\":\"L\",\"events\":[{\"id\":1}]}"}"#;
    assert_eq!(events(&text, escaped), [r#"{"body":{"load":"L"},"id":1}"#]);
}

#[test]
fn an_id_is_not_that_of_all_events_but_may_be_a_part_of_each() {
    let own = schema(Place::Pointer("/id"), "/loadId", "/events");
    assert_eq!(events(&own, r#"{"id":"envelope","events":[{"loadId":"L"}]}"#), [r#"{"loadId":"L"}"#]);
    let joined = schema(Place::Joined(vec!["/batch", "/n"]), "/loadId", "/events");
    let text = r#"{"batch":"B","n":7,"events":[{"n":1,"loadId":"L"},{"loadId":"L"}]}"#;
    assert_eq!(events(&joined, text), [r#"{"batch":"B","n":1,"loadId":"L"}"#, r#"{"loadId":"L"}"#]);
    let digest = schema(Place::Digest, "/loadId", "/events");
    let loads =
        ["A", "B"].map(|load| events(&digest, &format!(r#"{{"loadId":"{load}","events":[{{"x":1}}]}}"#)));
    assert_ne!(loads[0], loads[1], "two loads' events have two digests");
}

#[test]
fn what_is_too_long_or_no_value_is_left_where_it_is() {
    let flat = schema(Place::Pointer("/id"), "/loadId", "/events");
    let long = format!(r#"{{"loadId":"{}","events":[{{"id":1}}]}}"#, "x".repeat(2000));
    assert_eq!(events(&flat, &long), [r#"{"id":1}"#]);
    for value in ["{}", "[1]", "true", "null"] {
        assert_eq!(events(&flat, &format!(r#"{{"loadId":{value},"events":[{{"id":1}}]}}"#)), [r#"{"id":1}"#]);
    }
    let ids = r#"{"id":1,"id":2,"sequence":1,"sequence":2,"loadId":"L","events":[{"id":1}]}"#;
    assert_eq!(events(&flat, ids), [r#"{"loadId":"L","id":1}"#], "nobody takes what is there twice");
    let one = r#"{"loadId":"A","loadId":"B","events":[{"id":1,"loadId":"C"}]}"#;
    assert_eq!(events(&flat, one), [r#"{"id":1,"loadId":"C"}"#]);
    let twice = record(r#"{"loadId":"A","loadId":"B","events":[{"id":1,"loadId":"C"},{"id":2}]}"#);
    let whole = Split::by(&Decode::new(flat)).events(twice.clone());
    assert_eq!(whole, Events::One(twice), "it is not told which load is meant");
}

#[test]
fn a_number_is_put_in_as_it_is_written() {
    let flat = schema(Place::Pointer("/id"), "/loadId", "/events");
    for number in ["123456789012345678901234567891", "-123456789012345678901234567891", "1e30", "1.0", "17"] {
        let text = format!(r#"{{"loadId":{number},"events":[{{"id":1}}]}}"#);
        assert_eq!(events(&flat, &text), [format!(r#"{{"loadId":{number},"id":1}}"#)]);
    }
    let deep = schema(Place::Pointer("/id"), "/body/load", "/body/events");
    let escaped = r#"{"body":"{\"load\":123456789012345678901234567891,\"events\":[{\"id\":1}]}"}"#;
    assert_eq!(events(&deep, escaped), [r#"{"body":{"load":123456789012345678901234567891},"id":1}"#]);
}

#[test]
fn what_is_put_into_all_events_of_a_record_is_bounded() {
    let flat = schema(Place::Pointer("/id"), "/loadId", "/events");
    let of = |count| {
        let (load, ids) = ("x".repeat(1_000), vec![r#"{"id":1}"#; count].join(","));
        let one = format!(r#"{{"loadId":"{load}","events":[{ids}]}}"#);
        [record(&one), record(&format!("[{one}]"))]
    };
    let split = Split::by(&Decode::new(flat.with_events_max(50_000)));
    for raw in of(16_000) {
        assert!(matches!(split.events(raw), Events::Several(events) if events.len() == 16_000));
    }
    for raw in of(17_000) {
        assert!(matches!(split.events(raw), Events::One(_)));
    }
}
