//! Who decides which partitions are read: a consumer group and this member of it, or a fixed list.

use std::time::Duration;

use crate::config::{problem::Refusal, section::Section, units::DURATION};
use kafka_engine::{GroupOptions, GroupProtocol, Reading};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The keys that only mean something with a group.
const MEMBER_KEYS: [&str; 5] =
    ["group_protocol", "instance_id", "session_timeout", "max_poll_interval", "commit_every"];

/// The longest name of a group and of a member, in bytes; Kafka has its limit for topics here too.
const NAME_MAX: usize = 249;

/// Reads `group` and what belongs to it; `listed` is `partitions`, if it names some.
pub(super) fn read(s: &mut Section<'_, '_>, wanted: bool, listed: Option<&[u32]>) -> Reading {
    s.know("group", None, None);
    let item = s.item("group");
    let id = item.as_ref().and_then(|item| s.text(item, NAME_MAX)).map(str::to_owned);
    let group = member(s, id.unwrap_or_default());
    if !wanted {
        return Reading::Group(group);
    }
    if item.is_some() {
        if let Some(item) = s.item("partitions").filter(|_| listed.is_some()) {
            let remedy = "the group decides which are read here: leave it out, or leave source.group out";
            s.report(&item, Refusal::new("has no meaning with source.group", remedy));
        }
        return Reading::Group(group);
    }
    for key in MEMBER_KEYS {
        if let Some(item) = s.item(key) {
            let remedy = "name the group, or leave it out: without one nothing is committed";
            s.report(&item, Refusal::new("has no meaning without source.group", remedy));
        }
    }
    let Some(listed) = listed else {
        if !s.findings.has_problem(&s.key("partitions")) {
            let remedy = "name the consumer group, or give partitions = [0, 1] to read these without one";
            s.report_missing("group", remedy);
        }
        return Reading::Partitions(Vec::new());
    };
    let numbers: Result<Vec<i32>, _> = listed.iter().map(|number| i32::try_from(*number)).collect();
    numbers.map(Reading::Partitions).unwrap_or_else(|_| {
        let problem = format!("names a partition beyond {}, which no topic has", i32::MAX);
        s.report_key("partitions", Refusal::new(problem, "name those that the topic has"));
        Reading::Partitions(Vec::new())
    })
}

fn member(s: &mut Section<'_, '_>, id: String) -> GroupOptions {
    let protocols = [("consumer", GroupProtocol::Consumer)];
    let protocol = s.choice("group_protocol", ("classic", GroupProtocol::Classic), &protocols);
    s.know("instance_id", None, None);
    let instance_id = s.item("instance_id").and_then(|item| s.text(&item, NAME_MAX).map(str::to_owned));
    let session_timeout = s.ranged("session_timeout", 45 * SECOND, 6 * SECOND..=30 * MINUTE, &DURATION);
    if let Some(item) = s.item("session_timeout").filter(|_| protocol == GroupProtocol::Consumer) {
        let remedy = "leave it out, and set group.consumer.session.timeout.ms on the cluster";
        s.report(
            &item,
            Refusal::new("is the cluster's to decide with group_protocol = \"consumer\"", remedy),
        );
    }
    let max_poll_interval = s.ranged("max_poll_interval", 5 * MINUTE, 10 * SECOND..=24 * HOUR, &DURATION);
    GroupOptions { id, protocol, instance_id, session_timeout, max_poll_interval }
}
