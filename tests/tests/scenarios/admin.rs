//! A running process is asked and told what to do: by the commands an operator has, over its admin endpoint, and over
//! HTTP as a scraper does. With no process running the state directory answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    time::Duration,
};

use lab::receiver::Behaviour;
use serde_json::Value;
use tests::{Events, Fleet, Oracle, Site, Wants, pause, until};

/// What `loadline status --json` says.
pub(crate) fn status(site: &Site) -> Value {
    site.loadline(&["status", "--json"]).status()
}

/// Carries out `loadline broker ACT broker-INDEX`.
fn act(site: &Site, act: &str, index: usize) -> String {
    let name = format!("broker-{index}");
    site.loadline(&["broker", act, &name, "--config"]).expect(0).stdout
}

/// A site that follows its file, with a running process that its socket answers for.
pub(crate) fn following(fleet: &Fleet, wants: &[Wants]) -> Site {
    let mut site = Site::new(fleet, wants);
    site.set("source.follow", true);
    site.impatient();
    site
}

/// Does not ask a command: without a process it would take the directory for a moment, and a process that starts then
/// finds it in use.
pub(crate) fn wait_for_the_endpoint(site: &Site) {
    until("the endpoint answers", || get(site, "/readyz").0 == 200);
}

/// Asks the site's socket, with nothing but a path.
fn get(site: &Site, path: &str) -> (u16, String) {
    ask(site, "GET", path)
}

/// The same with any method.
pub(crate) fn ask(site: &Site, method: &str, path: &str) -> (u16, String) {
    let Ok(stream) = UnixStream::connect(site.path("state").join("admin.sock")) else {
        return (0, String::new());
    };
    exchange(stream, &format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
}

pub(crate) fn exchange(mut stream: impl Read + Write, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // A run that ends closes its connections.
    let _cut = stream.read_to_string(&mut answer).is_err();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return (0, answer) };
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// An address nobody listens on.
fn free() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

#[test]
fn a_broker_that_is_down_is_named_with_its_backlog_and_the_age_of_its_oldest() {
    let log = Events::new(400, 20).take(300);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let site = following(&fleet, &wants);
    site.write(&log);
    fleet.tms(1).refuse();
    let run = site.run();
    wait_for_the_endpoint(&site);
    fleet.tms(0).wait_for(300);
    let mut seen = Value::Null;
    until("the broker's whole backlog is on disk", || {
        seen = status(&site);
        seen["brokers"][1]["spilled"] == 300 && seen["settled"] == 300
    });
    assert_eq!(seen["answeredBy"], "process");
    assert_eq!(seen["verdict"]["word"], "lagging");
    let because = seen["verdict"]["because"][0].as_str().unwrap();
    assert!(because.contains("broker-1") && because.contains("300 wait"), "{because}");
    let (well, down) = (&seen["brokers"][0], &seen["brokers"][1]);
    assert_eq!((&well["state"], &well["delivered"]), (&"healthy".into(), &300.into()));
    assert!(["open", "half-open"].contains(&down["state"].as_str().unwrap()), "{down}");
    assert!(down["oldestSeconds"].as_f64().unwrap() > 0.0 && down["spilledBytes"].as_u64().unwrap() > 0);
    assert!(down["lastError"]["cause"].as_str().unwrap().contains("connect"), "{down}");
    let partition = &seen["partitions"][0];
    assert_eq!((&partition["lagEvents"], &partition["held"]), (&0.into(), &false.into()));
    assert_eq!(partition["settledTo"], partition["end"]);
    let table = site.loadline(&["status"]).expect(2).stdout;
    let first = table.lines().next().unwrap();
    assert!(first.starts_with("lagging because broker broker-1"), "{table}");

    fleet.tms(1).behave(Behaviour::default());
    fleet.tms(1).wait_for(300);
    until("it is healthy again", || status(&site)["verdict"]["word"] == "healthy");
    run.terminate();
    assert_eq!(run.wait().summary().delivered, 600);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn connections_that_ask_nothing_keep_no_operator_out() {
    let log = Events::new(402, 5).take(20);
    let fleet = Fleet::start(1);
    let mut site = following(&fleet, &[Wants::all()]);
    let address = free();
    site.set("admin.listen", address.to_string());
    site.write(&log);
    let run = site.run();
    until("the endpoint answers", || TcpStream::connect(address).is_ok());
    // Three times as many as there are places, some with half a request.
    let idle: Vec<_> = (0..48)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /status HTTP/1.1\r\nhost:").unwrap();
            }
            stream
        })
        .collect();
    until("the endpoint answers all the same", || {
        let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        exchange(TcpStream::connect(address).unwrap(), request).0 == 200
    });
    assert_eq!(status(&site)["answeredBy"], "process");
    drop(idle);
    run.terminate();
    assert_eq!(run.wait().summary().delivered, 20);
}

