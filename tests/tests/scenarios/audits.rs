//! `loadline audit` on the logs of an incident: it finds what the oracle knows, no more and no less, and its correction
//! events put right what stands wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use lab::{
    oracle::{Evidence, Terms, Violation, examine},
    surge::{live::Quiet, run::run, system::Which},
    traffic::{
        generate,
        profile::{BrokerProfile, Profile},
    },
};
use serde_json::Value;
use tests::{Fleet, Site, Wants, loadline};

/// A short run of the incident through the model of the old service, with its logs in `dir`.
fn incident(dir: &Path) -> Evidence {
    let profile = Profile::load("inc-4471").unwrap().lasting(Duration::from_secs(10));
    let wants: Vec<_> = profile.brokers.iter().map(BrokerProfile::subscription).collect();
    let traffic = generate(&profile, &wants).without_replays();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let never = std::future::pending();
    let place = (loadline(), dir);
    runtime.block_on(run(Which::Legacy, &profile, &traffic, place, &mut Quiet, never)).unwrap().evidence
}

fn audit(arguments: &[&str]) -> Output {
    Command::new(loadline()).arg("audit").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// The corrections of an audit, line by line.
fn corrections(dir: &Path) -> Vec<Value> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let lines = files.filter(|path| path.extension().is_some_and(|kind| kind == "ndjson"));
    let text: String = lines.map(|path| fs::read_to_string(path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A delivery that set a load back: broker, event, the newer event, and whether it was a repeat.
type Setback = (String, String, String, bool);

/// Every event a broker took more than once, with how often.
fn known_duplicates(evidence: &Evidence) -> BTreeMap<(String, String), usize> {
    let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
    for broker in &evidence.brokers {
        for event in broker.received.taken.iter().filter_map(|seen| seen.event) {
            let event = evidence.traffic.events[event as usize].id.clone();
            *taken.entry((broker.id.clone(), event)).or_default() += 1;
        }
    }
    taken.retain(|_, times| *times > 1);
    taken
}

fn known_setbacks(evidence: &Evidence) -> Vec<Setback> {
    let terms = Terms { listed_per_kind: usize::MAX, ..Terms::default() }.without_ids();
    let id = |event: u32| evidence.traffic.events[event as usize].id.clone();
    let (violations, _) = examine(evidence, &terms);
    let mut known: Vec<Setback> = violations
        .iter()
        .filter_map(|violation| match *violation {
            Violation::OutOfOrder { broker, event, newer, repeat, .. } => {
                Some((evidence.brokers[usize::from(broker)].id.clone(), id(event), id(newer), repeat))
            }
            _ => None,
        })
        .collect();
    known.sort();
    known
}

#[test]
fn an_audit_of_the_incident_finds_exactly_what_the_oracle_knows_and_its_corrections_put_it_right() {
    let dir = tempfile::tempdir().unwrap();
    let evidence = incident(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (log, out, events) = (path("taken.ndjson"), path("corrections"), path("events.ndjson"));
    let ended = audit(&[&log, "--json", "--out", &out, "--events", &events]);
    assert_eq!(ended.status.code(), Some(7), "{}", said(&ended));
    let found = corrections(Path::new(&out));
    let mut duplicates = BTreeMap::new();
    let mut setbacks: Vec<Setback> = Vec::new();
    for load in &found {
        let broker = text(&load["broker"]);
        for duplicate in load["duplicates"].as_array().unwrap() {
            let times = duplicate["deliveries"].as_array().unwrap().len();
            duplicates.insert((broker.clone(), text(&duplicate["eventId"])), times);
            assert_eq!(duplicate["bodiesDiffer"], false);
        }
        for setback in load["setbacks"].as_array().unwrap() {
            let (event, newer) = (text(&setback["eventId"]), text(&setback["newerEventId"]));
            setbacks.push((broker.clone(), event, newer, setback["repeat"].as_bool().unwrap()));
        }
    }
    setbacks.sort();
    let known = known_duplicates(&evidence);
    assert!(known.len() > 10, "the incident has made {} duplicates", known.len());
    assert_eq!(duplicates, known);
    assert_eq!(setbacks, known_setbacks(&evidence));
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let taken: usize = evidence.brokers.iter().map(|broker| broker.received.taken.len()).sum();
    assert_eq!((&report["counts"]["taken"], &report["counts"]["bad"]), (&taken.into(), &0.into()));

    let wrong: Vec<&Value> = found.iter().filter(|load| load["standsWrong"] == true).collect();
    let loads: BTreeSet<String> = wrong.iter().map(|load| text(&load["loadId"])).collect();
    assert_eq!(report["correctionEvents"], loads.len());
    // What a broker's log would say of the corrections, once they are delivered.
    let mut repaired = fs::read_to_string(&log).unwrap();
    for sent in delivered(&fs::read(&events).unwrap(), loads.len()) {
        for load in wrong.iter().filter(|load| load["loadId"] == sent["loadId"]) {
            let mut line = sent.clone();
            line["broker"] = load["broker"].clone();
            line["time"] = "2100-01-01T00:00:00Z".into();
            repaired.push_str(&format!("{line}\n"));
        }
    }
    fs::write(&log, repaired).unwrap();
    let again: Value = serde_json::from_slice(&audit(&[&log, "--json"]).stdout).unwrap();
    let wrong =
        again["brokers"].as_array().unwrap().iter().map(|broker| broker["loadsWrong"].as_u64().unwrap());
    assert_eq!(wrong.sum::<u64>(), 0);

    // The old service's own log says less: what it had no answer for it may have delivered.
    let ended = audit(&[&path("deliveries.ndjson"), "--json"]);
    assert_eq!(ended.status.code(), Some(7), "{}", said(&ended));
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let certain =
        report["brokers"].as_array().unwrap().iter().map(|broker| broker["duplicates"].as_u64().unwrap());
    let known: usize = known.values().map(|times| times - 1).sum();
    assert!(certain.sum::<u64>() <= known as u64, "{}", said(&ended));
}

/// Sends correction events through the line to a broker that wants everything; what it was given.
fn delivered(events: &[u8], count: usize) -> Vec<Value> {
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    site.write_bytes(events);
    let summary = site.run().wait().summary();
    assert_eq!((summary.records, summary.delivered), (count as u64, count as u64), "none is refused");
    let bodies = fleet.tms(0).arrivals().into_iter().map(|arrival| arrival.body);
    bodies.map(|body| serde_json::from_slice(&body).unwrap()).collect()
}

#[test]
fn an_audit_says_by_its_exit_code_what_it_has_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bolt.ndjson");
    let line = |event: &str, second: u32| {
        format!("{{\"time\":\"2026-01-05T00:00:{second:02}Z\",\"eventId\":\"{event}\",\"answer\":200}}\n")
    };
    fs::write(&path, line("e-1", 1) + &line("e-2", 2)).unwrap();
    let log = path.to_str().unwrap();
    let ended = audit(&[log]);
    assert_eq!(ended.status.code(), Some(0), "{}", said(&ended));
    fs::write(&path, line("e-1", 1) + &line("e-2", 2) + &line("e-1", 3)).unwrap();
    let ended = audit(&[log]);
    assert_eq!(ended.status.code(), Some(7), "{}", said(&ended));
    let wanted = "event e-1 was taken 2 times: 2026-01-05T00:00:01Z, 2026-01-05T00:00:03Z";
    assert!(said(&ended).contains(wanted), "{}", said(&ended));
    assert_eq!(audit(&["/nowhere.log"]).status.code(), Some(1));
    fs::write(&path, "{\"event\":1}\n{\"event\":2}\n").unwrap();
    let ended = audit(&[log]);
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("line 2: time is not there or empty"), "{}", said(&ended));
    for wrong in [&[][..], &[log, "--memory", "1MiB"], &[log, "--time-zone", "Chicago"]] {
        assert_eq!(audit(wrong).status.code(), Some(64), "{wrong:?}");
    }
}
