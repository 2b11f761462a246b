//! `[source]` of kind `fluvio`: the cluster, the topic, and how it is read.

use std::{path::PathBuf, time::Duration};

use toml::de::DeValue;

use super::{
    problem::Refusal,
    section::{Item, Section},
    units::{DURATION, Kind, count, size},
};
use crate::source::{
    ClientCertificate, ClusterOptions, FluvioOptions, Isolation, Partitions, Start, TlsOptions,
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The longest topic, in bytes: the cluster's own limit.
const TOPIC_MAX: usize = 63;
/// The longest endpoint: a host name, a colon and a port.
const ENDPOINT_MAX: usize = 253 + 6;
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
    let endpoint = endpoint(s);
    let tls = tls(s, &endpoint, wanted);
    let topic = topic(s);
    FluvioOptions {
        cluster: ClusterOptions { endpoint, tls },
        partitions: partitions(s),
        start: start(s),
        isolation: s.choice(
            "isolation",
            ("committed", Isolation::Committed),
            &[("uncommitted", Isolation::Uncommitted)],
        ),
        max_bytes: s.ranged("max_bytes", 2 << 20, 64 << 10..=256 << 20, &size()),
        stall_after: s.ranged("stall_after", 20 * SECOND, SECOND..=HOUR, &DURATION),
        connect_timeout: s.ranged("connect_timeout", 10 * SECOND, 100 * MILLI..=10 * MINUTE, &DURATION),
        backoff_min: s.ranged("backoff_min", 200 * MILLI, 10 * MILLI..=MINUTE, &DURATION),
        backoff_max: s.ranged("backoff_max", 30 * SECOND, 10 * MILLI..=HOUR, &DURATION),
        mirror: s.flag("mirror_offsets", false).then(|| format!("loadline-{topic}")),
        topic,
        record_max,
    }
}

fn endpoint(s: &mut Section<'_, '_>) -> String {
    const DEFAULT: &str = "127.0.0.1:9003";
    s.know("endpoint", Some(DEFAULT.to_owned()), None);
    let Some(item) = s.item("endpoint") else { return DEFAULT.to_owned() };
    let text = item.value.as_str().unwrap_or_default();
    if is_endpoint(text) {
        return text.to_owned();
    }
    let remedy = "give the controller's public address in quotes, such as \"fluvio.example:9003\"";
    s.report(&item, Refusal::new("is not a host and a port", remedy));
    DEFAULT.to_owned()
}

/// Whether this is a host and a port.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    let is_host = |host: &str| {
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match inside {
            Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            }
        }
    };
    let parts = text.rsplit_once(':').filter(|_| text.len() <= ENDPOINT_MAX);
    parts.is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn tls(s: &mut Section<'_, '_>, endpoint: &str, wanted: bool) -> Option<TlsOptions> {
    let on = s.flag("tls", false);
    s.know("tls_domain", None, None);
    let domain = s.item("tls_domain");
    let domain = domain.and_then(|item| s.text(&item, ENDPOINT_MAX));
    let domain = domain.unwrap_or_else(|| endpoint.rsplit_once(':').map_or("", |(host, _)| host)).to_owned();
    let (ca_file, cert_file, key_file) =
        (file(s, "tls_ca_file"), file(s, "tls_cert_file"), file(s, "tls_key_file"));
    if !on {
        for key in ["tls_domain", "tls_ca_file", "tls_cert_file", "tls_key_file"] {
            if let Some(item) = s.item(key).filter(|_| wanted) {
                s.report(
                    &item,
                    Refusal::new("has no meaning without TLS", "set tls = true, or leave it out"),
                );
            }
        }
        return None;
    }
    if s.item("tls_ca_file").is_none() && wanted {
        s.report_missing(
            "tls_ca_file",
            "name the PEM file of the authority that signed the cluster's certificates",
        );
    }
    let client = match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(ClientCertificate { cert_file, key_file }),
        (None, None) => None,
        (cert, _) => {
            let missing = if cert.is_none() { "tls_cert_file" } else { "tls_key_file" };
            if s.item(missing).is_none() && wanted {
                s.report_missing(missing, "a certificate and its key belong together: give both or neither");
            }
            None
        }
    };
    Some(TlsOptions { domain, ca_file: ca_file?, client })
}

/// A file that is there.
fn file(s: &mut Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
    s.know(key, None, None);
    let item = s.item(key)?;
    let path = s.path_of(&item)?;
    if path.is_file() {
        return Some(path);
    }
    s.report(
        &item,
        Refusal::new("is not a file", "give the path of a PEM file; a relative one starts at this file"),
    );
    None
}

fn topic(s: &mut Section<'_, '_>) -> String {
    const DEFAULT: &str = "shipment-events";
    s.know("topic", Some(DEFAULT.to_owned()), None);
    let Some(item) = s.item("topic") else { return DEFAULT.to_owned() };
    let text = item.value.as_str().unwrap_or_default();
    if is_topic(text) {
        return text.to_owned();
    }
    let remedy = format!("give 1 to {TOPIC_MAX} of a to z, 0 to 9 and -, with no - at its ends");
    s.report(&item, Refusal::new("is not a topic's name", remedy));
    DEFAULT.to_owned()
}

/// Whether a cluster takes this as a topic's name.
#[must_use]
pub fn is_topic(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=TOPIC_MAX).contains(&text.len())
        && text.bytes().all(is_letter)
        && !text.starts_with('-')
        && !text.ends_with('-')
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
