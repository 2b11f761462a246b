//! A site that reads a topic of Kafka, quick to notice trouble, and what it says of itself.

use serde_json::Value;
use tests::{Fleet, KafkaTopic, Loadline, PossibleRepeats, Site, Wants, until};

/// A member of `group`, which agrees in the classic way.
pub(crate) fn member(fleet: &Fleet, wants: &[Wants], topic: &KafkaTopic<'_>, group: &str) -> Site {
    member_by("classic", fleet, wants, topic, group)
}

/// The same, whose group agrees by this protocol.
pub(crate) fn member_by(
    protocol: &str,
    fleet: &Fleet,
    wants: &[Wants],
    topic: &KafkaTopic<'_>,
    group: &str,
) -> Site {
    let mut site = Site::with_kafka(fleet, wants, topic, group);
    site.set("source.group_protocol", protocol);
    if protocol == "classic" {
        // The other is told it by the cluster.
        site.set("source.session_timeout", "6s");
    }
    site.set("source.connect_timeout", "3s");
    site.set("source.backoff_max", "2s");
    site.set("source.commit_every", "200ms");
    site
}

/// The same with its state on topics that it makes.
pub(crate) fn follows(mut site: Site) -> Site {
    site.set("state.follow", "topic");
    site.set("state.create_topics", true);
    site.set("state.replication", 1);
    site.set("state.min_isr", 1);
    // What a lost power takes is in the topics.
    site.set("state.durability", "process");
    site
}

/// A name for a group that only this topic's scenario has.
pub(crate) fn group(topic: &KafkaTopic<'_>) -> String {
    format!("of-{}", topic.name())
}

/// What `loadline status` says.
pub(crate) fn status(site: &Site) -> Value {
    site.loadline(&["status", "--json"]).status()
}

/// How many partitions the process of `site` reads; none while it does not answer.
pub(crate) fn assigned(site: &Site) -> Option<u64> {
    let told = site.loadline(&["status", "--json"]);
    let status: Value = serde_json::from_str(&told.stdout).ok()?;
    status["group"]["assigned"].as_u64()
}

/// Waits until these sites read so many partitions each, in any order.
pub(crate) fn wait_for_shares(sites: &[&Site], shares: &[u64]) {
    until(&format!("the members have {shares:?} partitions"), || {
        let mut now: Vec<u64> = sites.iter().map(|site| assigned(site).unwrap_or(u64::MAX)).collect();
        now.sort_unstable();
        now == shares
    });
}

/// Ends a run in good order; how many records it has read.
pub(crate) fn end(run: Loadline) -> u64 {
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!(summary.possible_repeats, PossibleRepeats::default());
    summary.records
}
