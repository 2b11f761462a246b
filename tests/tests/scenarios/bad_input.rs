//! Input nobody would send, and somebody does: a dead letter each, with reason, place and bytes, and the line goes on.

use bytes::Bytes;
use tests::{Events, Fleet, Oracle, ShipmentEvent, Site, Wants};

/// Bad records, each with the cause its dead letter must name.
fn bad() -> Vec<(&'static str, Vec<u8>)> {
    let with = |fields: &str| format!(r#"{{"eventId":"bad","loadId":"L","status":"posted",{fields}}}"#);
    let at = r#""occurredAt":"2025-06-01T00:00:00Z""#;
    let valid = with(at);
    let nested = with(&format!(r#"{at},"deep":{}1{}"#, "[".repeat(100), "]".repeat(100)));
    let abyss = with(&format!(r#"{at},"deep":{}"#, "[".repeat(100_000)));
    let long = with(&format!(r#"{at},"note":"{}""#, "x".repeat(3 << 20)));
    let without = |field: &str| valid.replacen(&format!("\"{field}\""), "\"other\"", 1);
    let text = |cause, text: &str| (cause, text.as_bytes().to_vec());
    vec![
        ("not-utf8", [&valid.as_bytes()[..20], b"\xc3", &valid.as_bytes()[20..]].concat()),
        ("not-utf8", [valid.as_bytes(), b"\xe2\x82"].concat()),
        ("too-large", long.into_bytes()),
        text("too-deep", &nested),
        text("too-deep", &abyss),
        text("duplicate-key", &with(&format!(r#"{at},"loadId":"M""#))),
        text("duplicate-key", &with(&format!(r#"{at},"load\u0049d":"M""#))),
        ("nul-byte", valid.replacen("bad", "b\0d", 1).into_bytes()),
        ("nul-byte", vec![0; 64]),
        text("unreadable-value", &with(&format!(r#"{at},"sequence":1e400"#))),
        text("wrong-type", &valid.replacen(r#""bad""#, "1.5", 1)),
        text("wrong-type", &valid.replacen(r#""bad""#, "99999999999999999999999.5", 1)),
        text("missing-field", &without("eventId")),
        text("missing-field", &without("loadId")),
        text("missing-field", &without("status")),
        text("missing-field", &without("occurredAt")),
        text("wrong-type", &valid.replacen(r#""bad""#, "false", 1)),
        text("wrong-type", &valid.replacen(r#""L""#, "null", 1)),
        text("wrong-type", &valid.replacen(r#""posted""#, r#"["posted"]"#, 1)),
        text("bad-time", &with(r#""occurredAt":"yesterday""#)),
        text("trailing-data", &format!("{valid} {{}}")),
        text("trailing-data", &format!("{valid}]")),
        text("unknown-status", &valid.replacen("posted", "detained", 1)),
        text("not-json", &valid[..valid.len() / 2]),
        text("not-json", "this is not JSON"),
        text("not-json", "   "),
        text("not-an-object", "true"),
        ("schema-registry-frame", [&b"\0\0\0\x01\x07"[..], valid.as_bytes()].concat()),
        text("not-an-object", "null"),
        text("not-an-object", "12345678901234567890123456789"),
    ]
}

/// The log, and where each bad record stands in it: between good ones, with every kind of line ending, after an empty
/// line, and the last one without an ending.
fn log(good: &[ShipmentEvent], bad: &[(&'static str, Vec<u8>)]) -> (Vec<u8>, Vec<u64>) {
    let endings: [&[u8]; 4] = [b"\n", b"\r\n", b"\n\n", b"\r\n\r\n"];
    let (mut log, mut places) = (b"\n\r\n".to_vec(), Vec::new());
    for (index, (_, record)) in bad.iter().enumerate() {
        let ending = endings[index % endings.len()];
        for event in &good[2 * index..2 * index + 2] {
            log.extend_from_slice(&event.body);
            log.extend_from_slice(ending);
        }
        places.push(log.len() as u64);
        log.extend_from_slice(record);
        if index + 1 < bad.len() {
            log.extend_from_slice(ending);
        }
    }
    (log, places)
}

#[test]
fn every_kind_of_bad_record_is_a_dead_letter_with_reason_place_and_bytes_and_the_good_ones_between_arrive() {
    let bad = bad();
    let good = Events::new(40, 7).take(2 * bad.len());
    let (bytes, places) = log(&good, &bad);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&good, &[Wants::all()]);
    let site = Site::new(&fleet, &[Wants::all()]);
    site.write_bytes(&bytes);

    let summary = site.run().wait().summary();

    oracle.assert_exactly_once(&fleet);
    let records = (good.len() + bad.len()) as u64;
    assert_eq!((summary.records, summary.settled), (records, records));
    assert_eq!((summary.delivered, summary.dead_letters), (good.len() as u64, bad.len() as u64));
    let letters = site.dead_letters();
    assert_eq!(letters.len(), bad.len());
    for (((cause, record), place), letter) in bad.iter().zip(&places).zip(&letters) {
        let shown = String::from_utf8_lossy(&record[..record.len().min(200)]);
        assert_eq!((&*letter.cause, letter.offset), (*cause, *place), "{shown}: {}", letter.detail);
        assert_eq!((letter.bytes, letter.broker.as_deref()), (record.len() as u64, None), "{shown}");
        let kept = record.len().min(1 << 20);
        assert_eq!(letter.body(), record[..kept], "{shown}");
        assert!(!letter.detail.is_empty(), "{shown}");
    }
    // They are settled: the next run does not meet them again.
    assert_eq!(site.run().wait().summary().records, 0);
    assert_eq!(site.dead_letters(), letters);
}

#[test]
fn a_record_that_is_odd_and_still_an_event_arrives_as_it_is() {
    let odd = |id: &str, more: &str| ShipmentEvent {
        event_id: id.to_owned(),
        load_id: "L".to_owned(),
        status: "in-transit",
        body: Bytes::from(format!(
            "\t{{ \"status\" : \"in_transit\",\"loadId\":\"L\" ,\"occurredAt\":\"2025-06-01T00:00:00+02:00\",{more}\"eventId\":\"{id}\"}} "
        )),
    };
    let log = [
        odd("a.b/c d?e%f", ""),
        odd("Müller \u{1f69a}", r#""big":123456789012345678901234567890.10,"#),
        odd("a.b", r#""dup":{"x":1,"x":2},"#),
        odd("a~2Eb", r#""nested":[[[[[[[[[[1]]]]]]]]]],"#),
    ];
    let fleet = Fleet::start(2);
    let wants = [Wants::all(), Wants::all().only(&["in-transit"])];
    let oracle = Oracle::new(&log, &wants);
    let site = Site::new(&fleet, &wants);
    site.write(&log);
    assert_eq!(site.run().wait().summary().delivered, 8);
    oracle.assert_exactly_once(&fleet);
}