#[test]
fn a_paused_broker_waits_across_a_restart_and_drains_in_order_when_it_is_resumed() {
    let log = Events::new(401, 10).take(600);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let site = following(&fleet, &wants);
    site.write(&log[..200]);
    let run = site.run();
    wait_for_the_endpoint(&site);
    fleet.tms(0).wait_for(200);
    fleet.tms(1).wait_for(200);
    assert!(act(&site, "pause", 0).contains("in the running process"));
    // What was on the wire is over: nothing was waiting.
    site.append(&log[200..400]);
    fleet.tms(1).wait_for(400);
    until("all waits on disk", || status(&site)["brokers"][0]["spilled"] == 200);
    assert_eq!(status(&site)["brokers"][0]["state"], "paused");
    assert_eq!(fleet.tms(0).taken(), 200, "something was sent to a paused broker");
    run.terminate();
    assert_eq!(run.wait().summary().spilled, 200);

    let told = status(&site);
    assert_eq!((&told["answeredBy"], &told["brokers"][0]["state"]), (&"directory".into(), &"paused".into()));
    let run = site.run();
    wait_for_the_endpoint(&site);
    site.append(&log[400..]);
    fleet.tms(1).wait_for(600);
    until("what came behind it waits too", || status(&site)["brokers"][0]["spilled"] == 400);
    assert_eq!(fleet.tms(0).taken(), 200, "the pause did not survive the restart");
    let _told = act(&site, "resume", 0);
    fleet.tms(0).wait_for(600);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.spilled, summary.dead_letters), (0, 0));
    // In order per load as well.
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_broker_disabled_live_gets_dead_letters_only_until_it_is_enabled() {
    let log = Events::new(402, 10).take(300);
    let fleet = Fleet::start(2);
    let site = following(&fleet, &vec![Wants::all(); 2]);
    site.write(&log[..100]);
    let run = site.run();
    wait_for_the_endpoint(&site);
    fleet.tms(0).wait_for(100);
    let _told = act(&site, "disable", 0);
    site.append(&log[100..200]);
    until("they are dead letters", || status(&site)["deadLetters"]["total"] == 100);
    let told = status(&site);
    let cause = &told["deadLetters"]["byCause"][0];
    assert_eq!((&cause["cause"], &cause["count"]), (&"broker-disabled".into(), &100.into()));
    assert_eq!(told["brokers"][0]["state"], "disabled");
    assert_eq!(fleet.tms(0).taken(), 100);
    let _told = act(&site, "enable", 0);
    site.append(&log[200..]);
    fleet.tms(0).wait_for(200);
    fleet.tms(1).wait_for(300);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (500, 100));
    assert_eq!(site.dead_letters().len(), 100);
    // It was enabled on record too.
    site.write(&[]);
    assert_eq!(status(&site)["brokers"][0]["state"], "idle");
}

