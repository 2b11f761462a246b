//! The keys of a source that reads a topic, of whichever cluster: each is read once where it means the same for both.

use std::time::Duration;

use toml::de::DeValue;

use super::{
    problem::Refusal,
    section::{Item, Section},
    tls::{self, Tls},
    topic_name,
    units::{DURATION, Kind, count},
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The most partitions in a list.
const PARTITIONS_MAX: usize = 1024;
/// The longest endpoint: a host name, a colon and a port.
pub(super) const ENDPOINT_MAX: usize = 253 + 6;

/// The keys that both kinds have and no other.
pub(super) const TOPIC_KEYS: [&str; 11] = [
    "tls",
    "tls_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "topic",
    "partitions",
    "start",
    "isolation",
    "connect_timeout",
    "backoff_min",
    "backoff_max",
];

/// Whose cluster it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Fluvio,
    Kafka,
}

impl Engine {
    /// What is wrong with a section that needs a cluster in a build that cannot talk to one.
    pub(super) fn without_client(self, has_client: bool) -> Option<Refusal> {
        let (name, feature) = match self {
            Self::Fluvio => ("Fluvio", "fluvio"),
            Self::Kafka => ("Kafka", "kafka"),
        };
        let remedy =
            format!("use a build with the feature {feature}, which is on by default, or leave this out");
        let problem = format!("needs a {name} client, which this build does not have");
        (!has_client).then(|| Refusal::new(problem, remedy))
    }

    /// Whether this build can talk to such a cluster.
    pub(super) fn has_client(self) -> bool {
        match self {
            Self::Fluvio => fluvio_engine::HAS_CLIENT,
            Self::Kafka => kafka_engine::HAS_CLIENT,
        }
    }

    /// A topic's name; none if it cannot be one, which has been reported then.
    pub(super) fn topic(self, s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<String> {
        let text = item.value.as_str().unwrap_or_default();
        let refusal = match self {
            Self::Fluvio => topic_name::fluvio(text),
            Self::Kafka => topic_name::kafka(text),
        };
        match refusal {
            None => Some(text.to_owned()),
            Some(refusal) => {
                s.report(item, refusal);
                None
            }
        }
    }

    /// How `start` calls a place that is on record.
    fn recorded(self) -> &'static str {
        match self {
            Self::Fluvio => "checkpoint",
            Self::Kafka => "committed",
        }
    }
}

/// What is read of a topic, and how its cluster is waited for.
#[derive(Clone, Debug)]
pub(super) struct TopicKeys {
    pub(super) tls: Option<Tls>,
    pub(super) topic: String,
    /// Ascending, each once; none for all of them.
    pub(super) partitions: Option<Vec<u32>>,
    pub(super) start: StartAt,
    /// Whether only committed records are read.
    pub(super) committed: bool,
    pub(super) pace: Pace,
}

/// How long a cluster is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) timeout: Duration,
    pub(super) backoff_min: Duration,
    pub(super) backoff_max: Duration,
}

/// Where a partition begins of which nothing is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartAt {
    Beginning,
    End,
    /// Nowhere: something must be on record.
    Recorded,
    Offset(u64),
}

/// Reads [`TOPIC_KEYS`]; `engine` is none if the source is no topic, so that nothing may be missing.
pub(super) fn read(s: &mut Section<'_, '_>, engine: Option<Engine>) -> TopicKeys {
    TopicKeys {
        tls: tls::read(s, engine.is_some()),
        topic: topic(s, engine),
        partitions: partitions(s),
        start: start(s, engine),
        committed: s.choice("isolation", ("committed", true), &[("uncommitted", false)]),
        pace: Pace {
            timeout: s.ranged("connect_timeout", 10 * SECOND, 100 * MILLI..=10 * MINUTE, &DURATION),
            backoff_min: s.ranged("backoff_min", 200 * MILLI, 10 * MILLI..=MINUTE, &DURATION),
            backoff_max: s.ranged("backoff_max", 30 * SECOND, 10 * MILLI..=HOUR, &DURATION),
        },
    }
}

fn topic(s: &mut Section<'_, '_>, engine: Option<Engine>) -> String {
    const DEFAULT: &str = "shipment-events";
    s.know("topic", Some(DEFAULT.to_owned()), None);
    let item = s.item("topic");
    let named = item.zip(engine).and_then(|(item, engine)| engine.topic(s, &item));
    named.unwrap_or_else(|| DEFAULT.to_owned())
}

fn partitions(s: &mut Section<'_, '_>) -> Option<Vec<u32>> {
    s.know("partitions", Some("all".to_owned()), None);
    let item = s.item("partitions")?;
    if item.value.as_str() == Some("all") {
        return None;
    }
    let listed = item.value.as_array().map(|all| {
        all.iter().map(|value| (count::<u32>().parse)(value.get_ref())).collect::<Option<Vec<_>>>()
    });
    let Some(Some(mut these)) = listed
        .filter(|these| these.as_ref().is_some_and(|these| (1..=PARTITIONS_MAX).contains(&these.len())))
    else {
        let remedy = format!("give \"all\", or 1 to {PARTITIONS_MAX} numbers such as [0, 1]");
        s.report(&item, Refusal::new("is not a list of partitions", remedy));
        return None;
    };
    let named = these.len();
    these.sort_unstable();
    these.dedup();
    if these.len() < named {
        let problem = "names a partition twice";
        s.report(&item, Refusal::new(problem, "name each once: one stream reads one partition"));
    }
    Some(these)
}

fn start(s: &mut Section<'_, '_>, engine: Option<Engine>) -> StartAt {
    s.know("start", Some("beginning".to_owned()), None);
    let Some((item, engine)) = s.item("start").zip(engine) else { return StartAt::Beginning };
    match item.value.as_str() {
        Some("beginning") => return StartAt::Beginning,
        Some("end") => return StartAt::End,
        Some(word) if word == engine.recorded() => return StartAt::Recorded,
        Some(_) | None => {}
    }
    offset(&item).map(StartAt::Offset).unwrap_or_else(|| {
        let remedy = format!(
            "give \"beginning\", \"end\", \"{}\" or {{ offset = 1234 }}; no place is found by a time",
            engine.recorded()
        );
        s.report(&item, Refusal::new("is not a place to start at", remedy));
        StartAt::Beginning
    })
}

fn offset(item: &Item<'_>) -> Option<u64> {
    let DeValue::Table(table) = item.value else { return None };
    let Kind { parse, .. } = count::<u64>();
    let mut entries = table.iter();
    let (name, value) = entries.next()?;
    (name.get_ref() == "offset" && entries.next().is_none()).then(|| parse(value.get_ref()))?
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
