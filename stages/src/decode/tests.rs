//! What Decode takes, what it refuses, and that nothing makes it panic.

use bytes::Bytes;
use proptest::prelude::*;
use state::Position;

use super::schema::DEPTH_LIMIT;
use super::*;

const EVENT: &str = r#"{"eventId":"e-1","loadId":"L-7","status":"delivered","occurredAt":"2026-03-01T08:30:00.25+01:00","sequence":18446744073709551615,"stops":[{"n":1},{"n":2}],"weight":1e999}"#;

const CLOUDEVENT: &str = r#"{"data":{"status":"posted","loadId":"L-7","sequence":3},"datacontenttype":"application/json",
"time":"2026-03-01T08:30:00Z","id":"e-1","source":"/tms","type":"status","specversion":"1.0"}"#;

fn record(bytes: impl Into<Bytes>) -> RawRecord {
    let bytes = bytes.into();
    RawRecord::whole(Position::new("test".into(), 0, 0), bytes, 1)
}

/// Runs the stage on a thread that cannot wait: Decode has nothing to wait for.
fn decode(schema: Schema, raw: RawRecord) -> Result<ShipmentEvent, Rejection> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(Decode::new(schema).run(raw)) {
        Ok(event) => Ok(event),
        Err(Exit::Verdict(Verdict::Rejected(rejection))) => Err(*rejection),
        Err(other) => panic!("{other:?}"),
    }
}

fn flat(text: &str) -> Result<ShipmentEvent, Rejection> {
    decode(Schema::flat(), record(text.to_owned()))
}

#[track_caller]
fn refused(text: &str, cause: &str) -> Rejection {
    let rejection = flat(text).unwrap_err();
    assert_eq!(rejection.cause, cause, "{}", rejection.detail);
    rejection
}

#[test]
fn a_clone_reads_the_form_that_has_come_into_force() {
    let decode = Decode::new(Schema::cloudevents());
    let running = decode.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(running.run(record(EVENT))).is_err());
    decode.replace(Schema::flat());
    assert!(runtime.block_on(running.run(record(EVENT))).is_ok());
}

#[test]
fn a_flat_event_is_read_and_its_bytes_are_kept() {
    let event = flat(EVENT).unwrap();
    assert_eq!(event.raw, record(EVENT));
    assert_eq!((&*event.event_id, &*event.load_id, &*event.status), ("e-1", "L-7", "delivered"));
    assert_eq!(event.occurred_at, Some(1_772_350_200_250));
    assert_eq!(event.sequence, Some(u64::MAX));
}

#[test]
fn sequence_may_be_null_or_absent() {
    for sequence in ["18446744073709551615", "null"] {
        let text = EVENT.replace("18446744073709551615", sequence);
        assert_eq!(flat(&text).unwrap().sequence.is_none(), sequence == "null");
    }
    assert_eq!(flat(&EVENT.replace("sequence", "other")).unwrap().sequence, None);
}

#[test]
fn a_sequence_that_is_none_costs_no_event_its_delivery_and_is_never_rounded_or_wrapped() {
    let read = |sequence| flat(&EVENT.replace("18446744073709551615", sequence)).unwrap().sequence;
    for none in
        ["18446744073709551616", "-1", "-0", "1.0", "1e3", "\"\"", "\"+1\"", "\"one\"", "[1]", "{}", "true"]
    {
        assert_eq!(read(none), None, "{none}");
    }
    assert_eq!((read("\"7\""), read("\"007\""), read("7")), (Some(7), Some(7), Some(7)));
}

#[test]
fn a_cloudevent_is_read_in_any_order_of_its_members() {
    let event = decode(Schema::cloudevents(), record(CLOUDEVENT)).unwrap();
    assert_eq!((&*event.event_id, &*event.load_id, &*event.status), ("/tms|e-1", "L-7", "posted"));
    assert_eq!((event.occurred_at, event.sequence), (Some(1_772_353_800_000), Some(3)));
}

