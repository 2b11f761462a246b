//! The members of a group whose state follows its partitions: what each tells of itself, and the picture of all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Status, seconds};
use crate::view::View;

/// How many brokers a member tells of: those with the most that waits.
const BROKERS_MAX: usize = 100;
/// How many partitions' numbers a member tells.
const PARTITIONS_MAX: usize = 1_000;

/// What a member tells of itself every few seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberSummary {
    /// The version of its program.
    pub version: String,
    /// Where it listens for operators: its host and `admin.listen`.
    pub address: String,
    /// For how long it has run, in seconds.
    pub uptime_seconds: f64,
    /// Whether it has been asked to stop.
    pub stopping: bool,
    /// The numbers of the partitions that it reads, the first thousand.
    pub partitions: Vec<u32>,
    /// How many it reads.
    pub assigned: u64,
    /// How many the topic has.
    pub of: u64,
    /// Offsets of its partitions that are not settled: at least as many as events.
    pub lag_events: u64,
    /// Deliveries in memory.
    pub in_flight: u64,
    /// Deliveries that wait on disk.
    pub spilled: u64,
    /// How many brokers it delivers to.
    pub broker_count: u64,
    /// Those of them that are not healthy or for which something waits, the longest queue first; at most a hundred.
    pub brokers: Vec<MemberBroker>,
}

/// A broker, as a member sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberBroker {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: String,
    /// Deliveries that wait for it there, in memory or on disk.
    pub waiting: u64,
}

/// A member, as another one sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberStatus {
    /// Its name: `source.instance_id`, or its host and process.
    pub name: String,
    /// How long ago it told this, in seconds.
    pub age_seconds: f64,
    /// Whether that is too long: it has been killed, is frozen, or does not reach the topic.
    pub silent: bool,
    /// What it told.
    #[serde(flatten)]
    pub summary: MemberSummary,
}

/// All members of a group at one moment, as one of them sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupPicture {
    /// The group's name.
    pub group: String,
    /// The member that was asked.
    pub asked: String,
    /// How many partitions the topic has.
    pub partitions: u64,
    /// The numbers of those that no member reads which answers, the first thousand.
    pub unread: Vec<u32>,
    /// How many members answer.
    pub answering: u64,
    /// How many do not.
    pub silent: u64,
    /// The lag of all that answer.
    pub lag_events: u64,
    /// Their deliveries in memory.
    pub in_flight: u64,
    /// Their deliveries on disk.
    pub spilled: u64,
    /// The members, by name.
    pub members: Vec<MemberStatus>,
    /// The brokers that any of them tells of, with what waits at all of them.
    pub brokers: Vec<GroupBroker>,
}

/// A broker, as all members see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupBroker {
    /// Its id.
    pub id: String,
    /// Its states, with how many members see it in each; those that do not tell of it see it healthy.
    pub states: BTreeMap<String, u64>,
    /// Deliveries that wait for it.
    pub waiting: u64,
}

impl MemberSummary {
    /// What there is to tell of a run.
    #[must_use]
    pub(crate) fn of(view: &View, address: &str, uptime: Duration, stopping: bool) -> Self {
        let counts = view.topic.partitions();
        let settled: BTreeMap<_, _> = view
            .line
            .partitions()
            .snapshot()
            .iter()
            .filter_map(|partition| Some((partition.source.clone(), partition.tickets.watermark()?.offset)))
            .collect();
        let lag = counts.iter().map(|counts| {
            counts.end().saturating_sub(settled.get(counts.source()).copied().unwrap_or(counts.began_at()))
        });
        let status = Status::from(view);
        let mut brokers: Vec<_> = status
            .brokers
            .iter()
            .map(|broker| MemberBroker {
                id: broker.id.clone(),
                state: broker.state.clone(),
                waiting: broker.waiting(),
            })
            .collect();
        let broker_count = brokers.len() as u64;
        brokers.retain(|broker| broker.waiting > 0 || broker.state != "healthy");
        brokers.sort_by_key(|broker| std::cmp::Reverse(broker.waiting));
        brokers.truncate(BROKERS_MAX);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: address.to_owned(),
            uptime_seconds: seconds(uptime),
            stopping,
            partitions: counts.iter().map(|counts| counts.partition()).take(PARTITIONS_MAX).collect(),
            assigned: counts.len() as u64,
            of: view.topic.group().map_or(0, |(_, counts)| counts.partitions()),
            lag_events: lag.sum(),
            in_flight: status.in_flight,
            spilled: status.spilled,
            broker_count,
            brokers,
        }
    }
}

