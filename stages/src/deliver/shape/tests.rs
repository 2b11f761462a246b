//! What becomes of an event in each shape, and what no value of an event can do.

use proptest::prelude::*;
use serde_json::{Value, json};
use state::{BodyDigest, Position};

use super::{super::egress::Egress, *};

fn event_of(load_id: &str, body: &str) -> Event {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Event {
        position: Position::new("test".into(), 0, 0),
        event_id: "e.1".into(),
        load_id: load_id.into(),
        status: "in-transit".into(),
        occurred_at: 1_700_000_000_123,
        sequence: Some(7),
        traceparent: None,
        read_at: 0,
        digest: BodyDigest::of(&body),
        body,
    }
}

fn event(body: &Value) -> Event {
    event_of("L 1/ü", &body.to_string())
}

fn text(text: &str) -> PlaceText {
    PlaceText::parse(text).unwrap()
}

fn places(url: &str) -> Result<UrlPlaces, UrlPlacesError> {
    UrlPlaces::parse(url, &Egress::default()).map(Option::unwrap)
}

fn filled(url: &str, event: &Event) -> Result<String, Unfit> {
    let shape = Shape { url: Some(places(url).unwrap()), ..Shape::default() };
    shape.apply(event).map(|shaped| shaped.url.unwrap().to_string())
}

fn bytes(body: Body, event: &Event) -> Result<Bytes, Unfit> {
    Shape { body, ..Shape::default() }.apply(event).map(|shaped| shaped.body)
}

fn json_of(body: Body, event: &Event) -> Value {
    serde_json::from_slice(&bytes(body, event).unwrap()).unwrap()
}

