//! What an operator is told is true: who refuses is named, a backlog is one, exit codes say what is left, and nothing is
//! called a failure that is none.

use std::fs;

use lab::receiver::Behaviour;
use reqwest::StatusCode;
use tests::{Events, Fleet, Producer, Site, Wants, lines, until};

use crate::admin::{following, status, wait_for_the_endpoint};

fn refusing(status: StatusCode) -> Behaviour {
    Behaviour { status, ..Behaviour::default() }
}

/// The reason `status` gives first, once it is one that `fits`.
fn told(site: &Site, fits: impl Fn(&str, &str) -> bool) -> String {
    let mut first = String::new();
    until("the first line says it", || {
        let seen = status(site);
        let word = seen["verdict"]["word"].as_str().unwrap().to_owned();
        first = seen["verdict"]["because"][0].as_str().unwrap_or_default().to_owned();
        fits(&word, &first)
    });
    first
}

#[test]
fn a_broker_that_refuses_everything_is_named_first_with_why_and_what_to_do() {
    for (answer, advice) in [
        (StatusCode::UNPROCESSABLE_ENTITY, "its answer is in the dead letters"),
        (StatusCode::UNAUTHORIZED, "secrets and headers"),
        (StatusCode::NOT_FOUND, "url"),
    ] {
        let fleet = Fleet::start(2);
        fleet.tms(1).behave(refusing(answer));
        let site = following(&fleet, &vec![Wants::all(); 2]);
        site.write(&Events::new(990, 20).take(100));
        let run = site.run();
        wait_for_the_endpoint(&site);
        fleet.tms(0).wait_for(100);
        let first = told(&site, |word, first| word != "healthy" && first.contains("broker-1"));
        assert!(first.contains(answer.as_str()) && first.contains(advice), "{answer}: {first}");
        let shown = site.loadline(&["status"]).expect(2).stdout;
        let line = shown.lines().next().unwrap();
        assert!(line.contains("broker-1") && line.contains(advice), "{shown}");
        run.terminate();
        let _ended = run.wait().expect(0);
    }
}

#[test]
fn a_source_of_which_nothing_is_an_event_is_not_healthy() {
    let fleet = Fleet::start(1);
    let site = following(&fleet, &[Wants::all()]);
    site.write_bytes("{\"loadId\":\"L\"}\n".repeat(50).as_bytes());
    let run = site.run();
    wait_for_the_endpoint(&site);
    let first = told(&site, |word, _| word == "failing");
    assert!(first.contains("50 of the 50 records"), "{first}");
    run.terminate();
    let _ended = run.wait().expect(0);
}

#[test]
fn a_backlog_lags_by_the_events_own_time_though_it_is_being_read() {
    let fleet = Fleet::start(1);
    let mut site = following(&fleet, &[Wants::all()]);
    site.set_broker(0, "rate", 20);
    for (key, value) in [("in_flight_max", 64), ("per_broker_max", 32), ("unsettled_max", 64)] {
        site.set(&format!("limits.{key}"), value);
    }
    site.write(&Events::new(991, 200).take(5_000));
    let run = site.run();
    wait_for_the_endpoint(&site);
    until("it is behind, and the events are of last year", || {
        let seen = status(&site);
        let partition = &seen["partitions"][0];
        seen["verdict"]["word"] == "lagging"
            && partition["behind"] == true
            && partition["oldestSeconds"].as_f64().is_some_and(|age| age > 86_400.0)
            && seen["verdict"]["because"].to_string().contains("wait in the log")
            && partition["drainSeconds"].as_f64().is_some_and(|drain| drain > 30.0)
    });
    let _killed = run.kill();
    let left = status(&site);
    assert_eq!(left["verdict"]["word"], "not-running");
    let partition = &left["partitions"][0];
    let length = fs::metadata(site.events()).unwrap().len();
    assert_eq!(partition["end"], length, "the file is there to be asked: {left}");
    assert!(partition["lagEvents"].as_u64().unwrap() > 4_000, "{left}");
    assert!(left["verdict"]["because"].to_string().contains("wait in the log"), "{left}");
}

#[test]
fn a_scheduler_can_tell_by_the_exit_code_what_a_run_has_left() {
    let fleet = Fleet::start(2);
    let mut site = Site::new(&fleet, &vec![Wants::all(); 2]);
    site.impatient();
    site.set("limits.drain", "500ms");
    site.write(&Events::new(992, 20).take(100));
    fleet.tms(1).refuse();
    let left = site.run().wait();
    assert_eq!(left.code, Some(5), "{left:?}");
    assert_eq!(left.summary().spilled, 100);
    fleet.tms(1).behave(Behaviour::default());
    site.set("limits.drain", "1m");
    assert_eq!(site.run().wait().expect(0).summary().spilled, 0);
    site.append_bytes(b"not json\n");
    let lenient = site.run().wait().expect(0).summary();
    assert_eq!((lenient.dead_letters, fleet.tms(1).taken()), (1, 100));
    site.append_bytes(b"not json either\n");
    let strict = site.loadline_with(&["--json", "run"], &["--strict"]);
    assert_eq!(strict.code, Some(6), "{strict:?}");
    assert!(strict.stdout.contains("\"dead_letters\":1,\"dead_letters_kept\":2"), "{strict:?}");
}