impl MemberStatus {
    pub(crate) fn new(name: &str, summary: &MemberSummary, age: Duration, silent: bool) -> Self {
        Self { name: name.to_owned(), age_seconds: seconds(age), silent, summary: summary.clone() }
    }
}

impl GroupPicture {
    /// The picture of `members`.
    #[must_use]
    pub(crate) fn of(group: &str, asked: &str, members: Vec<MemberStatus>) -> Self {
        let (silent, answering): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.silent);
        let partitions = members.iter().map(|member| member.summary.of).max().unwrap_or(0);
        let read: BTreeSet<u32> =
            answering.iter().flat_map(|member| member.summary.partitions.iter().copied()).collect();
        // Of one with more partitions than it tells nothing is known.
        let all_told =
            answering.iter().all(|member| member.summary.partitions.len() as u64 == member.summary.assigned);
        let numbers = 0..u32::try_from(partitions).unwrap_or(u32::MAX);
        let unread = numbers.filter(|number| all_told && !read.contains(number));
        let mut brokers: BTreeMap<&str, GroupBroker> = BTreeMap::new();
        for member in &answering {
            for MemberBroker { id, state, waiting } in &member.summary.brokers {
                let broker = brokers.entry(id).or_default();
                broker.id.clone_from(id);
                broker.waiting += waiting;
                *broker.states.entry(state.clone()).or_default() += 1;
            }
        }
        let sum =
            |count: fn(&MemberSummary) -> u64| answering.iter().map(|member| count(&member.summary)).sum();
        let mut brokers: Vec<_> = brokers.into_values().collect();
        brokers.sort_by_key(|broker| std::cmp::Reverse(broker.waiting));
        Self {
            group: group.to_owned(),
            asked: asked.to_owned(),
            partitions,
            unread: unread.take(PARTITIONS_MAX).collect(),
            answering: answering.len() as u64,
            silent: silent.len() as u64,
            lag_events: sum(|member| member.lag_events),
            in_flight: sum(|member| member.in_flight),
            spilled: sum(|member| member.spilled),
            brokers,
            members,
        }
    }

    /// Whether all members answer and read all partitions.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.silent == 0 && self.unread.is_empty() && self.partitions > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, partitions: &[u32], silent: bool, waiting: u64) -> MemberStatus {
        let broker = |id: &str, state: &str| MemberBroker { id: id.into(), state: state.into(), waiting };
        let summary = MemberSummary {
            partitions: partitions.to_vec(),
            assigned: partitions.len() as u64,
            of: 4,
            lag_events: 10,
            brokers: vec![broker("acme", "open"), broker("bolt", "paused")],
            ..MemberSummary::default()
        };
        MemberStatus::new(name, &summary, Duration::from_secs(1), silent)
    }

    #[test]
    fn the_picture_adds_up_those_that_answer_and_names_what_nobody_reads() {
        let members =
            vec![member("a", &[0, 1], false, 5), member("b", &[2], false, 2), member("c", &[3], true, 9)];
        let picture = GroupPicture::of("g", "a", members.clone());
        assert_eq!((picture.answering, picture.silent, picture.lag_events), (2, 1, 20));
        assert_eq!((picture.partitions, &*picture.unread, picture.is_whole()), (4, &[3][..], false));
        let acme = &picture.brokers[0];
        assert_eq!((&*acme.id, acme.waiting, acme.states["open"]), ("acme", 7, 2));
        let whole = GroupPicture::of("g", "a", vec![members[0].clone(), member("b", &[2, 3], false, 0)]);
        assert!(whole.is_whole());
        assert!(!GroupPicture::of("g", "a", Vec::new()).is_whole());
    }
}