#[test]
fn a_cloudevent_must_name_its_version() {
    let event = |version| {
        let text = format!(
            r#"{{"id":"e","source":"s","time":"2026-03-01T08:30:00Z","data":{{"loadId":"L","status":"s"}}{version}}}"#
        );
        decode(Schema::cloudevents(), record(text)).map_err(|rejection| rejection.cause)
    };
    assert!(event(r#","specversion":"1.0""#).is_ok());
    assert_eq!(event(r#","specversion":"0.3""#), Err("unknown-specversion"));
    assert_eq!(event(r#","specversion":1.0"#), Err("wrong-type"));
    assert_eq!(event(""), Err("missing-field"));
}

#[test]
fn everything_wrong_is_told_at_once_and_what_could_be_read_is_kept() {
    let rejection =
        refused(r#"{"eventId":true,"loadId":"L-7","occurredAt":"today","sequence":-1}"#, "wrong-type");
    let messages = "/eventId must be a string or a whole number, not a boolean; /status is missing; \
        /occurredAt \"today\" is no time in a form of ISO 8601, such as 2026-03-01T08:30:00Z, \
        nor a number of seconds or milliseconds since 1970";
    assert_eq!(rejection.detail, messages);
    assert_eq!(rejection.stage, StageName::Decode);
    assert_eq!(
        (rejection.event_id, rejection.load_id.as_deref(), rejection.status),
        (None, Some("L-7"), None)
    );
}

#[test]
fn an_object_on_the_way_that_is_none_is_told_once() {
    let text = r#"{"specversion":"1.0","id":"e","source":"s","time":"2026-03-01T08:30:00Z","data":["L"]}"#;
    let rejection = decode(Schema::cloudevents(), record(text)).unwrap_err();
    assert_eq!(rejection.detail, "/data must be an object, not an array");
    assert_eq!((rejection.cause, rejection.event_id.as_deref()), ("wrong-type", Some("s|e")));
}

#[test]
fn what_is_no_json_object_is_refused() {
    for text in ["", " \r\n", "{", "nul", "{'a':1}", r#"{"a":1,}"#, "// {}", r#"{"a":01}"#, "{\"a\":\"\t\"}"]
    {
        refused(text, "not-json");
    }
    for text in ["null", "true", "1", "-1", "1.5", r#""text""#, "[{}]"] {
        let rejection = refused(text, "not-an-object");
        assert!(!rejection.detail.contains(';'), "reported once: {}", rejection.detail);
    }
    for tail in ["{}", "x", ",", "\u{feff}"] {
        let rejection = refused(&format!("{EVENT}{tail}"), "trailing-data");
        assert_eq!(rejection.event_id.as_deref(), Some("e-1"));
    }
    assert!(flat(&format!(" {EVENT}\r\n")).is_ok());
    assert!(flat(&format!("\u{feff}{EVENT}")).is_ok(), "a byte order mark may be passed over");
}

#[test]
fn what_is_no_text_is_refused_by_name() {
    let latin = EVENT.as_bytes().iter().map(|&byte| if byte == b'7' { 0xfc } else { byte });
    let rejection = decode(Schema::flat(), record(latin.collect::<Vec<_>>())).unwrap_err();
    assert_eq!(
        (rejection.cause, &*rejection.detail),
        ("not-utf8", "the record is not UTF-8 from byte 29 on")
    );
    let utf16: Vec<_> = EVENT.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(decode(Schema::flat(), record(utf16)).unwrap_err().cause, "nul-byte");
    let framed = decode(Schema::flat(), record(&b"\0\0\0\x01\x02\x0eabc"[..])).unwrap_err();
    assert_eq!(framed.cause, "schema-registry-frame");
    assert!(framed.detail.contains("the number 258"), "{}", framed.detail);
    let utf32: Vec<_> = EVENT.chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
    assert_eq!(decode(Schema::flat(), record(utf32)).unwrap_err().cause, "nul-byte");
    refused(&EVENT.replace("e-1", "e\0"), "nul-byte");
    refused(&format!("{EVENT}\0"), "nul-byte");
}

#[test]
fn a_cut_record_is_refused_even_if_its_beginning_would_do() {
    let raw = RawRecord { full_len: EVENT.len() as u64 + 1, ..record(EVENT) };
    assert_eq!(decode(Schema::flat(), raw).unwrap_err().cause, "too-large");
    let beginning = &EVENT[..EVENT.find("occurred").unwrap()];
    let raw = RawRecord { full_len: 1 << 30, ..record(beginning) };
    let rejection = decode(Schema::flat(), raw).unwrap_err();
    assert!(rejection.detail.contains("1073741824 bytes"), "{}", rejection.detail);
    assert_eq!(rejection.event_id.as_deref(), Some("e-1"));
    assert_eq!(rejection.status.as_deref(), Some("delivered"));
}

#[test]
fn what_the_source_could_not_read_is_refused_in_its_words_even_if_its_bytes_would_do() {
    let why = "records 7 to 9 of the batch at offsets 5 to 9 cannot be read";
    for full_len in [EVENT.len() as u64, 1 << 30] {
        let raw = RawRecord {
            unreadable: Some(Box::new(Unreadable::Batch(why.into()))),
            full_len,
            ..record(EVENT)
        };
        let rejection = decode(Schema::flat(), raw).unwrap_err();
        assert_eq!((rejection.cause, rejection.detail.as_str()), ("unreadable-batch", why));
        assert_eq!(rejection.event_id, None, "the bytes are not a record's");
    }
}

#[test]
fn a_key_that_occurs_twice_in_an_object_that_is_read_is_refused() {
    let rejection = refused(r#"{"eventId":"a","loadId":"L","eventId":"b"}"#, "duplicate-key");
    assert_eq!(rejection.event_id, None, "neither value can be trusted");
    assert_eq!(rejection.load_id.as_deref(), Some("L"));
    let messages =
        "the key \"eventId\" occurs more than once in the record; /status is missing; /occurredAt is missing";
    assert_eq!(rejection.detail, messages);
    refused(&EVENT.replace("weight", "stops"), "duplicate-key");
    refused(&EVENT.replace(r#""weight":1e999"#, r#""\u0065ventId":0"#), "duplicate-key");
    assert!(flat(&EVENT.replace(r#"{"n":1}"#, r#"{"n":1,"n":2}"#)).is_ok(), "nobody reads this object");
}

#[test]
fn duplicates_are_found_among_many_keys_and_in_inner_objects() {
    let many: String = (0..5_000).map(|n| format!(r#""k{n}":0,"#)).collect();
    assert!(flat(&format!("{{{many}{}", &EVENT[1..])).is_ok());
    refused(&format!(r#"{{{many}"k2500":1,{}"#, &EVENT[1..]), "duplicate-key");
    let text = r#"{"specversion":"1.0","id":"e","source":"s","time":"2026-03-01T08:30:00Z",
        "data":{"loadId":"L","status":"s"},"data":{"loadId":"M","status":"s","x":1,"x":1}}"#;
    let rejection = decode(Schema::cloudevents(), record(text)).unwrap_err();
    assert_eq!((rejection.cause, rejection.load_id), ("duplicate-key", None));
    assert_eq!(rejection.detail, "the key \"x\" occurs more than once in /data");
}

#[test]
fn values_that_are_read_but_cannot_be_represented_have_their_own_cause() {
    refused(&EVENT.replace("18446744073709551615", "1e999"), "unreadable-value");
    refused(&EVENT.replace("e-1", r"\ud800"), "unreadable-value");
    assert!(flat(&EVENT.replace(r#"{"n":1}"#, r#""\ud800""#)).is_ok(), "nobody reads this string");
}

#[test]
fn nesting_is_bounded_wherever_it_is() {
    let nested =
        |depth: usize| EVENT.replace("1e999", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    for depth_max in [2, 3, 64, DEPTH_LIMIT] {
        let schema = Schema::flat().with_depth_max(depth_max).unwrap();
        let decoded = |depth| decode(schema.clone(), record(nested(depth))).map_err(|no| no.cause);
        assert_eq!(decoded(depth_max - 1).is_ok(), depth_max > 2, "the stops need three levels");
        assert_eq!(decoded(depth_max), Err("too-deep"));
        assert_eq!(decoded(1_000_000), Err("too-deep"));
    }
    refused(&"[".repeat(1_000_000), "too-deep");
    refused(&r#"{"a":"#.repeat(1_000_000), "too-deep");
}

#[test]
fn the_deepest_pointer_is_followed() {
    let pointer = "/a".repeat(DEPTH_LIMIT);
    let schema =
        Schema::flat().with_depth_max(DEPTH_LIMIT).unwrap().with_all([(Field::LoadId, &*pointer)]).unwrap();
    let inside = format!("{}\"L\"{}", r#"{"a":"#.repeat(DEPTH_LIMIT - 1), "}".repeat(DEPTH_LIMIT - 1));
    let event =
        decode(schema, record(EVENT.replace(r#""loadId":"L-7""#, &format!(r#""a":{inside}"#)))).unwrap();
    assert_eq!(event.load_id, "L");
}

/// Any byte, but often one that means something to JSON.
fn changed_byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\\0 0eE-+.u"[..])]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(Schema::flat(), record(bytes)).is_err());
    }

    #[test]
    fn a_changed_event_is_refused_or_read_as_any_reader_would(
        cloud in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), changed_byte()), 1..6),
    ) {
        let (schema, text) = match cloud {
            true => (Schema::cloudevents(), CLOUDEVENT.to_owned()),
            // Without a number that a few changes put out of range where nobody reads it.
            false => (Schema::flat(), EVENT.replace("1e999", "1")),
        };
        let pointers = match cloud {
            true => ["/id", "/data/loadId", "/data/status", "/data/sequence"],
            false => ["/eventId", "/loadId", "/status", "/sequence"],
        };
        let mut bytes = text.into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let raw = record(bytes);
        match decode(schema, raw.clone()) {
            Ok(event) => {
                let whole: serde_json::Value = match serde_json::from_slice(&raw.bytes) {
                    Ok(whole) => whole,
                    // A number that nobody reads here, and that this reader has no room for.
                    Err(error) if error.to_string().contains("out of range") => return Ok(()),
                    Err(error) => panic!("{error}"),
                };
                let read = pointers.map(|pointer| whole.pointer(pointer));
                let text = |value: &serde_json::Value| match value {
                    serde_json::Value::String(text) => Some(text.clone()),
                    serde_json::Value::Number(number) => Some(number.to_string()),
                    _ => None,
                };
                let mut expected = [read[0], read[1], read[2]].map(|value| value.and_then(text));
                if cloud {
                    let parts = [whole.get("source").and_then(text), expected[0].take()];
                    let parts = parts.map(|part| part.unwrap().replace('\\', "\\\\").replace('|', "\\|"));
                    expected[0] = Some(parts.join("|"));
                }
                prop_assert_eq!([event.event_id, event.load_id, event.status].map(Some), expected);
                let digits = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
                let number =
                    |value: &serde_json::Value| value.as_u64().or_else(|| value.as_str().and_then(digits));
                let sequence = read[3].filter(|value| !value.is_null()).or(whole.get("sequence").filter(|_| cloud));
                prop_assert_eq!(sequence.and_then(number), event.sequence);
                prop_assert_eq!(event.raw, raw);
            }
            Err(rejection) => prop_assert!(!rejection.detail.is_empty()),
        }
    }

    #[test]
    fn any_text_comes_through_escaped_or_not(id in ".{0,30}", load in any::<String>(), status in any::<String>()) {
        let text = serde_json::json!({
            "occurredAt": "2026-03-01T08:30:00Z", "eventId": id, "loadId": load, "status": status, "x": [id],
        });
        let event = flat(&text.to_string()).unwrap();
        prop_assert_eq!((event.event_id, event.load_id, event.status), (id, load, status));
    }
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The event with this JSON as its `traceparent`.
fn traced(json: &str) -> String {
    EVENT.replacen('{', &format!("{{\"traceparent\":{json},"), 1)
}

#[test]
fn a_traceparent_is_read_at_the_top_of_both_presets_or_where_the_schema_says() {
    let read = |event: ShipmentEvent| event.traceparent.unwrap().to_string();
    assert_eq!(read(flat(&traced(&format!("\"{TRACE}\""))).unwrap()), TRACE);
    // JSON may write any letter as an escape.
    assert_eq!(read(flat(&traced(&format!("\"\\u0030{}\"", &TRACE[1..]))).unwrap()), TRACE);
    let envelope = CLOUDEVENT.replacen('{', &format!("{{\"traceparent\":\"{TRACE}\","), 1);
    assert_eq!(read(decode(Schema::cloudevents(), record(envelope)).unwrap()), TRACE);
    let schema = Schema::flat().with_all([(Field::TraceParent, "/meta/trace")]).unwrap();
    let inside = EVENT.replacen('{', &format!("{{\"meta\":{{\"trace\":\"{TRACE}\"}},"), 1);
    assert_eq!(read(decode(schema, record(inside)).unwrap()), TRACE);
}

#[test]
fn a_traceparent_beside_the_bytes_counts_if_they_have_none() {
    let beside = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    let read = |bytes: String| {
        let traceparent = TraceParent::parse(beside).map(Box::new);
        let event = decode(Schema::flat(), RawRecord { traceparent, ..record(bytes) }).unwrap();
        event.traceparent.unwrap().to_string()
    };
    assert_eq!(read(EVENT.to_owned()), beside);
    assert_eq!(read(traced("\"00-xyz\"")), beside);
    assert_eq!(read(traced(&format!("\"{TRACE}\""))), TRACE);
}

#[test]
fn what_a_source_could_not_read_has_a_cause_of_its_own_that_a_letter_leads_back_to() {
    let why = |of: fn(Box<str>) -> Unreadable| of("why".into());
    for unreadable in
        [Unreadable::Batch, Unreadable::NoValue, Unreadable::Framed, Unreadable::Encoded].map(why)
    {
        let raw = RawRecord { unreadable: Some(Box::new(unreadable.clone())), ..record(EVENT) };
        let rejection = decode(Schema::flat(), raw).unwrap_err();
        assert_eq!((rejection.cause, &*rejection.detail), (unreadable.cause(), "why"));
        assert_eq!(Unreadable::of_cause(rejection.cause, "why"), Some(unreadable));
    }
    assert_eq!(Unreadable::of_cause("not-json", "why"), None);
}

#[test]
fn a_traceparent_that_is_absent_or_malformed_refuses_no_event() {
    let unread = ["null", "\"\"", "\"00-xyz\"", "7", "1e999", "true", "[1]", "{\"a\":1}", "\"\\ud800\""];
    for json in unread {
        let event = flat(&traced(json)).unwrap_or_else(|rejection| panic!("{json}: {}", rejection.detail));
        assert_eq!((event.traceparent, &*event.event_id), (None, "e-1"), "{json}");
    }
    assert_eq!(flat(EVENT).unwrap().traceparent, None);
    let schema = Schema::flat().with_all([(Field::TraceParent, "/weight/trace")]).unwrap();
    assert_eq!(decode(schema, record(EVENT.replace("1e999", "7"))).unwrap().traceparent, None);
}

#[test]
fn two_traceparents_are_a_duplicate_key_like_any_other() {
    refused(&traced(&format!("\"{TRACE}\",\"traceparent\":\"{TRACE}\"")), "duplicate-key");
}

#[test]
fn a_body_alone_tells_its_place_in_a_trace_so_that_a_dead_letter_keeps_it() {
    let decode = Decode::new(Schema::flat());
    let traceparent = decode.traceparent(traced(&format!("\"{TRACE}\"")).as_bytes());
    assert_eq!(traceparent.unwrap().to_string(), TRACE);
    let letter = state::DeadLetter {
        position: Position::new("test".into(), 0, 7),
        broker: Some("acme".into()),
        stage: StageName::Deliver,
        cause: "refused".to_owned(),
        detail: String::new(),
        at: 1,
        history: state::History::default(),
        event_id: Some("e-1".to_owned()),
        load_id: Some("L-7".to_owned()),
        status: Some("delivered".to_owned()),
        body: b"{}".to_vec(),
        body_len: 2,
        row: None,
    };
    let broker = Arc::new(crate::testing::broker_with("acme", 1.0, 1));
    let delivery = crate::models::Delivery::from_letter(&letter, broker, 9).unwrap().in_trace(traceparent);
    assert_eq!((delivery.traceparent, delivery.event().traceparent), (traceparent, traceparent));
    for body in [&b"not json"[..], b"{}", b"\xff"] {
        assert_eq!(decode.traceparent(body), None);
    }
}