#[test]
fn quiet_is_quiet_and_a_run_says_when_it_starts_and_what_it_did() {
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    site.write_bytes("not json\n".repeat(500).as_bytes());
    let quiet = site.loadline(&["--quiet", "run"]).expect(0);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""));
    let status = site.loadline(&["--quiet", "status"]).expect(4);
    assert!(status.stdout.starts_with("no process runs") && status.stdout.lines().count() == 1, "{status:?}");
    site.append_bytes("neither is this\n".repeat(500).as_bytes());
    let told = site.loadline(&["run"]).expect(0);
    for part in ["starts version=", "loadline.toml", "brokers=1", "ended records=500", "letters=499"] {
        assert!(told.stderr.contains(part), "{part}: {told:?}");
    }
    assert_eq!(told.stderr.matches("WARN").count(), 2, "one line, and one for the rest: {told:?}");
}

#[test]
fn a_reader_who_has_gone_is_no_failure_and_a_slip_in_a_condition_is_one() {
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    site.write_bytes("not json\n".repeat(20).as_bytes());
    let _ended = site.run().wait().expect(0);
    // Whoever reads has gone before anything is written.
    for (command, code) in [
        ("dead list loadline.toml", 0),
        ("dead export loadline.toml", 0),
        ("dead list loadline.toml --json", 0),
        ("status loadline.toml", 4),
        ("check loadline.toml", 0),
        ("--help", 0),
    ] {
        let told = site.shell(&format!("(sleep 0.5; loadline {command}; echo ended with $? >&2) | true"));
        assert!(told.stderr.contains(&format!("ended with {code}\n")), "{command}: {told:?}");
        assert!(!told.stderr.to_lowercase().contains("pipe"), "{command}: {told:?}");
    }
    let slip = site.loadline_with(&["dead", "list"], &["--cause", "bogus"]).expect(64);
    assert!(slip.stderr.contains("bogus") && slip.stderr.contains("not-json"), "{slip:?}");
    let slip = site.loadline_with(&["dead", "purge"], &["--broker", "broker-9"]).expect(64);
    assert!(slip.stderr.contains("it names broker-0"), "{slip:?}");
    let slip = site.shell("loadline broker enable broker-9").expect(64);
    assert!(slip.stderr.contains("it names broker-0"), "{slip:?}");
    let none = site.loadline_with(&["dead", "list"], &["--cause", "refused"]).expect(0);
    assert!(none.stderr.contains("0 dead letters"), "{none:?}");
}

#[test]
fn the_config_is_found_where_it_is_and_a_proposed_command_names_it_as_it_was_named() {
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    site.write(&Events::new(993, 5).take(10));
    fleet.tms(0).behave(refusing(StatusCode::GONE));
    let found = site.shell("loadline run").expect(0);
    assert!(found.stdout.contains("`loadline broker enable broker-0` takes it back"), "{found:?}");
    let named = site.shell("mkdir -p sub && cd sub && loadline run --config ../loadline.toml").expect(0);
    let command = "loadline broker enable broker-0 --config ../loadline.toml";
    assert!(named.stdout.contains(&format!("`{command}`")), "{named:?}");
    let _typed = site.shell(&format!("cd sub && {command}")).expect(0);
    let by_name = site.shell("cd sub && LOADLINE_CONFIG=../loadline.toml loadline status").expect(4);
    assert!(by_name.stdout.contains("no process runs"), "{by_name:?}");
    let nowhere = site.shell("cd sub && loadline status").expect(64);
    assert!(nowhere.stderr.contains("loadline.toml"), "{nowhere:?}");
}

#[test]
fn a_strict_intake_refuses_what_can_never_be_an_event_and_says_why() {
    let log = Events::new(994, 5).take(10);
    let fleet = Fleet::start(1);
    let mut site = Site::with_posts(&fleet, &[Wants::all()]);
    site.set("source.strict", true);
    let mut run = site.run();
    let producer = Producer::new(run.listening());
    let mixed = [lines(&log), b"{\"loadId\":\"L\"}\n".to_vec()].concat();
    let refused = producer.post(mixed);
    assert_eq!((refused.status, refused.accepted), (422, 0), "{refused:?}");
    assert!(
        refused.error.contains("record 11 ") && refused.error.contains("/eventId is missing"),
        "{refused:?}"
    );
    assert_eq!(producer.post(lines(&log)).status, 202);
    fleet.tms(0).wait_for(10);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.records, summary.dead_letters), (10, 0));
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    for (wanted, file) in [("--report", "nowhere/page.html"), ("--json", "nowhere/surge.json")] {
        let told = site.shell(&format!("loadline surge --only loadline --for 10s {wanted} {file}")).expect(1);
        assert!(told.stderr.contains(&format!("{file} cannot be written: nothing was run")), "{told:?}");
        assert_eq!(told.stdout, "", "nothing was run: {told:?}");
    }
}

#[test]
fn a_state_directory_that_is_none_and_a_file_that_is_missing_are_told_as_what_they_are() {
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    let checked = site.loadline(&["check"]).expect(0);
    assert!(checked.stdout.contains("not there and not followed"), "{checked:?}");
    site.write_bytes(b"");
    fs::write(site.path("state"), "").unwrap();
    let run = site.loadline(&["run"]).expect(1);
    assert!(run.stderr.contains("no directory") && !run.stderr.contains("free space"), "{run:?}");
    let status = site.loadline(&["status"]).expect(3);
    assert!(status.stderr.contains("no directory"), "{status:?}");
}
