//! Events in the forms that producers give them: where fields may stand, what they may be, and what is said if none of a
//! field's places has it.

use bytes::Bytes;
use serde_json::{Value, json};
use state::Position;

use super::*;

fn raw(value: &Value) -> RawRecord {
    let bytes = Bytes::from(value.to_string());
    RawRecord::whole(Position::new("test".into(), 0, 0), bytes, 1)
}

fn run(schema: &Schema, raw: RawRecord) -> Result<ShipmentEvent, Rejection> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(Decode::new(schema.clone()).run(raw)) {
        Ok(event) => Ok(event),
        Err(Exit::Verdict(Verdict::Rejected(rejection))) => Err(*rejection),
        Err(other) => panic!("{other:?}"),
    }
}

fn decode(schema: &Schema, value: &Value) -> Result<ShipmentEvent, Rejection> {
    run(schema, raw(value))
}

fn with(changes: impl IntoIterator<Item = (Field, Vec<Place<&'static str>>)>) -> Schema {
    Schema::flat().with_places(changes).unwrap()
}

fn at(pointer: &'static str) -> Place<&'static str> {
    Place::Pointer(pointer)
}

fn event() -> Value {
    json!({"eventId": "e-1", "loadId": "L-7", "status": "delivered", "occurredAt": "2026-08-10T08:00:00Z"})
}

/// The event with this value under this key; without the key for null.
fn changed(key: &str, value: Value) -> Value {
    let mut event = event();
    match value {
        Value::Null => _ = event.as_object_mut().unwrap().remove(key),
        value => event[key] = value,
    }
    event
}

#[test]
fn whole_numbers_are_ids_and_statuses_in_their_digits() {
    let schema = Schema::flat();
    let numbers =
        json!({"eventId": 9001, "loadId": -7, "status": 18_446_744_073_709_551_615_u64, "occurredAt": 0});
    let read = decode(&schema, &numbers).unwrap();
    assert_eq!((&*read.event_id, &*read.load_id, &*read.status), ("9001", "-7", "18446744073709551615"));
    for odd in [json!(1.5), json!(1e30), json!(true), json!([1]), json!({"a": 1})] {
        let rejection = decode(&schema, &changed("eventId", odd.clone())).unwrap_err();
        assert_eq!((rejection.cause, rejection.event_id), ("wrong-type", None), "{odd}");
        assert!(rejection.detail.starts_with("/eventId must be a string or a whole number, not"), "{odd}");
    }
}

#[test]
fn of_several_places_the_first_that_has_a_value_counts() {
    let schema = with([(Field::Status, vec![at("/a/type"), at("/b/0/type"), at("/c")])]);
    let read = |value: Value| decode(&schema, &value).map(|event| event.status).map_err(|no| no.detail);
    let of = |more: Value| {
        let mut event = changed("status", Value::Null);
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(event)
    };
    assert_eq!(of(json!({"a": {"type": "x"}, "c": "z"})).unwrap(), "x");
    assert_eq!(of(json!({"b": [{"type": "y"}], "c": "z"})).unwrap(), "y");
    assert_eq!(of(json!({"a": {"type": null}, "b": [], "c": "z"})).unwrap(), "z");
    assert_eq!(of(json!({"a": null, "b": {"0": {"type": "y"}}})).unwrap(), "y");
    assert_eq!(of(json!({"a": {"type": ""}, "c": 3})).unwrap(), "3", "an empty text is no status");
    assert_eq!(of(json!({"c": ""})).unwrap(), "", "for a rule to refuse");
    assert_eq!(of(json!({})).unwrap_err(), "any of /a/type, /b/0/type, /c is missing");
    assert_eq!(
        of(json!({"c": {}})).unwrap_err(),
        "/c must be a string or a whole number, not an object",
        "what is there is told"
    );
    assert_eq!(of(json!({"a": 3})).unwrap_err(), "/a must be an object, not a number");
}

#[test]
fn a_value_may_be_looked_into_or_be_the_field_itself() {
    let schema = with([(Field::Status, vec![at("/state/type"), at("/state")])]);
    let status = |value| decode(&schema, &changed("state", value)).unwrap().status;
    assert_eq!((status(json!({"type": "x"})), status(json!("y"))), ("x".into(), "y".into()));
}

#[test]
fn values_in_arrays_are_found_by_their_index() {
    let schema = with([(Field::LoadId, vec![at("/sets/1/0/id")]), (Field::Status, vec![at("/sets/0")])]);
    let read = |sets: Value| decode(&schema, &changed("sets", sets));
    let found = read(json!(["s", [{"id": "L", "x": [1]}, {"id": "M"}], 3])).unwrap();
    assert_eq!((&*found.load_id, &*found.status), ("L", "s"));
    assert_eq!(read(json!(["s", []])).unwrap_err().detail, "/sets/1/0/id is missing");
    assert_eq!(read(json!(["s", [7]])).unwrap_err().detail, "/sets/1/0 must be an object, not a number");
    assert_eq!(read(json!(["s", [{"id": "L"}]])).unwrap().load_id, "L");
    let twice = changed("sets", json!(["s", [{"id": "L"}]]))
        .to_string()
        .replace(r#"{"id":"L"}"#, r#"{"id":"L","id":"M"}"#);
    let mut record = raw(&event());
    (record.full_len, record.bytes) = (twice.len() as u64, twice.into());
    assert_eq!(run(&schema, record).unwrap_err().cause, "duplicate-key");
}

#[test]
fn a_text_on_the_way_is_read_as_the_json_it_holds() {
    let schema = with([
        (Field::EventId, vec![at("/MessageId")]),
        (Field::LoadId, vec![at("/Message/detail/loadId")]),
        (Field::Status, vec![at("/Message/list/0")]),
        (Field::OccurredAt, vec![at("/Timestamp")]),
    ]);
    let envelope = |message: Value| json!({"MessageId": "m", "Timestamp": "2026-08-10T08:00:00.000Z", "Message": message});
    let inner = json!({"detail": json!({"loadId": "L \"7\" ü"}).to_string(), "list": ["posted"]}).to_string();
    let read = decode(&schema, &envelope(json!(inner))).unwrap();
    assert_eq!((&*read.load_id, &*read.status), ("L \"7\" ü", "posted"));
    let plain = json!({"detail": {"loadId": "L"}, "list": ["posted"]});
    assert_eq!(decode(&schema, &envelope(plain)).unwrap().load_id, "L");
    for no in [
        json!("{"),
        json!("text"),
        json!(""),
        json!("[1"),
        json!("{} x"),
        json!(format!("{}{}", "[".repeat(65), "]".repeat(65))),
    ] {
        let rejection = decode(&schema, &envelope(no)).unwrap_err();
        assert_eq!(rejection.detail, "/Message must be an object, not a string");
        assert_eq!(rejection.event_id.as_deref(), Some("m"));
    }
    let twice = envelope(json!(r#"{"list":["a"],"list":["b"],"detail":{"loadId":"L"}}"#));
    assert_eq!(decode(&schema, &twice).unwrap_err().cause, "duplicate-key");
}

#[test]
fn a_text_in_a_text_in_a_text_takes_no_stack_of_its_own() {
    let pointer: &'static str = Box::leak("/a".repeat(40).into_boxed_str());
    let schema = with([(Field::LoadId, vec![at(pointer)])]);
    // Each level doubles its escapes: as many as fit into a record.
    let text = (0..12).fold("\"L\"".to_owned(), |inside, _| json!(format!("{{\"a\":{inside}}}")).to_string());
    let record = event().to_string().replacen('{', &format!("{{\"a\":{text},"), 1);
    let mut raw = raw(&event());
    (raw.full_len, raw.bytes) = (record.len() as u64, record.into());
    assert!(run(&schema, raw).is_err());
}

#[test]
fn joined_values_are_one_id_and_no_two_lists_give_the_same() {
    let schema = with([(Field::EventId, vec![Place::Joined(vec!["/loadId", "/status", "/n"])])]);
    let id = |load: &str, status: &str, n: Value| {
        let mut event = changed("n", n);
        (event["loadId"], event["status"]) = (load.into(), status.into());
        decode(&schema, &event).map(|event| event.event_id).map_err(|no| no.detail)
    };
    assert_eq!(id("L", "delivered", json!(3)).unwrap(), "L|delivered|3");
    assert_eq!(id("a|", "b", json!("c")).unwrap(), r"a\||b|c");
    assert_eq!(id("a", "|b", json!("c")).unwrap(), r"a|\|b|c");
    assert_eq!(id("a\\", "b", json!("c")).unwrap(), r"a\\|b|c");
    assert_eq!(id("L", "s", Value::Null).unwrap_err(), "/n is missing");
    assert_eq!(id("L", "s", json!("")).unwrap_err(), "/n is missing");
}

#[test]
fn without_an_id_the_bytes_digest_or_a_header_can_be_it() {
    let digest = with([(Field::EventId, vec![at("/eventId"), Place::Digest])]);
    let id = |event: Value| decode(&digest, &event).unwrap().event_id;
    assert_eq!(id(event()), "e-1");
    let without = changed("eventId", Value::Null);
    assert_eq!(id(without.clone()), id(without.clone()));
    assert_ne!(id(without.clone()), id(changed("loadId", "M".into())));
    let shown = id(without.clone());
    assert!(shown.starts_with("sha256-") && shown.len() == 39, "{shown}");

    let header = with([(Field::EventId, vec![Place::Header("X-Event-ID".into())])]);
    assert_eq!(header.id_header(), Some("x-event-id"));
    let beside = RawRecord { id: Some("h-1".into()), ..raw(&without) };
    assert_eq!(run(&header, beside).unwrap().event_id, "h-1");
    let none = decode(&header, &without).unwrap_err();
    assert_eq!((none.cause, &*none.detail), ("missing-field", "the header x-event-id is missing"));
}

#[test]
fn a_time_may_stand_in_two_values_be_a_number_or_be_left_out() {
    let schema = with([(
        Field::OccurredAt,
        vec![Place::DateTime { date: "/date", time: "/time" }, at("/occurredAt"), Place::Reading],
    )]);
    let schema = schema.in_zone(Zone::named("America/Chicago").unwrap());
    let eight = 1_786_348_800_000;
    let read = |more: Value| {
        let mut event = changed("occurredAt", Value::Null);
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        decode(&schema, &event).map(|event| event.occurred_at).map_err(|no| (no.cause, no.detail))
    };
    for (more, expected) in [
        (json!({"date": "20260810", "time": "0300"}), Some(eight)),
        (json!({"date": 20_260_810, "time": 300}), Some(eight)),
        (json!({"date": "2026-08-10T03:00:00"}), Some(eight)),
        (json!({"date": null, "occurredAt": 1_786_348_800}), Some(eight)),
        (json!({"date": " ", "occurredAt": 1_786_348_800_000.5}), Some(eight)),
        (json!({}), None),
    ] {
        assert_eq!(read(more.clone()), Ok(expected), "{more}");
    }
    let why = read(json!({"date": "20260810", "time": "noon"})).unwrap_err();
    assert_eq!(why.0, "bad-time");
    assert!(why.1.starts_with("/time \"noon\" is no time in a form of ISO 8601"), "{}", why.1);
    assert_eq!(read(json!({"date": "20260810", "time": [1]})).unwrap_err().0, "bad-time");
}

#[test]
fn a_cloudevent_needs_no_time_and_its_sequence_may_stand_in_the_envelope() {
    let schema = Schema::cloudevents();
    let event = json!({"specversion": "1.0", "id": 1, "source": "/tms/a", "type": "t", "sequence": "0007",
        "data": {"loadId": "L", "status": "posted"}});
    let read = decode(&schema, &event).unwrap();
    assert_eq!((&*read.event_id, read.occurred_at, read.sequence), ("/tms/a|1", None, Some(7)));
}

#[test]
fn a_whole_number_of_any_length_is_an_id() {
    let long = "123456789012345678901234567890";
    let text = changed("eventId", json!(1)).to_string();
    let read = |number: &str, schema: &Schema| {
        run(
            schema,
            RawRecord {
                bytes: Bytes::from(text.replace("\"eventId\":1", &format!("\"eventId\":{number}"))),
                full_len: (text.len() + number.len() - 1) as u64,
                ..raw(&Value::Null)
            },
        )
    };
    for number in [long, "18446744073709551616", "-9223372036854775809"] {
        assert_eq!(read(number, &Schema::flat()).unwrap().event_id, number);
    }
    let joined = with([(Field::EventId, vec![Place::Joined(vec!["/loadId", "/eventId"])])]);
    assert_eq!(read(long, &joined).unwrap().event_id, format!("L-7|{long}"));
    for odd in ["12345678901234567890.5", "1e30"] {
        assert_eq!(read(odd, &Schema::flat()).unwrap_err().cause, "wrong-type", "{odd}");
    }
}

#[test]
fn of_a_date_and_a_time_the_one_that_is_wrong_is_told() {
    let schema = with([(Field::OccurredAt, vec![Place::DateTime { date: "/d", time: "/t" }])]);
    let detail = |date: Value, time: Value| {
        let mut event = changed("d", date);
        event["t"] = time;
        decode(&schema, &event).unwrap_err().detail
    };
    assert!(detail(json!("2026-08-10"), json!("quarter past")).starts_with("/t \"quarter past\" is no time"));
    assert!(detail(json!("2026-08-10"), json!("25:00")).starts_with("/t \"25:00\" is n"));
    assert!(detail(json!("2026-08-10"), json!(true)).starts_with("/t is a boolean, is no time"));
    assert!(detail(json!("soon"), json!("08:00")).starts_with("/d \"soon\" is no time"));
    assert!(detail(json!("260810"), json!("0300")).starts_with("/d \"260810\" is no time"));
    assert!(detail(json!("soon"), json!("later")).starts_with("/d \"soon\" is no time"));
}

#[test]
fn data_in_base64_is_read_as_data() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let cloud = |data: Value| {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"});
        event.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        decode(&Schema::cloudevents(), &event)
    };
    let encoded = STANDARD.encode(r#"{"loadId":"L","status":"posted","sequence":4}"#);
    let read = cloud(json!({ "data_base64": encoded })).unwrap();
    assert_eq!(
        (&*read.event_id, &*read.load_id, &*read.status, read.sequence),
        ("/a|1", "L", "posted", Some(4))
    );
    for none in ["!!", "AAAA", ""] {
        let detail = cloud(json!({ "data_base64": none })).unwrap_err().detail;
        assert_eq!(detail, "/data/loadId is missing; /data/status is missing", "{none}");
    }
}

#[test]
fn a_record_that_should_have_an_array_of_events_says_what_it_has_instead() {
    let schema = Schema::flat().with_events("/data/events").unwrap();
    for (record, found) in [
        (json!({"other": 1}), "is not there"),
        (json!({"data": {"events": null}}), "is null, and no array"),
        (json!({"data": {"events": "x"}}), "is a string, and no array"),
        (json!({"data": {"events": 3}}), "is a number, and no array"),
        (json!({"data": {"events": true}}), "is a boolean, and no array"),
    ] {
        let rejection = decode(&schema, &record).unwrap_err();
        let told = format!("the record was read as one event, because schema.events, /data/events, {found}");
        assert!(
            rejection.cause == "missing-field" && rejection.detail.ends_with(&told),
            "{}",
            rejection.detail
        );
    }
    assert!(decode(&schema, &event()).is_ok(), "one event needs no array");
    let element = RawRecord { position: Position::new("test".into(), 0, 0).of_event(1), ..raw(&json!({})) };
    assert!(!run(&schema, element).unwrap_err().detail.contains("schema.events"));
}
