//! The config is read again while events flow: secrets rotate, addresses and rates change, and nothing is lost, repeated or
//! reordered over it; a config that is wrong changes nothing. Brokers that come and go are in `comings`.

use std::{fs, time::Duration};

use lab::receiver::Behaviour;
use serde_json::{Value, json};
use tests::{DeliveryCounts, Events, Fleet, Loadline, Oracle, Site, Wants, pause, until};

use crate::admin::{following, status, wait_for_the_endpoint};

/// Three secrets, one after the other.
const SECRETS: [&str; 3] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "whsec_plJ3nmyCDGBKInavdOK15jsl4TcsGw4Y",
];

/// Takes long enough over each answer that there is always something under way.
pub(crate) fn slow() -> Behaviour {
    Behaviour { latency: Duration::from_millis(4), jitter: Duration::from_millis(4), ..Behaviour::default() }
}

/// What `loadline reload --json` says of a config that is taken over.
pub(crate) fn reload(site: &Site) -> Value {
    let told = site.loadline(&["reload", "--json"]).expect(0);
    serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"))
}

pub(crate) fn started(site: &Site) -> Loadline {
    let run = site.run();
    wait_for_the_endpoint(site);
    run
}

#[test]
fn a_secret_that_is_rotated_twice_under_load_refuses_nothing_and_reorders_nothing() {
    let log = Events::new(500, 60).take(3_000);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let mut site = following(&fleet, &wants);
    site.set_broker(1, "concurrency", 8);
    let tms = fleet.tms(1);
    tms.behave(slow());
    let secret = |number: usize| {
        let name = format!("rotated-{number}");
        fs::write(site.path(&name), SECRETS[number]).unwrap();
        format!("file:{name}")
    };
    let references: Vec<String> = (0..3).map(secret).collect();
    let write = |text: &str| fs::write(site.path("secret-of-broker-1"), text).unwrap();
    write(SECRETS[0]);
    tms.know(&SECRETS[..1]);
    site.write(&log);
    let run = started(&site);
    tms.wait_for(500);

    // The first time where its one reference leads: the receiver knows both meanwhile, and afterwards the new one alone.
    tms.know(&SECRETS[..2]);
    write(SECRETS[1]);
    let told = reload(&site);
    assert_eq!(told["changed"], json!([{ "broker": "broker-1", "keys": ["secrets"] }]));
    assert_eq!((&told["added"], &told["removed"]), (&json!([]), &json!([])));
    tms.wait_for(tms.taken() + 200);
    tms.know(&SECRETS[1..2]);
    tms.wait_for(tms.taken() + 200);

    // The second time through the config, signed with both for a while, so that the receiver need not know both at once.
    site.set_broker(1, "secrets", vec![references[2].clone(), references[1].clone()]);
    let _told = reload(&site);
    tms.wait_for(tms.taken() + 200);
    tms.know(&SECRETS[2..]);
    site.set_broker(1, "secrets", vec![references[2].clone()]);
    let _told = reload(&site);
    assert!(tms.taken() < 3_000, "the load was over before the last reload");
    fleet.iter().for_each(|tms| tms.wait_for(3_000));
    run.terminate();
    let ended = run.wait();
    for secret in SECRETS {
        assert!(!ended.stderr.contains(&secret[6..]), "a secret is in the log");
    }
    assert!(ended.stderr.contains("config reloaded"), "{ended:?}");
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.dead_letters, summary.duplicates), (6_000, 0, 0));
    // No signature was refused either.
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn an_address_that_changes_under_load_loses_nothing_and_reorders_no_load() {
    let log = Events::new(501, 60).take(3_000);
    let fleet = Fleet::start(2);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = following(&fleet, &vec![Wants::all(); 2]);
    let _other = site.take_broker(1);
    site.set_broker(0, "concurrency", 8);
    fleet.iter().for_each(|tms| {
        tms.behave(Behaviour { fail_rate: 0.05, ..slow() });
        tms.know(&[fleet.tms(0).secret()]);
    });
    site.write(&log);
    let run = started(&site);
    fleet.tms(0).wait_for(1_000);
    site.set_broker(0, "url", fleet.tms(1).url());
    assert_eq!(reload(&site)["changed"][0]["keys"], json!(["url"]));
    let before = fleet.tms(0).taken();
    assert!(before < 2_900, "the load was over before the reload");
    until("everything has come", || fleet.taken() == 3_000);
    run.terminate();
    assert_eq!(run.wait().summary().delivered, 3_000);
    // What was on the wire ends at the old address.
    assert!(fleet.tms(0).taken() <= before + 8, "{before} before, {} after", fleet.tms(0).taken());
    let mut both = [fleet.tms(0).arrivals(), fleet.tms(1).arrivals()].concat();
    both.sort_by_key(|arrival| arrival.at);
    assert_eq!(oracle.judge(0, &both), DeliveryCounts { events: 3_000, ..DeliveryCounts::default() });
}

