//! `loadline try`: one event to one broker, with everything to be seen and nothing recorded.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tests::{AskingTms, Authority, Fleet, Reply, Site, Wants};

const EVENT: &str =
    r#"{"eventId":"e-1","loadId":"L-1","status":"delivered","occurredAt":"2025-06-01T12:00:00Z"}"#;

fn site(origin: &str) -> Site {
    let mut site = Site::new(&Fleet::start(1), &[Wants::all()]);
    site.set_broker(0, "url", format!("{origin}/loads/{{loadId}}"));
    site.environment("TOKEN", "hunter2");
    let auth = toml::Table::from_iter([("bearer".to_owned(), toml::Value::from("env:TOKEN"))]);
    site.set_broker(0, "auth", auth);
    fs::write(site.path("event.json"), EVENT).unwrap();
    fs::write(site.events(), format!("{EVENT}\n")).unwrap();
    site
}

const TRY: [&str; 5] = ["try", "broker-0", "--event", "event.json", "--config"];

#[test]
fn an_event_is_sent_and_shown_and_a_run_delivers_it_all_the_same() {
    let authority = Authority::new();
    let tms =
        AskingTms::start_tls(&authority, false, |_| Reply { status: 200, body: "{\"ok\":1}".to_owned() });
    let mut site = site(&tms.origin());
    fs::write(site.path("ca.pem"), authority.pem()).unwrap();
    site.set("delivery.ca_file", "ca.pem");
    let tried = site.loadline(&TRY).expect(0);
    for expected in [
        "POST https://127.0.0.1:",
        "/loads/L-1\n",
        "authorization: (hidden)",
        "webhook-id: e-1",
        EVENT,
        "200 OK",
        "TLS 1.3, certificate of ",
        "by CN=an authority of Loadline's tests",
        "{\"ok\":1}",
        "head of the answer after ",
        "in a run it would count as delivered",
    ] {
        assert!(tried.stdout.contains(expected), "{expected}: {tried:?}");
    }
    assert!(!tried.stdout.contains("hunter2"), "{tried:?}");
    assert_eq!(tms.only().headers["authorization"], "Bearer hunter2");
    assert!(!site.path("state").exists(), "nothing is recorded");
    assert_eq!(site.run().wait().summary().delivered, 1);
    assert_eq!(tms.seen().len(), 2);
}

#[test]
fn a_request_is_only_shown_if_that_is_asked_for() {
    let tms = AskingTms::start(|_| Reply::of(200));
    let site = site(&tms.origin());
    let shown = site.loadline(&[&["--json"], &TRY[..4], &["--dry-run", "--config"]].concat()).expect(0);
    let told: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((told["request"]["method"].as_str(), told["answer"].is_null()), (Some("POST"), true));
    let curl = site.loadline(&[&TRY[..4], &["--curl", "--config"]].concat()).expect(0).stdout;
    assert!(curl.starts_with("curl -X POST 'http://127.0.0.1:"), "{curl}");
    assert!(curl.contains("-H \"authorization: $AUTHORIZATION\"") && !curl.contains("hunter2"), "{curl}");
    assert_eq!(tms.seen().len(), 0);
}

