//! An event's place in a distributed trace reaches the broker, also by way of the disk, a restart and a retry; and spans
//! of the attempts reach whoever is to have them.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use serde_json::Value;
use tests::{FixedReceiver, Fleet, Post, Site, Wants, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// An event, with a `traceparent` or without.
fn event(number: usize, traceparent: Option<&str>) -> String {
    let traceparent = traceparent.map_or(String::new(), |text| format!(r#","traceparent":"{text}""#));
    format!(
        r#"{{"eventId":"e-{number}","loadId":"L-{number}","status":"posted","occurredAt":"2025-06-01T12:00:00Z"{traceparent}}}"#
    )
}

fn parent(span: &str) -> String {
    format!("00-{TRACE}-{span}-01")
}

/// A site that follows its file, with one broker that is `peer`.
fn site(peer: &FixedReceiver) -> Site {
    let fleet = Fleet::start(1);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set_broker(0, "url", format!("{}/hook", peer.url()));
    site.set("source.follow", true);
    site.impatient();
    site
}

fn of(posts: &[Post], number: usize) -> Vec<&Post> {
    let id = format!("e-{number}");
    posts.iter().filter(|post| post.header("webhook-id") == Some(&id)).collect()
}

#[test]
fn a_traceparent_reaches_the_broker_with_every_attempt_also_from_disk_after_a_restart() {
    let peer = FixedReceiver::start(503);
    let site = site(&peer);
    let (first, malformed) = (parent("b7ad6b7169203331"), "00-nonsense");
    let lines = [event(1, Some(&first)), event(2, None), event(3, Some(malformed))];
    site.write_bytes(format!("{}\n", lines.join("\n")).as_bytes());
    let run = site.run();
    until("all of them wait on disk after an attempt", || {
        // Until it answers there is nothing to read.
        let status: Value =
            serde_json::from_str(&site.loadline(&["status", "--json"]).stdout).unwrap_or_default();
        status["brokers"][0]["spilled"] == 3 && !of(&peer.posts(), 1).is_empty()
    });
    run.terminate();
    assert_eq!(run.wait().summary().spilled, 3);
    peer.answer(200);
    let run = site.run();
    until("they are taken", || peer.posts().iter().filter(|post| post.status == Some(200)).count() == 3);
    run.terminate();
    assert_eq!(run.wait().summary().dead_letters, 0, "a malformed traceparent refuses no event");

    let posts = peer.posts();
    for post in of(&posts, 1) {
        assert_eq!(post.header("traceparent"), Some(&*first), "{post:?}");
    }
    assert!(of(&posts, 1).len() > 1, "there was no retry");
    for post in of(&posts, 2).into_iter().chain(of(&posts, 3)) {
        assert_eq!(post.header("traceparent"), None, "{post:?}");
    }
}

/// A span as a receiver of OTLP reads it.
struct Seen {
    span: Span,
    service: String,
}

impl Seen {
    fn attribute(&self, key: &str) -> String {
        text(self.span.attributes.iter().find(|attribute| attribute.key == key))
    }
}

fn text(attribute: Option<&KeyValue>) -> String {
    match attribute.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The spans that `collector` has been sent.
fn spans(collector: &FixedReceiver) -> Vec<Seen> {
    let mut seen = Vec::new();
    for post in collector.posts() {
        assert_eq!(post.path, "/v1/traces");
        assert_eq!(post.header("content-type"), Some("application/x-protobuf"));
        let request = ExportTraceServiceRequest::decode(&*post.body).expect("OTLP");
        for resource in request.resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let service = text(attributes.iter().find(|attribute| attribute.key == "service.name"));
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            seen.extend(spans.map(|span| Seen { span, service: service.clone() }));
        }
    }
    seen
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn each_attempt_of_a_sampled_trace_is_a_span_that_the_broker_is_told_of() {
    let (peer, collector) = (FixedReceiver::start(503), FixedReceiver::start(200));
    let mut site = site(&peer);
    site.set("telemetry.endpoint", format!("{}/v1/traces", collector.url()));
    site.set("telemetry.service_name", "loadline-test");
    site.set("telemetry.sample_ratio", 1.0);
    site.set("telemetry.interval", "10ms");
    let checked = site.loadline(&["check"]).expect(0).stdout;
    assert!(checked.contains("admin.sock") && checked.contains(&collector.url()), "{checked}");
    let (sampled, unsampled) = (parent("b7ad6b7169203331"), format!("00-{TRACE}-00f067aa0ba902b7-00"));
    let lines = [event(1, Some(&sampled)), event(2, None), event(3, Some(&unsampled))];
    site.write_bytes(format!("{}\n", lines.join("\n")).as_bytes());
    let run = site.run();
    until("an attempt at each has failed", || (1..4).all(|number| !of(&peer.posts(), number).is_empty()));
    peer.answer(202);
    until("all are taken", || peer.posts().iter().filter(|post| post.status == Some(202)).count() == 3);
    run.terminate();
    assert_eq!(run.wait().summary().delivered, 3);

    let (posts, spans) = (peer.posts(), spans(&collector));
    let of_event = |number: usize| {
        let id = format!("e-{number}");
        spans.iter().filter(|seen| seen.attribute("loadline.event_id") == id).collect::<Vec<_>>()
    };
    for number in [1, 2] {
        let (posts, spans) = (of(&posts, number), of_event(number));
        assert_eq!(posts.len(), spans.len(), "an attempt without a span, or the other way round");
        assert!(spans.len() > 1, "there was no retry");
        for (attempt, (post, seen)) in (1..).zip(posts.iter().zip(&spans)) {
            let span = &seen.span;
            let told = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
            assert_eq!(post.header("traceparent"), Some(&*told));
            let expected = if number == 1 { "b7ad6b7169203331" } else { "" };
            assert_eq!(hex(&span.parent_span_id), expected);
            assert_eq!(hex(&span.trace_id) == TRACE, number == 1);
            assert_eq!((&*seen.service, &*span.name), ("loadline-test", "deliver"));
            assert_eq!(seen.attribute("loadline.broker"), "broker-0");
            assert_eq!(seen.attribute("loadline.load_id"), format!("L-{number}"));
            assert_eq!(seen.attribute("loadline.attempt"), attempt.to_string());
            assert_eq!(seen.attribute("http.response.status_code"), post.status.unwrap().to_string());
            let outcome = if post.status == Some(202) { "success" } else { "failure" };
            assert_eq!(seen.attribute("loadline.outcome"), outcome);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        }
        assert!(spans.iter().all(|seen| seen.span.trace_id == spans[0].span.trace_id));
    }
    assert!(of_event(3).is_empty(), "a decision against was not kept");
    assert!(of(&posts, 3).iter().all(|post| post.header("traceparent") == Some(&*unsampled)));
}

#[test]
fn a_receiver_of_spans_that_is_gone_costs_spans_and_nothing_else() {
    let peer = FixedReceiver::start(200);
    let mut site = site(&peer);
    site.set("source.follow", false);
    // Nobody has listened on the port of TCP's own multiplexer for decades.
    site.set("telemetry.endpoint", "http://127.0.0.1:1/v1/traces");
    site.set("telemetry.sample_ratio", 1.0);
    site.set("telemetry.interval", "10ms");
    site.set("telemetry.queue_max", 8);
    let lines: Vec<String> = (0..500).map(|number| event(number, None)).collect();
    site.write_bytes(format!("{}\n", lines.join("\n")).as_bytes());
    let ended = site.run().wait();
    assert!(ended.stderr.contains("could not be exported"), "{ended:?}");
    assert_eq!(ended.summary().delivered, 500);
}
