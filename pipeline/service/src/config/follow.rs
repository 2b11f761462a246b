//! The keys of `[state]` for state that follows its partition: whether it does, and the topics in which it is kept.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use kafka_engine::{KafkaOptions, Reading, follow::FollowOptions};

use super::{
    Config, SourceKind,
    findings::{Findings, Order::AtMost},
    problem::Refusal,
    section::Section,
    topic_name::is_kafka_topic,
    units::count,
};

/// What stands behind `state.topic` in the topics' names.
const SUFFIXES: [&str; 3] = ["-ledger", "-waiting", "-control"];
/// The keys that only mean something if the state follows.
const KEYS: [&str; 4] = ["topic", "create_topics", "replication", "min_isr"];

/// The topics in which partitions' state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowConfig {
    /// What the topics' names begin with; none for the source's topic and group.
    pub topic: Option<String>,
    /// Whether Loadline creates them and has them grow with the source (default false).
    pub create_topics: bool,
    /// The replicas of a topic that is created (default 3, 1 to 32).
    pub replication: usize,
    /// How many of them must have a record before it counts (default 2, 1 to 32).
    pub min_isr: usize,
}

impl FollowConfig {
    /// None if the state stays in the state directory.
    pub(super) fn read(s: &mut Section<'_, '_>) -> Option<Self> {
        let follows = s.choice("follow", ("directory", false), &[("topic", true)]);
        s.know("topic", None, None);
        let item = s.item("topic");
        let topic = item.as_ref().and_then(|item| s.text(item, usize::MAX)).map(str::to_owned);
        if let (Some(item), Some(name)) = (&item, topic.as_deref().filter(|name| !are_topics(name))) {
            let problem = format!("does not begin the name of a topic: {name}{}", SUFFIXES[1]);
            let remedy = "give 1 to 241 of a to z, A to Z, 0 to 9, ., _ and -";
            s.report(item, Refusal::new(problem, remedy));
        }
        let config = Self {
            topic,
            create_topics: s.flag("create_topics", false),
            replication: s.ranged("replication", 3, 1..=32, &count()),
            min_isr: s.ranged("min_isr", 2, 1..=32, &count()),
        };
        if follows {
            return Some(config);
        }
        for key in KEYS {
            if let Some(item) = s.item(key) {
                let remedy = "set state.follow = \"topic\", or leave it out";
                s.report(
                    &item,
                    Refusal::new("has no meaning unless the state follows its partition", remedy),
                );
            }
        }
        None
    }

    /// What the topics' names begin with.
    fn prefix(&self, topic: &str, group: &str) -> String {
        self.topic.clone().unwrap_or_else(|| format!("{topic}-{group}"))
    }
}

impl Config {
    /// Where partitions' state is kept; none if it stays in the state directory.
    #[must_use]
    pub fn follow(&self) -> Option<FollowOptions> {
        let follow = self.state.follow.as_ref()?;
        let SourceKind::Kafka(source) = &self.source.kind else { return None };
        let Reading::Group(group) = &source.reading else { return None };
        let prefix = follow.prefix(&source.topic, &group.id);
        let [ledger_topic, waiting_topic, control_topic] = SUFFIXES.map(|suffix| format!("{prefix}{suffix}"));
        Some(FollowOptions {
            cluster: source.cluster.clone(),
            source_topic: source.topic.clone(),
            ledger_topic,
            waiting_topic,
            control_topic,
            group: group.id.clone(),
            create: follow.create_topics,
            replication: i32::try_from(follow.replication).unwrap_or(i32::MAX),
            min_isr: i32::try_from(follow.min_isr).unwrap_or(i32::MAX),
            dedupe_window: self.state.dedupe_window,
            record_max: source.record_max,
            member: member(source),
            // Seeded by the system for each process.
            seed: RandomState::new().hash_one(0),
        })
    }
}

/// This member's name, for people.
fn member(source: &KafkaOptions) -> Arc<str> {
    let named = match &source.reading {
        Reading::Group(group) => group.instance_id.clone(),
        Reading::Partitions(_) => None,
    };
    let name = named.unwrap_or_else(|| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("{host}, process {}", std::process::id())
    });
    Arc::from(name)
}

fn are_topics(prefix: &str) -> bool {
    SUFFIXES.iter().all(|suffix| is_kafka_topic(&format!("{prefix}{suffix}")))
}

/// Only the partitions of a group move; its name may hold what a topic's may not.
pub(super) fn check(findings: &mut Findings<'_>, source: Option<&SourceKind>, follow: Option<&FollowConfig>) {
    let Some(follow) = follow else { return };
    let (replication, min_isr) =
        (("state.replication", &follow.replication), ("state.min_isr", &follow.min_isr));
    let why = "a record that more replicas must have than there are is never written";
    findings.ordered(AtMost, min_isr, replication, &count(), why);
    let Some(source) = source else { return };
    let group = match source {
        SourceKind::Kafka(kafka) => match &kafka.reading {
            Reading::Group(group) => Some((kafka, group)),
            Reading::Partitions(_) => None,
        },
        _ => None,
    };
    let Some((kafka, group)) = group else {
        let problem = "needs a source whose partitions move: a Kafka topic that is read by a group";
        let remedy = "leave it out, or set source.kind = \"kafka\" and source.group";
        return findings.refuse("state.follow", "topic", Refusal::new(problem, remedy));
    };
    let prefix = follow.prefix(&kafka.topic, &group.id);
    if follow.topic.is_none() && !are_topics(&prefix) && !findings.has_problem("source") {
        let problem = format!(
            "keeps state in topics called after the source's topic and group, and {prefix}{} is no name of a topic",
            SUFFIXES[1]
        );
        findings.refuse("state.follow", "topic", Refusal::new(problem, "set state.topic"));
    }
}
