//! `/metrics` parsed by the rules of the text format 0.0.4, and compared with the documentation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use state::Histogram;

use super::*;
use crate::status::{DeadCause, DeadStatus, DeadTopicStatus, GroupStatus, LedgerStatus, SubscriptionsStatus};
use stages::testing::broker_with;

/// A family as it was read.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// Each series by its suffix and labels.
    series: BTreeMap<(String, Vec<(String, String)>), f64>,
}

/// Reads a text strictly: each family has its head once and before its series, which stand together; no series is
/// twice there. <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
fn read(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# HELP ") {
            let (name, help) = head.split_once(' ').unwrap();
            let family = Family { help: help.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} is there twice");
            current = name.to_owned();
        } else if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert_eq!(name, current, "HELP and TYPE stand together");
            families.get_mut(name).unwrap().kind = kind.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} has no head"));
            let family = families.get_mut(&current).unwrap();
            let suffixes: &[&str] =
                if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            let key = (suffix.to_owned(), labels_of(labels.strip_suffix('}').unwrap()));
            assert!(family.series.insert(key, value.parse().unwrap()).is_none(), "{line} is there twice");
        }
    }
    families
}

fn labels_of(mut text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let (mut value, mut chars) = (String::new(), rest.char_indices());
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    other => panic!("\\{other} is no escape"),
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
        text = rest[end + 1..].strip_prefix(',').unwrap_or(&rest[end + 1..]);
    }
    labels
}

/// A status in which everything there can be is there.
fn full() -> Status {
    let broker = |id: &str| BrokerStatus {
        id: id.to_owned(),
        state: "open".to_owned(),
        failures: 15,
        unwell: 5,
        throttled: 1,
        refused: 2,
        unanswered: 3,
        unsent: 4,
        full_in_seconds: Some(7.0),
        ..BrokerStatus::default()
    };
    let partition = PartitionStatus {
        name: "file:a\"\\\nb".to_owned(),
        read: Some(7),
        settled_to: Some(6),
        end: Some(9),
        lag_events: Some(1),
        lag_bytes: Some(3),
        reading: Some(ReadingStatus::default()),
        file: Some(FileStatus::default()),
        ..PartitionStatus::default()
    };
    let cause = DeadCause { stage: "decode".to_owned(), cause: "not-json".to_owned(), count: 3 };
    Status {
        partitions: vec![partition],
        group: Some(GroupStatus { assigned: 3, lag_events: Some(5), ..GroupStatus::default() }),
        subscriptions: Some(SubscriptionsStatus { brokers_age_seconds: Some(1.0), ..Default::default() }),
        brokers: vec![broker("acme"), broker("blue")],
        dead_letters: Some(DeadStatus { by_cause: vec![cause], ..DeadStatus::default() }),
        dead_topic: Some(DeadTopicStatus { unpublished: 4, ..DeadTopicStatus::default() }),
        ledger: Some(LedgerStatus::default()),
        ..Status::default()
    }
}

fn told(status: &Status) -> BTreeMap<String, Family> {
    let tally = Arc::new(Tally::default());
    tally.times.decode.note(std::time::Duration::from_micros(7));
    let commits = Histogram::of_steps().read();
    let timings = Timings { tally, lookups: Some(commits.clone()), commits, spans: Some(Arc::default()) };
    read(&String::from_utf8(text(status, &[broker_with("acme", 1e6, 1).into()], timings)).unwrap())
}

fn value(families: &BTreeMap<String, Family>, name: &str, suffix: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    families[name].series[&(suffix.to_owned(), labels)]
}

#[test]
fn what_stands_in_the_status_stands_in_the_text_and_odd_names_stay_in_their_quotes() {
    let told = told(&full());
    let of = |name: &str, labels: &[(&str, &str)]| value(&told, name, "", labels);
    assert_eq!(of("loadline_read_position", &[("partition", "file:a\"\\\nb")]), 7.0);
    assert_eq!(of("loadline_dead_letters", &[("stage", "decode"), ("cause", "not-json")]), 3.0);
    assert_eq!(of("loadline_dead_letters_unpublished", &[]), 4.0);
    assert_eq!(of("loadline_group_assigned_partitions", &[]), 3.0);
    assert_eq!(of("loadline_group_lag_events", &[]), 5.0);
    for (outcome, count) in
        [("throttled", 1.0), ("refused", 2.0), ("no-answer", 3.0), ("unsent", 4.0), ("failure", 5.0)]
    {
        assert_eq!(of("loadline_attempts_total", &[("broker", "blue"), ("outcome", outcome)]), count);
    }
    assert_eq!(of("loadline_broker_state", &[("broker", "acme"), ("state", "open")]), 1.0);
    assert_eq!(of("loadline_broker_state", &[("broker", "acme"), ("state", "healthy")]), 0.0);
}

#[test]
fn a_histogram_has_growing_buckets_its_count_and_its_sum_in_seconds() {
    let told = told(&full());
    let stage = |suffix: &str, le: Option<&str>| {
        let labels: Vec<_> = [("stage", "decode")].into_iter().chain(le.map(|le| ("le", le))).collect();
        value(&told, "loadline_stage_duration_seconds", suffix, &labels)
    };
    assert_eq!((stage("_bucket", Some("0.000005")), stage("_bucket", Some("0.00001"))), (0.0, 1.0));
    assert_eq!((stage("_bucket", Some("60")), stage("_bucket", Some("+Inf"))), (1.0, 1.0));
    assert_eq!((stage("_count", None), stage("_sum", None)), (1.0, 0.000_007));
}

#[test]
fn names_follow_the_conventions() {
    for (name, family) in told(&full()) {
        assert!(name.starts_with("loadline_") && !family.help.is_empty(), "{name}");
        assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name} is a {}", family.kind);
        for unit in ["millis", "_ms", "micros", "kilo", "mega"] {
            assert!(!name.contains(unit), "{name} is not in a base unit");
        }
        assert!(family.kind != "histogram" || name.ends_with("_seconds"), "{name}");
    }
}

#[test]
fn the_documentation_has_a_row_for_every_metric_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `loadline_"));
    let documented: BTreeSet<String> = rows.map(|row| row.rsplit_once(" | ").unwrap().0.to_owned()).collect();
    let exposed: BTreeSet<String> = told(&full())
        .into_iter()
        .map(|(name, family)| {
            let labels = family.series.keys().flat_map(|(_, labels)| labels).map(|(label, _)| label);
            let labels: BTreeSet<_> = labels.filter(|label| *label != "le").collect();
            let labels: Vec<_> = labels.into_iter().map(|label| format!("`{label}`")).collect();
            format!("| `{name}` | {} | {}", family.kind, labels.join(", "))
        })
        .collect();
    let missing: Vec<_> = exposed.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&exposed).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not documented: {missing:#?}\nnot exposed: {gone:#?}");
}