#[test]
fn what_an_operator_asks_for_is_done_although_nobody_waits_for_the_answer() {
    let fleet = Fleet::start(1);
    let wants = vec![Wants::all()];
    let mut site = following(&fleet, &wants);
    // Long enough for whoever asks to be gone before it is on record.
    site.set("state.linger", "100ms");
    site.write(&Events::new(405, 5).take(10));
    let run = site.run();
    wait_for_the_endpoint(&site);
    fleet.tms(0).wait_for(10);
    let mut stream = UnixStream::connect(site.path("state").join("admin.sock")).unwrap();
    stream.write_all(b"POST /brokers/broker-0/pause HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    pause(Duration::from_millis(20));
    drop(stream);
    until("it is in force", || status(&site)["brokers"][0]["state"] == "paused");
    run.terminate();
    let _ended = run.wait().expect(0);
    assert_eq!(status(&site)["brokers"][0]["state"], "paused", "and on record");
}

#[test]
fn with_no_process_the_directory_answers_and_says_so() {
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    let nothing = site.loadline(&["status"]).expect(4);
    assert!(nothing.stderr.contains("no run has begun"), "{nothing:?}");
    site.write_bytes(b"not json\n");
    assert_eq!(site.run().wait().summary().dead_letters, 1);
    let told = status(&site);
    assert_eq!((&told["answeredBy"], &told["verdict"]["word"]), (&"directory".into(), &"not-running".into()));
    assert_eq!(told["deadLetters"]["byCause"][0]["stage"], "decode");
    assert_eq!(told["partitions"][0]["settledTo"], 9);
    let table = site.loadline(&["status"]).expect(4).stdout;
    assert!(table.contains("the state directory, because no process runs"), "{table}");
    assert!(act(&site, "pause", 0).contains("no process runs"));
    assert_eq!(status(&site)["brokers"][0]["state"], "paused");
}

/// Reads Prometheus's text format 0.0.4 strictly: every sample of a declared family, once; gives values by series.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(["counter", "gauge", "summary", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "declared twice: {line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            let family = name.strip_suffix(end)?;
            kinds.get(family).filter(|kind| ["summary", "histogram"].contains(&kind.as_str()))
        });
        assert!(family.is_some() || kinds.contains_key(name), "not declared: {line}");
        if let Some(labels) = series.strip_prefix(name).and_then(|rest| rest.strip_prefix('{')) {
            let labels = labels.strip_suffix("\"}").unwrap_or_else(|| panic!("{line}"));
            let names: Vec<&str> =
                labels.split("\",").map(|label| label.split_once("=\"").unwrap().0).collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{line}");
        }
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

