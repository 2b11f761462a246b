//! Whole audits: against an oracle that holds everything in memory, and of the files that are written.

use std::{collections::BTreeMap, fs, path::Path};

use proptest::{collection::vec, prelude::*};

use super::*;

fn options(dir: &Path) -> Options {
    Options {
        columns: Columns::default(),
        form: None,
        zone: Zone::default(),
        path: None,
        schema: None,
        statuses: StatusOrder::default(),
        // So little that nearly everything goes through files.
        memory: 2_000,
        temporary: dir.to_owned(),
        out: None,
        events: None,
    }
}

/// A delivery in a log: broker, load, event, and when.
type Logged = (u8, u8, u8, u64);

fn line(&(broker, load, event, at): &Logged) -> String {
    let time = crate::times::rfc3339(at);
    // An event is of one load, and a greater number occurred later.
    format!(
        r#"{{"time":"{time}","broker":"b{broker}","eventId":"e-{load}-{event}","loadId":"L-{load}","status":"s{event}","occurredAt":{}}}"#,
        1_700_000_000 + u64::from(event)
    )
}

/// Duplicates, setbacks and loads that stand wrong of each broker, found in the plainest way.
fn naive(log: &[Logged]) -> BTreeMap<String, (u64, u64, u64)> {
    let mut sorted = log.to_vec();
    sorted.sort_by_key(|(.., at)| *at);
    let mut found: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    for (place, &(broker, load, event, _)) in sorted.iter().enumerate() {
        let same = |other: &&Logged| (other.0, other.1) == (broker, load);
        let before: Vec<u8> = sorted[..place].iter().filter(same).map(|other| other.2).collect();
        let figures = found.entry(format!("b{broker}")).or_default();
        figures.0 += u64::from(before.contains(&event));
        let is_setback = before.iter().any(|other| *other > event);
        figures.1 += u64::from(is_setback);
        figures.2 += u64::from(is_setback && !sorted[place + 1..].iter().any(|other| same(&other)));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_audit_in_little_memory_finds_what_an_oracle_finds_that_holds_everything(
        log in vec((0..3_u8, 0..4_u8, 0..5_u8, 0..60_u64), 0..150),
        cut in 0..150_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        // Two logs: what is of one time stays in the order in which it was read.
        let (first, second) = log.split_at(cut.min(log.len()));
        let inputs = [("one", first), ("two", second)].map(|(name, log)| {
            let path = dir.path().join(name);
            fs::write(&path, log.iter().map(|delivery| line(delivery) + "\n").collect::<String>()).unwrap();
            Input { path: Some(path), broker: None }
        });
        let options = Options { events: Some(dir.path().join("events")), ..options(dir.path()) };
        let report = audit(&inputs, &options, &mut |_| {}).unwrap();
        let found: BTreeMap<_, _> = report
            .brokers
            .iter()
            .map(|broker| (broker.broker.clone(), (broker.duplicates, broker.setbacks, broker.loads_wrong)))
            .collect();
        prop_assert_eq!(found, naive(&log));
        prop_assert_eq!(report.counts.taken, log.len() as u64);
        let events = fs::read_to_string(dir.path().join("events")).unwrap();
        let wrong: std::collections::BTreeSet<String> = corrected(&log);
        let loads: std::collections::BTreeSet<String> = events
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|event| format!("{} {}", event["loadId"].as_str().unwrap(), event["status"].as_str().unwrap()))
            .collect();
        prop_assert_eq!(events.lines().count(), loads.len());
        prop_assert_eq!(loads, wrong);
    }
}

/// The loads that stand wrong at any broker, with the newest status that any was given.
fn corrected(log: &[Logged]) -> std::collections::BTreeSet<String> {
    let mut sorted = log.to_vec();
    sorted.sort_by_key(|(.., at)| *at);
    let loads = sorted.iter().filter(|(broker, load, ..)| {
        let here =
            || sorted.iter().filter(|other| (other.0, other.1) == (*broker, *load)).map(|other| other.2);
        here().max() != here().next_back()
    });
    loads
        .map(|(_, load, ..)| {
            let newest = sorted.iter().filter(|other| other.1 == *load).map(|other| other.2).max().unwrap();
            format!("L-{load} s{newest}")
        })
        .collect()
}