#[test]
fn a_broker_whose_breaker_is_open_for_an_hour_is_tried_at_once_at_its_new_address() {
    let log = Events::new(502, 20).take(200);
    let fleet = Fleet::start(2);
    let mut site = following(&fleet, &vec![Wants::all(); 2]);
    let _other = site.take_broker(1);
    site.set("breaker.open_min", "1h");
    site.set("breaker.open_max", "1h");
    fleet.tms(0).refuse();
    fleet.tms(1).know(&[fleet.tms(0).secret()]);
    site.write(&log);
    let run = started(&site);
    until("it is left alone", || {
        let broker = &status(&site)["brokers"][0];
        broker["state"] == "open" && broker["spilled"] == 200 && broker["onWire"] == 0
    });
    site.set_broker(0, "url", fleet.tms(1).url());
    let _told = reload(&site);
    fleet.tms(1).wait_for(200);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters, summary.spilled), (200, 0, 0));
    assert_eq!(
        Oracle::new(&log, &[Wants::all()]).judge(0, &fleet.tms(1).arrivals()),
        DeliveryCounts { events: 200, ..DeliveryCounts::default() }
    );
}

#[test]
fn a_config_with_problems_is_refused_whole_with_all_of_them_and_the_old_one_stays() {
    let log = Events::new(506, 20).take(600);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let mut site = following(&fleet, &wants);
    site.write(&log[..200]);
    let run = started(&site);
    fleet.iter().for_each(|tms| tms.wait_for(200));
    // One change that would be fine, and three that are not.
    site.set_broker(0, "url", "http://127.0.0.1:9/nobody");
    site.set_broker(0, "rate", "fast");
    site.set_broker(1, "secrets", vec!["file:not-here"]);
    site.set("limits.no_such_key", 1);
    let says_all = |told: &str| {
        for part in ["brokers[0].rate", "brokers[1].secrets", "not-here", "limits.no_such_key"] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    };
    let checked = site.loadline(&["check"]).expect(64).stdout;
    says_all(&checked);
    let told = site.loadline(&["reload"]).expect(64);
    says_all(&told.stderr);
    for line in checked.lines().filter(|line| line.contains(": ")) {
        assert!(told.stderr.contains(line), "{line}, as check says it, is not in {told:?}");
    }
    let told = site.loadline(&["--json", "reload"]).expect(64);
    let answer: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&answer["reloaded"], answer["problems"].as_array().unwrap().len()), (&json!(false), 3));
    let before = run.log().len();
    run.hang_up();
    until("the log says why", || run.log()[before..].contains("no_such_key"));
    says_all(&run.log()[before..]);
    site.append(&log[200..400]);
    fleet.iter().for_each(|tms| tms.wait_for(400));

    // Not even TOML: the command cannot look for the process then, and says so itself.
    fs::write(site.config(), "[brokers").unwrap();
    run.hang_up();
    until("the log says it", || run.log().contains("is not TOML"));
    site.append(&log[400..]);
    fleet.iter().for_each(|tms| tms.wait_for(600));
    run.terminate();
    assert_eq!(run.wait().summary().delivered, 1_200);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_key_that_needs_a_restart_is_refused_by_its_name_with_everything_else_in_the_file() {
    let log = Events::new(507, 20).take(200);
    let fleet = Fleet::start(2);
    let mut site = following(&fleet, &vec![Wants::all(); 2]);
    site.write(&log[..100]);
    let run = started(&site);
    fleet.iter().for_each(|tms| tms.wait_for(100));
    let removed = site.take_broker(1);
    site.set("limits.grace", "3s");
    site.set("retry.base", "30ms");
    let told = site.loadline(&["reload"]).expect(64).stderr;
    for key in ["limits.grace: ", "retry.base: "] {
        assert!(
            told.contains(&format!("{key}is not what the process was started with, and needs a restart")),
            "{told}"
        );
    }
    assert!(told.contains("2 problems"), "{told}");
    site.append(&log[100..]);
    // Both: the removal was refused with the rest.
    fleet.iter().for_each(|tms| tms.wait_for(200));
    site.put_broker(removed);
    site.set("limits.grace", "20s");
    site.set("retry.base", "20ms");
    let told = site.loadline(&["reload"]).expect(0).stdout;
    assert!(told.starts_with("nothing has changed in "), "{told}");
    run.terminate();
    assert_eq!(run.wait().summary().delivered, 400);
}

