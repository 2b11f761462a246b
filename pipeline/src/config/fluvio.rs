//! `[source]` of kind `fluvio`: the cluster, the topic, and how it is read.

use std::time::Duration;

use toml::de::DeValue;

use super::{
    cluster::{self, ENDPOINT},
    problem::Refusal,
    section::{Item, Section},
    units::{DURATION, Kind, count, size},
};
use crate::source::{FluvioOptions, Isolation, Partitions, Start};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The most partitions in a list.
const PARTITIONS_MAX: usize = 1024;

/// The keys that only this kind has.
pub(super) const FLUVIO_KEYS: [&str; 16] = [
    "endpoint",
    "tls",
    "tls_domain",
    "tls_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "topic",
    "partitions",
    "start",
    "isolation",
    "max_bytes",
    "stall_after",
    "connect_timeout",
    "backoff_min",
    "backoff_max",
    "mirror_offsets",
];

/// Reads the keys; `wanted` is whether this is the kind of the source, so that something may be missing.
pub(super) fn read(s: &mut Section<'_, '_>, wanted: bool, record_max: usize) -> FluvioOptions {
    let cluster = cluster::read(s, wanted, ENDPOINT);
    let connect_timeout = s.ranged("connect_timeout", 10 * SECOND, 100 * MILLI..=10 * MINUTE, &DURATION);
    let topic = topic(s);
    FluvioOptions {
        cluster: cluster.answering_within(connect_timeout),
        partitions: partitions(s),
        start: start(s),
        isolation: s.choice(
            "isolation",
            ("committed", Isolation::Committed),
            &[("uncommitted", Isolation::Uncommitted)],
        ),
        max_bytes: s.ranged("max_bytes", 2 << 20, 64 << 10..=256 << 20, &size()),
        stall_after: s.ranged("stall_after", 20 * SECOND, SECOND..=HOUR, &DURATION),
        connect_timeout,
        backoff_min: s.ranged("backoff_min", 200 * MILLI, 10 * MILLI..=MINUTE, &DURATION),
        backoff_max: s.ranged("backoff_max", 30 * SECOND, 10 * MILLI..=HOUR, &DURATION),
        mirror: s.flag("mirror_offsets", false).then(|| format!("loadline-{topic}")),
        topic,
        record_max,
    }
}

fn topic(s: &mut Section<'_, '_>) -> String {
    const DEFAULT: &str = "shipment-events";
    s.know("topic", Some(DEFAULT.to_owned()), None);
    let item = s.item("topic");
    item.and_then(|item| cluster::topic(s, &item)).unwrap_or_else(|| DEFAULT.to_owned())
}

fn partitions(s: &mut Section<'_, '_>) -> Partitions {
    s.know("partitions", Some("all".to_owned()), None);
    let Some(item) = s.item("partitions") else { return Partitions::All };
    if item.value.as_str() == Some("all") {
        return Partitions::All;
    }
    let listed = item.value.as_array().map(|all| {
        all.iter().map(|value| (count::<u32>().parse)(value.get_ref())).collect::<Option<Vec<_>>>()
    });
    let Some(Some(mut these)) = listed
        .filter(|these| these.as_ref().is_some_and(|these| (1..=PARTITIONS_MAX).contains(&these.len())))
    else {
        let remedy = format!("give \"all\", or 1 to {PARTITIONS_MAX} numbers such as [0, 1]");
        s.report(&item, Refusal::new("is not a list of partitions", remedy));
        return Partitions::All;
    };
    let named = these.len();
    these.sort_unstable();
    these.dedup();
    if these.len() < named {
        let problem = "names a partition twice";
        s.report(&item, Refusal::new(problem, "name each once: one stream reads one partition"));
    }
    Partitions::These(these)
}

fn start(s: &mut Section<'_, '_>) -> Start {
    s.know("start", Some("beginning".to_owned()), None);
    let Some(item) = s.item("start") else { return Start::Beginning };
    match item.value.as_str() {
        Some("beginning") => return Start::Beginning,
        Some("end") => return Start::End,
        Some("checkpoint") => return Start::Checkpoint,
        Some(_) | None => {}
    }
    offset(&item).map(Start::Offset).unwrap_or_else(|| {
        let remedy = "give \"beginning\", \"end\", \"checkpoint\" or { offset = 1234 }; the cluster cannot find a time";
        s.report(&item, Refusal::new("is not a place to start at", remedy));
        Start::Beginning
    })
}

fn offset(item: &Item<'_>) -> Option<u64> {
    let DeValue::Table(table) = item.value else { return None };
    let Kind { parse, .. } = count::<u64>();
    let mut entries = table.iter();
    let (name, value) = entries.next()?;
    (name.get_ref() == "offset" && entries.next().is_none()).then(|| parse(value.get_ref()))?
}
