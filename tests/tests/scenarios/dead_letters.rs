//! What could not be delivered is found, shown, written out and removed: in a running process and in a state directory.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use lab::receiver::Behaviour;
use serde_json::Value;
use tests::{Ended, Events, Fleet, Loadline, Site, Wants, pause, until};

/// A status, a reply or a count in JSON.
pub(crate) fn json(told: &Ended) -> Value {
    serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"))
}

/// The answer to `loadline dead COMMAND CONFIG MORE --json`.
pub(crate) fn dead(site: &Site, command: &str, more: &[&str]) -> Value {
    json(&site.loadline_with(&["--json", "dead", command], more).expect(0))
}

/// The letters that `loadline dead list` gives with these conditions.
pub(crate) fn list(site: &Site, more: &[&str]) -> Vec<Value> {
    let listed = site.loadline_with(&["--json", "dead", "list"], more).expect(0);
    listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The status as it is now: an observation is given out for a tenth of a second.
pub(crate) fn status(site: &Site) -> Value {
    pause(Duration::from_millis(110));
    site.loadline(&["status", "--json"]).status()
}

pub(crate) fn letters(site: &Site) -> u64 {
    status(site)["deadLetters"]["total"].as_u64().unwrap()
}

/// Answers every request like this.
pub(crate) fn answer(status: u16) -> Behaviour {
    Behaviour { status: status.try_into().unwrap(), ..Behaviour::default() }
}

pub(crate) fn start(site: &Site) -> Loadline {
    let run = site.run();
    crate::admin::wait_for_the_endpoint(site);
    run
}

pub(crate) fn following(fleet: &Fleet) -> Site {
    let mut site = Site::new(fleet, &vec![Wants::all(); fleet.len()]);
    site.set("source.follow", true);
    site.impatient();
    site
}

pub(crate) fn finish(run: Loadline) {
    run.terminate();
    let _summary = run.wait().summary();
}

/// Asks the process, and once it has ended the directory: both must say the same.
pub(crate) fn both(site: &Site, run: Loadline, look: impl Fn(&Site) -> Vec<String>) -> Vec<String> {
    let live = look(site);
    finish(run);
    assert_eq!(look(site), live, "the directory says something else than the process");
    live
}

#[test]
fn letters_are_found_by_every_condition_live_and_in_the_directory() {
    let log = Events::new(500, 6).take(120);
    let fleet = Fleet::start(2);
    let site = following(&fleet);
    site.write(&log);
    site.append_bytes(b"not json \x1b[2J\n{\"eventId\":\"x\",\"loadId\":\"L\",\"status\":\"lost\",\"occurredAt\":\"2025-06-01T00:00:00Z\"}\n\xff\n");
    fleet.tms(1).behave(answer(422));
    let run = start(&site);
    until("all are letters", || letters(&site) == 123);
    let ids = |site: &Site, more: &[&str]| -> Vec<String> {
        list(site, more).iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect()
    };
    let load = log[3].load_id.as_str();
    let of_load = log.iter().filter(|event| event.load_id == load).count();
    let posted = log.iter().filter(|event| event.status == "posted").count();
    let first = format!("file:events.ndjson@{}:0/broker-1", list(&site, &["--max", "1"])[0]["epoch"]);
    let cases: [(&[&str], usize); 16] = [
        (&[], 123),
        (&["--broker", "broker-1"], 120),
        (&["--broker", "broker-0"], 0),
        (&["--cause", "refused"], 120),
        (&["--reason", "unknown-status"], 1),
        (&["--stage", "decode"], 2),
        (&["--stage", "validate"], 1),
        (&["--status", "posted"], posted),
        (&["--load", load], of_load),
        (&["--load", load, "--status", "posted"], 1),
        (&["--event", &log[7].event_id], 1),
        (&["--since", "1h"], 123),
        (&["--until", "1h"], 0),
        (&["--since", "2030-01-01T00:00:00Z", "--until", "1h"], 0),
        (&["--max", "7"], 7),
        (&["--id", &first], 1),
    ];
    let all = both(&site, run, |site| {
        let mut all = Vec::new();
        for (more, count) in cases {
            let found = ids(site, more);
            assert_eq!(found.len(), count, "{more:?}");
            all.extend(found);
        }
        let summary = dead(site, "list", &["--summary"]);
        let groups = summary["groups"].as_array().unwrap();
        assert_eq!((&summary["total"], groups.len()), (&123.into(), 4));
        let refused = &groups[0];
        assert_eq!(
            (&refused["stage"], &refused["cause"], &refused["count"]),
            (&"deliver".into(), &"refused".into(), &120.into())
        );
        assert_eq!(refused["brokers"], serde_json::json!(["broker-1"]));
        assert!(first.starts_with(refused["first"].as_str().unwrap()), "{refused}");
        all.extend(groups.iter().map(ToString::to_string));
        let shown = dead(site, "show", &[&first]);
        assert_eq!((&shown["eventId"], &shown["attempts"]), (&log[0].event_id.as_str().into(), &1.into()));
        assert_eq!(shown["body"].as_str().unwrap().as_bytes(), log[0].body);
        assert_eq!(shown["lastAttempts"][0]["status"], 422);
        all
    });
    assert_eq!(all[0], first);
    for (arguments, code, words) in [
        (["show", "file:events.ndjson@0:1"], 1, "no dead letter"),
        (["show", "something"], 64, "dead list"),
        (["list", "--stage=none"], 64, "validate"),
        (["list", "--since=yesterday"], 64, "2h"),
    ] {
        let refused = site.loadline_with(&["dead", arguments[0]], &arguments[1..]).expect(code);
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
    let torn = list(&site, &["--cause", "not-json"])[0]["id"].as_str().unwrap().to_owned();
    let text = site.loadline_with(&["dead", "show"], &[&torn]).expect(0);
    assert!(text.stdout.contains("not json \u{fffd}[2J") && !text.stdout.contains('\u{1b}'), "{text:?}");
    assert!(text.stderr.contains("no process runs"), "{text:?}");
}

#[test]
fn letters_are_exported_whole_and_purged_for_good_and_the_status_follows() {
    let log = Events::new(504, 6).take(90);
    let fleet = Fleet::start(2);
    let site = following(&fleet);
    site.write(&log);
    site.append_bytes(b"\xff\xfe no text\n");
    fleet.tms(0).behave(answer(422));
    fleet.tms(1).behave(answer(400));
    let run = start(&site);
    until("all are letters", || letters(&site) == 181);
    let all = list(&site, &[]);
    let to = site.path("letters.ndjson");
    let told = dead(&site, "export", &["--broker", "broker-0", "--to", to.to_str().unwrap()]);
    assert_eq!((&told["answeredBy"], &told["letters"]), (&"process".into(), &90.into()));
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    let exported: Vec<Value> =
        fs::read_to_string(&to).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        exported,
        all.iter().filter(|letter| letter["broker"] == "broker-0").cloned().collect::<Vec<_>>()
    );
    let refused = site.loadline_with(&["dead", "export"], &["--to", to.to_str().unwrap()]).expect(1);
    assert!(refused.stderr.contains("letters.ndjson"), "{refused:?}");
    assert_eq!(fs::read_to_string(&to).unwrap().lines().count(), 90, "a file was overwritten");

    let unfiltered = site.loadline(&["dead", "purge"]).expect(64);
    assert!(unfiltered.stderr.contains("--all"), "{unfiltered:?}");
    for (method, path, code) in [
        ("POST", "/dead/purge", 400),
        ("POST", "/dead/replay", 400),
        ("POST", "/dead/purge?brokre=broker-0", 400),
        ("POST", "/dead/purge?all=true&dryrun=true", 400),
        ("GET", "/dead/purge?all=true", 405),
        ("GET", "/dead/replay?all=true", 405),
        ("POST", "/dead", 405),
        ("GET", "/dead/letters", 404),
    ] {
        assert_eq!(crate::admin::ask(&site, method, path).0, code, "{method} {path}");
    }
    assert_eq!(list(&site, &[]), all);
    let until_then = told["until"].as_str().unwrap();
    let conditions = ["--broker", "broker-0", "--until", until_then];
    let dry = dead(&site, "purge", &[&conditions[..], &["--dry-run"]].concat());
    assert_eq!((&dry["letters"], list(&site, &[])), (&90.into(), all));
    let purged = dead(&site, "purge", &conditions);
    assert_eq!((&purged["letters"], &purged["answeredBy"]), (&90.into(), &"process".into()));
    assert_eq!(purged["groups"], dry["groups"]);
    until("the status follows", || letters(&site) == 91);
    finish(run);

    assert_eq!((letters(&site), list(&site, &["--broker", "broker-0"]).len()), (91, 0));
    let lines = site.loadline_with(&["dead", "export"], &["--stage", "decode"]).expect(0);
    assert_eq!(json(&lines)["bodyBase64"], "//4gbm8gdGV4dA==");
    let purged = dead(&site, "purge", &["--broker", "broker-1", "--load", &log[0].load_id]);
    let of_load = log.iter().filter(|event| event.load_id == log[0].load_id).count() as u64;
    assert_eq!((&purged["letters"], &purged["answeredBy"]), (&of_load.into(), &"directory".into()));
    assert_eq!(letters(&site), 91 - of_load);
    assert_eq!(dead(&site, "purge", &["--all"])["letters"], 91 - of_load);
    assert_eq!((letters(&site), list(&site, &[]).len(), fleet.taken()), (0, 0, 0));
}