#[test]
fn a_rate_that_is_lowered_is_obeyed_from_then_on_and_one_that_is_raised_too() {
    const RATE: f64 = 40.0;
    const BURST: f64 = 5.0;
    /// See `quota`: how long a request may take from its permit to the receiver's clock.
    const STALL: f64 = 0.25;
    let log = Events::new(508, 100).take(1_500);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = following(&fleet, &[Wants::all()]);
    site.set_broker(0, "rate", 300);
    site.set_broker(0, "burst", 100);
    site.write(&log);
    let run = started(&site);
    let tms = fleet.tms(0);
    tms.wait_for(300);
    site.set_broker(0, "rate", RATE);
    site.set_broker(0, "burst", BURST as i64);
    assert_eq!(reload(&site)["changed"][0]["keys"], json!(["rate", "burst"]));
    let from = tests::now();
    pause(Duration::from_secs(3));
    let to = tests::now();
    site.set_broker(0, "rate", 5_000);
    let _told = reload(&site);
    tms.wait_for(1_500);
    run.terminate();
    let _summary = run.wait().summary();
    oracle.assert_exactly_once(&fleet);
    let at: Vec<_> =
        tms.arrivals().iter().map(|arrival| arrival.at).filter(|at| (from..to).contains(at)).collect();
    assert!(at.len() as f64 > RATE, "{} in three seconds: it hardly went on", at.len());
    for (first, begin) in at.iter().enumerate() {
        for (count, end) in at[first..].iter().enumerate() {
            let allowed = BURST + RATE * (end.duration_since(*begin).as_secs_f64() + STALL);
            assert!((count + 1) as f64 <= allowed, "{} of {allowed} allowed", count + 1);
        }
    }
}

#[test]
fn a_schema_that_is_put_right_reads_the_next_records_and_the_logs_level_follows() {
    let log = Events::new(510, 10).take(200);
    let fleet = Fleet::start(1);
    let mut site = following(&fleet, &[Wants::all()]);
    site.set("schema.preset", "cloudevents");
    site.write(&log[..100]);
    let run = started(&site);
    until("nothing can be read", || status(&site)["rejected"] == 100);
    assert!(!run.log().contains(" DEBUG "), "{}", run.log());
    site.set("schema.preset", "flat");
    site.set("log.level", "stages=debug");
    let told = reload(&site);
    assert_eq!(told["sections"], json!(["schema", "log"]));
    site.append(&log[100..]);
    fleet.tms(0).wait_for(100);
    run.terminate();
    let ended = run.wait();
    assert!(ended.stderr.contains(" DEBUG "), "{ended:?}");
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.dead_letters), (100, 100));
}

#[test]
fn with_no_process_there_is_nothing_to_reload_and_that_is_said() {
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    let told = site.loadline(&["reload"]).expect(1);
    assert!(told.stderr.contains("no process answers at unix:"), "{told:?}");
    let told = site.loadline(&["reload", "--json"]).expect(1);
    let answer: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(answer["reloaded"], json!(false));
}
