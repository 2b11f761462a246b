//! The status of a run at one time, as data.
//!
//! From a [`View`] alone it is cheap and reads no disk; the admin endpoint adds what needs the log's end, the disk or earlier
//! samples. While no process runs, [`directory`] makes it from the state directory.

mod backlog;
mod broker;
mod database;
pub mod directory;
mod group;
mod group_members;
mod group_table;
#[cfg(test)]
mod keys_tests;
mod lag;
mod moved;
mod partition;
mod recent;
mod span;
mod table;
mod verdict;

use serde::{Deserialize, Serialize};
use state::{Clock, UnixMillis};
use tokio::time::Instant;

pub use broker::{BrokerStatus, ErrorStatus};
pub use database::{RejectedBroker, SubscriptionsStatus};
pub use group::GroupStatus;
pub use group_members::{GroupBroker, GroupPicture, MemberBroker, MemberStatus, MemberSummary};
pub use group_table::write_group;
pub(crate) use lag::ReadProgress;
pub use moved::MovedStatus;
pub use partition::{FileStatus, PartitionStatus, ReadingStatus};
pub use recent::{RecentBroker, RecentRecords};
pub use table::write_table;
pub use verdict::{Condition, Verdict};

use crate::view::View;

/// A run at one moment. Each number is exact; together they may be a few events apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The verdict with its reasons; only from the admin endpoint and from a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// For how long it has run, in seconds; none if no process runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<f64>,
    /// Whether it has been asked to stop.
    pub stopping: bool,
    /// Records read in this run.
    pub read: u64,
    /// Records of this run that are settled.
    pub settled: u64,
    /// The offset at which this run resumed its source; nothing before it was open.
    pub resumed_at: Option<u64>,
    /// Everything of the source before this place is settled: bytes of a file, an offset of a log; none until the first
    /// record of the first run is settled.
    pub settled_to: Option<u64>,
    /// Deliveries in memory.
    pub in_flight: u64,
    /// Bytes of their bodies: each counts once, in whole KiB, however many brokers get it.
    pub in_flight_bytes: u64,
    /// Deliveries that wait on disk.
    pub spilled: u64,
    /// Whether backpressure holds the intake.
    pub held: bool,
    /// Records of this run that became dead letters before there was a delivery.
    pub rejected: u64,
    /// Events of this run that no broker subscribes to.
    pub unrouted: u64,
    /// Events of this run that were let through although their status is not known.
    pub unknown_statuses: u64,
    /// The outcomes of the last minutes' records; only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recent: Option<RecentRecords>,
    /// The source's partitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionStatus>,
    /// The consumer group that gives them, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupStatus>,
    /// The database with brokers and subscriptions, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<SubscriptionsStatus>,
    /// Partitions that were moved, and are not read here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<MovedStatus>,
    /// The brokers, in config order.
    pub brokers: Vec<BrokerStatus>,
    /// The dead letters in the state directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<DeadStatus>,
    /// The state of publishing dead letters, if configured; only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_topic: Option<DeadTopicStatus>,
    /// The ledger thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerStatus>,
}

/// The dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadStatus {
    /// How many there are.
    pub total: u64,
    /// Whether all have been counted; if not, there are at least this many.
    pub complete: bool,
    /// By cause, the most first.
    pub by_cause: Vec<DeadCause>,
    /// Loads of which a broker took a later event after one had become a letter, counted once for each such broker.
    pub overtaken: u64,
}

/// The state of publishing dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadTopicStatus {
    /// Whether the last request to the cluster succeeded.
    pub connected: bool,
    /// Letters it has taken in this run.
    pub published: u64,
    /// Letters in the state directory that it has not taken yet.
    pub unpublished: u64,
}

/// The dead letters of one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadCause {
    /// The stage that failed.
    pub stage: String,
    /// The kind of reason.
    pub cause: String,
    /// How many.
    pub count: u64,
}

/// The ledger thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LedgerStatus {
    /// Commits, each with one flush.
    pub commits: u64,
    /// Records written.
    pub records: u64,
    /// Seconds spent writing, flushing and syncing.
    pub busy_seconds: f64,
    /// Whether it has met a fault and settles nothing more.
    pub faulted: bool,
}

impl From<&View> for Status {
    fn from(view: &View) -> Self {
        let (partitions, each) = (view.line.partitions(), view.line.partitions().snapshot());
        // With several partitions, each has an offset of its own.
        let settled_to = match &*each {
            [only] => {
                let reached = only.tickets.watermark().map(|cursor| cursor.offset);
                reached.or(view.resumed_at)
            }
            _ => None,
        };
        let (now, wall) = (Instant::now(), Clock::System.now());
        let subscriptions = view.subscriptions.as_deref().map(SubscriptionsStatus::from);
        Self {
            read: partitions.issued(),
            settled: partitions.settled(),
            resumed_at: view.resumed_at,
            settled_to,
            in_flight: view.line.in_flight() as u64,
            in_flight_bytes: view.line.in_flight_bytes(),
            spilled: view.line.spilled(),
            held: view.line.is_held() || subscriptions.as_ref().is_some_and(SubscriptionsStatus::holds),
            subscriptions,
            group: view.topic.group().map(|(name, counts)| GroupStatus::new(name, counts)),
            rejected: view.tally.rejected.get(),
            unrouted: view.tally.unrouted.get(),
            unknown_statuses: view.tally.unknown_statuses.get(),
            brokers: view.brokers.shown().iter().map(|broker| BrokerStatus::new(broker, now, wall)).collect(),
            ..Self::default()
        }
    }
}

impl DeadStatus {
    /// The dead letters of `store`, as far as they have been counted.
    #[must_use]
    pub fn of(store: &state::Store) -> Self {
        let counts = store.dead_letters().counts();
        let cause = |((stage, cause), count): (&(state::StageName, String), &u64)| DeadCause {
            stage: stage.as_str().to_owned(),
            cause: cause.clone(),
            count: *count,
        };
        let mut by_cause: Vec<DeadCause> = counts.by_cause.iter().map(cause).collect();
        by_cause.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        Self {
            total: by_cause.iter().map(|cause| cause.count).sum(),
            complete: counts.complete,
            by_cause,
            overtaken: store.overtaken().count(),
        }
    }
}

/// How long ago `at` was, in seconds.
pub(crate) fn age(now: UnixMillis, at: UnixMillis) -> f64 {
    now.saturating_sub(at) as f64 / 1e3
}

/// In seconds, to the millisecond.
pub(crate) fn seconds(duration: std::time::Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}