#[test]
fn a_value_in_a_url_is_one_segment_whatever_is_in_it() {
    let event = event(&json!({ "stop": { "city": "São Paulo?", "n": 3 } }));
    assert_eq!(
        filled("https://tms.example/loads/{loadId}/status?seq={sequence}&n={/stop/n}", &event).unwrap(),
        "https://tms.example/loads/L%201%2F%C3%BC/status?seq=7&n=3"
    );
    assert_eq!(
        filled("https://tms.example/?city={/stop/city}&at={occurredAt}", &event).unwrap(),
        "https://tms.example/?city=S%C3%A3o%20Paulo%3F&at=2023-11-14T22%3A13%3A20.123Z"
    );
    for dots in [".", ".."] {
        let refused = filled("https://tms.example/loads/{loadId}/status", &event_of(dots, "{}")).unwrap_err();
        assert_eq!(refused, Unfit::NoSegment { field: "loadId".to_owned() });
    }
    let beside = filled("https://tms.example/loads/.{loadId}x/../{/a}.", &event_of("b", r#"{"a":"."}"#));
    assert!(matches!(beside, Err(Unfit::NoSegment { .. })), "{beside:?}");
}

#[test]
fn a_value_that_is_not_there_or_no_text_ends_the_delivery_with_its_name() {
    let event = event(&json!({ "stops": ["a"], "none": null, "empty": "" }));
    for pointer in ["/stops", "/none", "/empty", "/nowhere"] {
        let refused = filled(&format!("https://tms.example/{{{pointer}}}"), &event).unwrap_err();
        assert_eq!(refused, Unfit::Missing { field: pointer.to_owned() });
    }
    assert_eq!(filled("https://tms.example/{/stops/0}", &event).unwrap(), "https://tms.example/a");
    let long = event_of(&"x".repeat(9_000), "{}");
    assert!(matches!(filled("https://tms.example/{loadId}", &long), Err(Unfit::UrlTooLong { .. })));
}

#[test]
fn a_pointer_leads_into_a_text_that_holds_json_wherever_it_stands() {
    let event = event(&json!({ "Message": json!({ "stop": { "n": 3 }, "city": "X" }).to_string() }));
    assert_eq!(filled("https://tms.example/{/Message/stop/n}", &event).unwrap(), "https://tms.example/3");
    let template =
        r#"{"city": "{{ pointer(body, "/Message/city") }}", "n": {{ pointer(body, "/Message/stop/n") }}}"#;
    let made = json_of(Body::Template(JsonTemplate::new(template).unwrap()), &event);
    assert_eq!(made, json!({ "city": "X", "n": 3 }));
}

#[test]
fn a_number_that_would_be_rounded_stands_in_no_url() {
    let url = "https://tms.example/{/n}";
    let body = |number: &str| event_of("L", &format!("{{\"n\":{number}}}"));
    assert_eq!(
        filled(url, &body("18446744073709551615")).unwrap(),
        "https://tms.example/18446744073709551615"
    );
    assert_eq!(filled(url, &body("1.50")).unwrap(), "https://tms.example/1.5");
    for rounded in ["123456789012345678901234", "-123456789012345678901234", "1e300"] {
        assert_eq!(filled(url, &body(rounded)).unwrap_err(), Unfit::Missing { field: "/n".to_owned() });
    }
}

#[test]
fn a_place_that_is_no_pointer_is_refused() {
    for url in ["https://tms.example/{/a~2b}", "https://tms.example/{/a~}"] {
        let refused = places(url).unwrap_err();
        assert!(
            matches!(refused, UrlPlacesError::Place(super::super::PlaceError::Pointer { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_place_that_stands_for_nothing_or_before_the_path_is_refused() {
    let unknown = places("https://tms.example/{load}").unwrap_err();
    assert!(
        matches!(unknown, UrlPlacesError::Place(super::super::PlaceError::Unknown { .. })),
        "{unknown:?}"
    );
    let doubled = places("https://tms.example/{{loadId}}").unwrap_err();
    assert!(matches!(doubled, UrlPlacesError::Place(super::super::PlaceError::Doubled)), "{doubled:?}");
    for url in ["https://{loadId}.example/", "https://tms.example:{sequence}/", "{loadId}://tms.example/"] {
        assert_eq!(places(url).unwrap_err(), UrlPlacesError::BeforePath, "{url}");
    }
    assert!(matches!(places("https://10.0.0.1/{loadId}"), Err(UrlPlacesError::Url(_))));
    assert_eq!(UrlPlaces::parse("https://tms.example/a", &Egress::default()), Ok(None));
}

#[test]
fn the_standard_payload_has_type_timestamp_and_the_event_as_it_was() {
    let original = " {\"n\": 1.00, \"a\":\"\\u00e9\"} ";
    let body = bytes(Body::Standard { kind: text("load.{status}") }, &event_of("L-1", original)).unwrap();
    let expected = format!(
        "{{\"type\":\"load.in-transit\",\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"data\":{}}}",
        original.trim()
    );
    assert_eq!(str::from_utf8(&body).unwrap(), expected);
}

#[test]
fn a_cloudevent_has_its_attributes_in_the_body_or_in_headers() {
    let event = event(&json!({ "a": 1 }));
    let of = |mode| CloudEvents { mode, source: "urn:loads".into(), kind: text("load.{status}") };
    let structured = json_of(Body::CloudEvents(of(Mode::Structured)), &event);
    let expected = json!({
        "specversion": "1.0", "id": "e.1", "source": "urn:loads", "type": "load.in-transit", "subject": "L 1/ü",
        "time": "2023-11-14T22:13:20.123Z", "datacontenttype": "application/json", "data": { "a": 1 },
    });
    assert_eq!(structured, expected);
    let shape = Shape { body: Body::CloudEvents(of(Mode::Binary)), ..Shape::default() };
    assert_eq!(shape.content_type(), "application/json");
    let Shaped { body, headers, .. } = shape.apply(&event).unwrap();
    assert_eq!(body, event.body);
    let header = |name: &str| headers.iter().find(|(found, _)| found == name).unwrap().1.to_str().unwrap();
    assert_eq!((header("ce-id"), header("ce-specversion"), header("ce-source")), ("e.1", "1.0", "urn:loads"));
    assert_eq!((header("ce-subject"), header("ce-type")), ("L%201/%C3%BC", "load.in-transit"));
}

#[test]
fn a_template_makes_json_of_fields_and_of_anything_in_the_body() {
    let event =
        event(&json!({ "note": "a \"b\"\n", "stops": [{ "city": "X" }, { "city": "Y" }], "kg": 1.5 }));
    let template = r#"{"load": "{{ loadId }}", "kg": {{ body.kg }}, "note": "{{ body.note }}",
        "first": "{{ pointer(body, "/stops/0/city") }}", "stops": {{ body.stops }}, "seq": {{ sequence }},
        "cities": [{% for stop in body.stops %}"{{ stop.city | lower }}"{{ "," if not loop.last }}{% endfor %}],
        "whole": {{ body.note | tojson }} }"#;
    let made = json_of(Body::Template(JsonTemplate::new(template).unwrap()), &event);
    let expected = json!({
        "load": "L 1/ü", "kg": 1.5, "note": "a \"b\"\n", "first": "X", "stops": [{ "city": "X" }, { "city": "Y" }],
        "seq": 7, "cities": ["x", "y"], "whole": "a \"b\"\n",
    });
    assert_eq!(made, expected);
}

#[test]
fn a_template_that_cannot_work_says_why_without_the_events_values() {
    let event = event(&json!({ "secret": "hunter2" }));
    let fails =
        |template: &str| bytes(Body::Template(JsonTemplate::new(template).unwrap()), &event).unwrap_err();
    for template in ["{{ body.nowhere }}", "{{ body.nowhere.deeper }}", "{{ pointer(body, '/x') }}"] {
        assert!(matches!(fails(template), Unfit::Template { .. }), "{template}: {:?}", fails(template));
    }
    for template in ["", "{{ body.secret }}", "{\"a\": {{ body.secret }} }", "[1] {{ loadId }}"] {
        let error = fails(template);
        assert!(matches!(error, Unfit::NotJson { .. }), "{template}: {error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let endless = fails("[{% for a in range(9999) %}{% for b in range(9999) %}1,{% endfor %}{% endfor %}1]");
    assert!(matches!(endless, Unfit::Template { .. }), "{endless:?}");
    assert!(matches!(JsonTemplate::new("{{ a"), Err(TemplateError::Syntax(_))));
    assert!(matches!(JsonTemplate::new(&" ".repeat(TEMPLATE_MAX + 1)), Err(TemplateError::TooLong { .. })));
}

#[test]
fn a_value_that_cannot_be_read_is_missed_only_by_a_template_that_asks_for_it() {
    let event = event_of("L", r#"{"kg": 1e400, "city": "X"}"#);
    let made = |template: &str| bytes(Body::Template(JsonTemplate::new(template).unwrap()), &event);
    assert_eq!(made("{\"city\": \"{{ body.city }}\"}").unwrap(), "{\"city\": \"X\"}");
    let why = made("{\"kg\": {{ body.kg }}}").unwrap_err().to_string();
    let expected = "something it asks for is not there in line 1; a value in the body cannot be read: number out of range";
    assert!(why.contains(expected), "{why}");
}

#[test]
fn a_template_is_tried_on_a_sample_or_on_an_event_of_which_only_the_fields_are_known() {
    let template =
        JsonTemplate::new("{\"load\": \"{{ loadId }}\", \"city\": {{ body.stop.city }} }").unwrap();
    let empty = event(&json!({}));
    assert_eq!(template.try_blindly(&empty).unwrap(), "{\"load\": \"L 1/ü\", \"city\": null }");
    assert!(template.try_on(&empty).is_err());
    assert!(template.try_on(&event(&json!({ "stop": { "city": 1 } }))).is_ok());
    let broken = JsonTemplate::new("{\"load\": {{ loadId }} }").unwrap();
    assert!(matches!(broken.try_blindly(&empty), Err(TemplateError::Sample { .. })));
}

proptest! {
    #[test]
    fn no_value_leaves_its_place_in_a_url(load_id in ".{1,40}") {
        let event = event_of(&load_id, "{}");
        let Ok(url) = filled("https://tms.example/a/{loadId}/b?c={loadId}", &event) else {
            prop_assert!(matches!(&*load_id, "." | ".."), "{load_id:?}");
            return Ok(());
        };
        let url = Url::parse(&url).unwrap();
        let segments: Vec<_> = url.path_segments().unwrap().collect();
        prop_assert_eq!((segments.len(), segments[0], segments[2]), (3, "a", "b"));
        let pairs: Vec<_> = url.query_pairs().collect();
        prop_assert_eq!(&pairs, &[("c".into(), load_id.into())]);
        prop_assert_eq!(url.host_str(), Some("tms.example"));
    }

    #[test]
    fn no_value_ends_the_string_it_stands_in(note in ".{0,40}", load_id in ".{1,40}") {
        let event = event_of(&load_id, &json!({ "note": note }).to_string());
        let template = JsonTemplate::new("{\"load\":\"{{ loadId }}\",\"note\":\"{{ body.note }}\"}").unwrap();
        let expected = json!({ "load": load_id, "note": note });
        prop_assert_eq!(json_of(Body::Template(template), &event), expected);
    }
}
