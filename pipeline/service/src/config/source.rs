//! `[source]`: the source of records.

use std::{path::PathBuf, time::Duration};

use super::{
    fluvio::{self, FLUVIO_KEYS},
    http::{HTTP_KEYS, HttpConfig},
    kafka::{self, KAFKA_KEYS},
    problem::Refusal,
    section::Section,
    topic::{self, Engine, TOPIC_KEYS},
    units::{DURATION, size},
};
use fluvio_engine::FluvioOptions;
use kafka_engine::KafkaOptions;
use sources::{OnUnknown, is_rotated_pattern};

const MILLI: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The keys that only a file has.
const FILE_KEYS: [&str; 5] = ["path", "follow", "poll", "rotated", "on_unknown"];
/// The most patterns for rotated files: a log has one or two ways to be rotated.
const ROTATED_MAX: usize = 16;

/// Where records come from.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The source and what it alone needs.
    pub kind: SourceKind,
    /// The longest record that is read whole, in bytes (default 1 MiB, 1 KiB to 16 MiB). A longer one is a dead
    /// letter with its beginning; posted, it is refused. Every delivery in flight holds its record: this times
    /// `limits.in_flight_max` bounds their memory.
    pub record_max: usize,
}

/// The source.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// NDJSON in a file, resumed by byte offset.
    File {
        /// The file.
        path: PathBuf,
        /// Whether to wait for more at the file's end, and for its successor when it is rotated (default no).
        follow: bool,
        /// How often to look for more (default 250 ms, 10 ms to 1 min); only with `follow`.
        poll: Duration,
        /// How rotated files are called, each with one `*` (default: as logrotate calls them, if it is empty).
        rotated: Vec<String>,
        /// What becomes of a log that is not the one that was read (default: it is refused).
        on_unknown: OnUnknown,
    },
    /// NDJSON on standard input; cannot be resumed.
    Stdin,
    /// Events that producers post, kept in the state directory until they are settled.
    Http(HttpConfig),
    /// The records of a topic on a Fluvio cluster.
    Fluvio(FluvioOptions),
    /// The records of a topic on a Kafka cluster.
    Kafka(Box<KafkaOptions>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Stdin,
    Http,
    Fluvio,
    Kafka,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdin => "stdin",
            Self::Http => "http",
            Self::Fluvio => "fluvio",
            Self::Kafka => "kafka",
        }
    }

    /// Whose topic it reads, if it reads one.
    fn engine(self) -> Option<Engine> {
        match self {
            Self::Fluvio => Some(Engine::Fluvio),
            Self::Kafka => Some(Engine::Kafka),
            Self::File | Self::Stdin | Self::Http => None,
        }
    }
}

/// The keys that only some kinds have.
const OWNERS: [(&[Kind], &[&str]); 5] = [
    (&[Kind::File], &FILE_KEYS),
    (&[Kind::Http], &HTTP_KEYS),
    (&[Kind::Fluvio, Kind::Kafka], &TOPIC_KEYS),
    (&[Kind::Fluvio], &FLUVIO_KEYS),
    (&[Kind::Kafka], &KAFKA_KEYS),
];

impl SourceConfig {
    /// None if the file's path is missing, which has been reported then.
    pub(super) fn read(s: &mut Section<'_, '_>) -> Option<Self> {
        let others = [Kind::Stdin, Kind::Http, Kind::Fluvio, Kind::Kafka].map(|kind| (kind.name(), kind));
        let kind = s.choice("kind", (Kind::File.name(), Kind::File), &others);
        s.know("path", None, None);
        let path = s.item("path");
        let path = match &path {
            Some(item) => s.path_of(item),
            None if kind == Kind::File => {
                s.report_missing("path", "a file source needs the path of its file");
                None
            }
            None => None,
        };
        let follow = s.flag("follow", false);
        let poll = s.ranged("poll", 250 * MILLI, 10 * MILLI..=MINUTE, &DURATION);
        let rotated = rotated(s);
        let on_unknown =
            s.choice("on_unknown", ("refuse", OnUnknown::Refuse), &[("begin", OnUnknown::Begin)]);
        let record_max = s.ranged("record_max", 1 << 20, 1 << 10..=16 << 20, &size());
        let engine = kind.engine();
        if let Some((item, engine)) = s.item("kind").zip(engine)
            && let Some(refusal) = engine.without_client(engine.has_client())
        {
            s.report(&item, refusal);
        }
        let http = HttpConfig::read(s);
        let topic = topic::read(s, engine);
        let fluvio = fluvio::read(s, kind == Kind::Fluvio, &topic, record_max);
        let kafka = kafka::read(s, kind == Kind::Kafka, &topic, record_max);
        for (owners, keys) in OWNERS.into_iter().filter(|(owners, _)| !owners.contains(&kind)) {
            only_for(s, owners, keys, kind);
        }
        let kind = match kind {
            Kind::File => SourceKind::File { path: path?, follow, poll, rotated, on_unknown },
            Kind::Stdin => SourceKind::Stdin,
            Kind::Http => SourceKind::Http(http),
            Kind::Fluvio => SourceKind::Fluvio(fluvio),
            Kind::Kafka => SourceKind::Kafka(Box::new(kafka)),
        };
        Some(Self { kind, record_max })
    }
}

/// How rotated files are called; empty if they are called as logrotate calls them.
fn rotated(s: &mut Section<'_, '_>) -> Vec<String> {
    let bounds = format!("`\"logrotate\"`, or 1 to {ROTATED_MAX} file names with one `*` each");
    s.know("rotated", Some("logrotate".to_owned()), Some(bounds));
    let Some(item) = s.item("rotated") else { return Vec::new() };
    if item.value.as_str() == Some("logrotate") {
        return Vec::new();
    }
    let Some(items) = s.list(&item) else { return Vec::new() };
    if items.is_empty() || items.len() > ROTATED_MAX {
        let remedy = format!("give 1 to {ROTATED_MAX}, or \"logrotate\"");
        s.report(&item, Refusal::new(format!("has {} patterns", items.len()), remedy));
    }
    let mut patterns = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = s.text(&item, 256) else { continue };
        if is_rotated_pattern(text) {
            patterns.push(text.to_owned());
        } else {
            let remedy =
                "write a file name with one *, behind a directory if need be: \"old/events-*.ndjson\"";
            s.report(&item, Refusal::new("is no pattern of file names", remedy));
        }
    }
    patterns
}

fn only_for(s: &mut Section<'_, '_>, owners: &[Kind], keys: &[&'static str], kind: Kind) {
    let owners: Vec<String> = owners.iter().map(|owner| format!("\"{}\"", owner.name())).collect();
    let remedy = format!("leave it out, or set kind = {}", owners.join(" or "));
    for key in keys {
        if let Some(item) = s.item(key) {
            let problem = format!("has no meaning for kind \"{}\"", kind.name());
            s.report(&item, Refusal::new(problem, remedy.clone()));
        }
    }
}