#[test]
fn metrics_are_prometheus_text_and_agree_with_the_summary_and_the_probes_say_what_they_mean() {
    let log = Events::new(403, 10).take(200);
    let fleet = Fleet::start(2);
    let mut site = following(&fleet, &vec![Wants::all(); 2]);
    let addr = free();
    site.set("admin.listen", addr.to_string());
    site.write(&log);
    site.append(&log[..10]);
    site.append_bytes(b"not json\n");
    fleet.tms(1).behave(Behaviour { fail_rate: 0.2, ..Behaviour::default() });
    let ask = |request: &str| exchange(TcpStream::connect(addr).unwrap(), request);
    let get = |path: &str| ask(&format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n"));
    let run = site.run();
    // A record is settled as soon as all that is left of it waits on disk.
    until("all are settled and nothing waits", || {
        if TcpStream::connect(addr).is_err() {
            return false;
        }
        let status: Value = serde_json::from_str(&get("/status").1).unwrap();
        let waiting = |broker: &Value| ["queued", "onWire", "spilled"].iter().any(|at| broker[at] != 0);
        // There are no brokers before it has started.
        let brokers = status["brokers"].as_array();
        status["settled"] == 211
            && brokers.is_some_and(|brokers| brokers.len() == 2 && !brokers.iter().any(waiting))
    });
    assert_eq!((get("/healthz").0, get("/readyz").0, get("/nothing").0), (200, 200, 404));
    assert_eq!(ask(&format!("POST /status HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n")).0, 405);
    let page =
        format!("POST /brokers/broker-0/disable HTTP/1.1\r\nhost: {addr}\r\norigin: https://a.example\r\n");
    assert_eq!(ask(&format!("{page}connection: close\r\n\r\n")).0, 403);
    let rebound = "GET /status HTTP/1.1\r\nhost: rebound.example\r\nconnection: close\r\n\r\n";
    assert_eq!(ask(rebound).0, 403);
    // An observation is given out for a tenth of a second.
    pause(Duration::from_millis(150));
    let metrics = parse(&get("/metrics").1);
    run.terminate();
    let summary = run.wait().summary();

    let of = |series: &str| *metrics.get(series).unwrap_or_else(|| panic!("no {series} in {metrics:#?}"));
    let sum = |name: &str| {
        let of_name = |series: &&String| series.starts_with(&format!("{name}{{"));
        metrics.iter().filter(|(series, _)| of_name(series)).map(|(_, value)| value).sum::<f64>()
    };
    assert_eq!(of("loadline_intake_records_total"), summary.records as f64);
    assert_eq!(of("loadline_settled_records_total"), summary.settled as f64);
    assert_eq!(sum("loadline_delivered_total"), summary.delivered as f64);
    assert_eq!(sum("loadline_duplicates_total"), summary.duplicates as f64);
    assert_eq!(sum("loadline_dead_letters"), summary.dead_letters as f64);
    assert_eq!(of("loadline_attempts_total{broker=\"broker-0\",outcome=\"success\"}"), 200.0);
    let failures = of("loadline_attempts_total{broker=\"broker-1\",outcome=\"failure\"}");
    assert!(failures > 0.0 && of("loadline_retries_total{broker=\"broker-1\"}") == failures);
    for end in ["count{broker=\"broker-1\"}", "bucket{broker=\"broker-1\",le=\"+Inf\"}"] {
        assert_eq!(of(&format!("loadline_delivery_latency_seconds_{end}")), 200.0);
    }
    let stage = |stage: &str| of(&format!("loadline_stage_duration_seconds_count{{stage=\"{stage}\"}}"));
    assert_eq!((stage("decode"), stage("validate"), stage("route")), (211.0, 210.0, 210.0));
    assert_eq!(stage("deliver"), 400.0 + failures);
    assert!(stage("throttle") >= stage("deliver"), "an attempt without a permit");
    // A verdict each, duplicates and the record that is none included.
    assert_eq!(stage("ack"), 421.0);
    assert!(stage("dedupe") >= 420.0);
    assert_eq!(of("loadline_broker_state{broker=\"broker-0\",state=\"healthy\"}"), 1.0);
    assert_eq!(of("loadline_lag_events{partition=\"file:events.ndjson\"}"), 0.0);
    assert!(of("loadline_commit_duration_seconds_count") <= summary.commits as f64);
}

#[test]
fn beyond_loopback_a_token_is_needed_and_the_commands_show_it() {
    let fleet = Fleet::start(1);
    let mut site = following(&fleet, &[Wants::all()]);
    let port = free().port();
    site.set("admin.listen", format!("0.0.0.0:{port}"));
    let refused = site.loadline(&["check"]).expect(64);
    assert!(refused.stdout.contains("admin.listen") && refused.stdout.contains("token"), "{refused:?}");
    std::fs::write(site.path("token"), "0123456789abcdef\n").unwrap();
    site.set("admin.token", "file:token");
    site.write(&[]);
    let run = site.run();
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let ask = |path: &str, header: &str| match TcpStream::connect(addr) {
        Ok(stream) => {
            let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{header}\r\n");
            exchange(stream, &request).0
        }
        Err(_) => 0,
    };
    until("it is ready", || ask("/readyz", "") == 200);
    assert_eq!((ask("/status", ""), ask("/metrics", "")), (401, 401));
    assert_eq!(ask("/status", "authorization: Bearer 0123456789abcdee\r\n"), 401);
    assert_eq!(ask("/status", "authorization: Bearer 0123456789abcdef\r\n"), 200);
    assert_eq!(status(&site)["answeredBy"], "process");
    run.terminate();
    let _summary = run.wait().summary();
}