#[test]
fn corrections_are_written_for_each_broker_and_bad_lines_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = [(1, 1, 1, 10), (1, 1, 2, 20), (1, 1, 1, 30), (2, 1, 1, 10), (3, 2, 1, 10), (3, 2, 1, 20)];
    let path = dir.path().join("log");
    let text: String = log.iter().map(|delivery| line(delivery) + "\n").collect();
    fs::write(&path, text.replace("b3", "a/b") + "nonsense\n").unwrap();
    let out = dir.path().join("out");
    let options = Options { out: Some(out.clone()), ..options(dir.path()) };
    let inputs = [Input { path: Some(path), broker: None }];
    let report = audit(&inputs, &options, &mut |_| {}).unwrap();
    assert!(report.has_findings());
    let mut names: Vec<String> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["a%2Fb.csv", "a%2Fb.ndjson", "b1.csv", "b1.ndjson", "bad-lines.ndjson"]);
    let csv = fs::read_to_string(out.join("b1.csv")).unwrap();
    let row = csv.lines().nth(1).unwrap();
    let wanted = "L-1,s2,e-1-2,2023-11-14T22:13:22Z,true,s1,1,1,1,e-1-1 1970-01-01T00:00:00.01Z 1970-01-01T00:00:00.03Z";
    assert_eq!(row, wanted);
    let line: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("b1.ndjson")).unwrap()).unwrap();
    assert_eq!((&line["lastTrue"]["status"], &line["standsAt"]["status"]), (&"s2".into(), &"s1".into()));
    assert!(fs::read_to_string(out.join("bad-lines.ndjson")).unwrap().contains("nonsense"));
    let again = audit(&inputs, &options, &mut |_| {}).unwrap_err();
    assert!(again.to_string().contains("is not empty"), "{again}");
}

#[test]
fn a_correction_of_one_broker_sets_no_other_back() {
    let dir = tempfile::tempdir().unwrap();
    let line = |(broker, event, status, time): (&str, &str, &str, &str)| {
        format!(
            r#"{{"eventId":"{event}","loadId":"L-1","status":"{status}","broker":"{broker}","time":"2026-01-05T{time}:00Z","answer":200}}"#
        ) + "\n"
    };
    let log = [
        ("acme", "e-1", "accepted", "10:00"),
        ("acme", "e-2", "delivered", "12:00"),
        ("bolt", "e-1", "accepted", "10:00"),
        ("bolt", "e-3", "in-transit", "11:00"),
        ("bolt", "e-1", "accepted", "11:05"),
    ];
    let path = dir.path().join("log");
    fs::write(&path, log.map(line).concat()).unwrap();
    let options = Options { events: Some(dir.path().join("events")), ..options(dir.path()) };
    let report = audit(&[Input { path: Some(path), broker: None }], &options, &mut |_| {}).unwrap();
    assert_eq!(report.correction_events, Some(1));
    let event: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("events")).unwrap()).unwrap();
    assert_eq!((&event["corrects"], &event["status"]), (&"e-2".into(), &"delivered".into()));
}

#[test]
fn without_loads_only_duplicates_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bolt.log");
    let line = |event: &str, at: u64| format!("{{\"time\":{at},\"eventId\":\"{event}\"}}\n");
    fs::write(&path, [line("e-1", 1), line("e-2", 2), line("e-1", 3)].concat()).unwrap();
    let report =
        audit(&[Input { path: Some(path), broker: None }], &options(dir.path()), &mut |_| {}).unwrap();
    let broker = &report.brokers[0];
    assert_eq!((&*broker.broker, broker.duplicates, broker.setbacks, broker.loads), ("bolt", 1, 0, 0));
}

#[test]
fn a_log_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("table.csv");
    fs::write(&table, "time,id\n1,e-1\n").unwrap();
    let input = Input { path: Some(table), broker: None };
    let fault = audit(&[input], &options(dir.path()), &mut |_| {}).unwrap_err();
    assert!(fault.to_string().contains("is read as CSV and has no column \"eventId\", but time, id: name the right one, or the form with --form"), "{fault}");
    let input = Input { path: Some("/nowhere/bolt.log".into()), broker: None };
    let fault = audit(&[input], &options(dir.path()), &mut |_| {}).unwrap_err();
    assert!(fault.to_string().starts_with("/nowhere/bolt.log cannot be read: "), "{fault}");
}