#[test]
fn how_a_request_gets_there_is_shown_and_of_several_events_the_first_is_tried() {
    let tms = AskingTms::start(|_| Reply::of(200));
    let mut site = site(&tms.origin());
    site.environment("PROXY_USER", "user:hunter2");
    let proxy = [("url", "http://127.0.0.1:9"), ("credentials", "env:PROXY_USER")];
    let proxy = proxy.map(|(key, value)| (key.to_owned(), toml::Value::from(value)));
    site.set_broker(0, "proxy", toml::Table::from_iter(proxy));
    fs::write(site.path("ca.pem"), Authority::new().pem()).unwrap();
    site.set_broker(0, "ca_file", "ca.pem");
    let curl = site.loadline(&[&TRY[..4], &["--curl", "--config"]].concat()).expect(0).stdout;
    for option in ["--proxy 'http://127.0.0.1:9'", "--proxy-user \"$PROXY_USER\"", "--cacert '", "/ca.pem'"] {
        assert!(curl.contains(option) && !curl.contains("hunter2"), "{option}: {curl}");
    }
    fs::write(site.path("event.json"), format!("[{EVENT},{EVENT}]")).unwrap();
    let shown = site.loadline(&[&TRY[..4], &["--dry-run", "--config"]].concat()).expect(0);
    assert!(
        shown.stdout.starts_with("through the proxy http://127.0.0.1:9, with credentials\n"),
        "{shown:?}"
    );
    assert!(shown.stderr.contains("note: the file holds 2 events; the first is tried"), "{shown:?}");
    let down = site.loadline(&TRY).expect(1).stdout;
    assert!(down.contains("the proxy cannot be reached: connection refused"), "{down}");
    assert!(down.contains("in a run the broker's events would wait"), "{down}");
    assert_eq!(tms.seen().len(), 0);
    fs::write(site.path("event.json"), "[]").unwrap();
    let none = site.loadline(&TRY).expect(64);
    assert!(none.stderr.contains("its array is empty"), "{none:?}");
}

#[test]
fn a_refusal_and_what_it_would_mean_are_shown_and_what_cannot_be_tried_says_why() {
    let tms = AskingTms::start(|_| Reply { status: 422, body: "no \u{1b}[31msuch load".to_owned() });
    let mut site = site(&tms.origin());
    let refused = site.loadline(&TRY).expect(1).stdout;
    assert!(refused.contains("422") && refused.contains("in a run it would be a dead letter"), "{refused}");
    assert!(refused.contains("such load") && !refused.contains('\u{1b}'), "{refused}");
    let unknown = site.loadline(&["try", "nobody", "--event", "event.json", "--config"]).expect(64);
    assert!(unknown.stderr.contains("broker nobody is not in the config; it names broker-0"), "{unknown:?}");
    fs::write(site.path("event.json"), "{}").unwrap();
    let no_event = site.loadline(&TRY).expect(64);
    assert!(no_event.stderr.contains("missing-field"), "{no_event:?}");
    fs::write(site.path("event.json"), EVENT).unwrap();
    site.set_broker(0, "statuses", vec!["posted"]);
    let unwanted = site.loadline(&TRY).expect(1);
    assert!(unwanted.stderr.contains("would not give this event to broker-0"), "{unwanted:?}");
}

#[test]
fn an_error_behind_what_is_shown_of_an_answer_is_found_as_in_a_run() {
    let body = format!("{{\"pad\":\"{}\",\"error\":\"no such load\"}}", "x".repeat(6_000));
    let tms = AskingTms::start(move |_| Reply { status: 200, body: body.clone() });
    let mut site = site(&tms.origin());
    let rule = toml::Table::from_iter([("pointer".to_owned(), toml::Value::from("/error"))]);
    site.set_broker(0, "body_errors", vec![rule]);
    let tried = site.loadline(&TRY).expect(1).stdout;
    assert!(tried.contains("in a run it would be a dead letter"), "{tried}");
    assert!(tried.contains("… (the answer goes on)") && !tried.contains("no such load"), "{tried}");
    assert_eq!(site.run().wait().summary().dead_letters, 1);
}

#[test]
fn what_is_sent_again_from_a_dead_letter_is_made_of_the_same_fields() {
    let takes = Arc::new(AtomicBool::new(false));
    let asked = takes.clone();
    let tms = AskingTms::start(move |_| Reply::of(if asked.load(Ordering::SeqCst) { 200 } else { 422 }));
    let mut site = site(&tms.origin());
    site.set_broker(0, "body", "standard");
    assert_eq!(site.run().wait().summary().dead_letters, 1);
    takes.store(true, Ordering::SeqCst);
    let _replayed = site.loadline_with(&["dead", "replay"], &["--all"]).expect(0);
    assert_eq!(site.run().wait().summary().delivered, 1);
    let seen = tms.seen();
    assert_eq!((seen.len(), &seen[0].body), (2, &seen[1].body));
    assert!(seen[1].body.starts_with(br#"{"type":"delivered","timestamp":"2025-06-01T12:00:00Z","data":"#));
}
