//! How a run is doing at one moment, as data: a view into the line enters, plain numbers leave.
//!
//! Made of a [`View`] alone it is cheap and asks no disk; the admin endpoint adds what takes a look at the log's end, at
//! the disk and at earlier moments. With no process running, [`directory`] tells what the state directory knows.

mod backlog;
pub mod directory;
#[cfg(test)]
mod keys_tests;
mod lag;
mod moved;
mod recent;
mod table;
mod verdict;

use serde::{Deserialize, Serialize};
use stages::{HealthState, models::Broker};
use state::{Clock, FileLoss, SpillUsage, Store, UnixMillis};
use tokio::time::Instant;

pub(crate) use lag::Past;
pub use moved::MovedStatus;
pub use recent::{RecentBroker, RecentRecords};
pub use table::write_table;
pub use verdict::{Verdict, Word};

use crate::{
    dead::moment,
    engine::View,
    source::{FileCounts, PartitionCounts, loss_text},
};

/// A run at one moment. Each number is exact; together they may be a few events apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// How it is, in a word and its reasons; only from the admin endpoint and from a directory.
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
    /// Where this run took up its source; nothing before that place was open.
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
    /// What became of the records of the last minutes; only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recent: Option<RecentRecords>,
    /// The source's partitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionStatus>,
    /// Partitions that were moved, and are not read here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<MovedStatus>,
    /// The brokers, in config order.
    pub brokers: Vec<BrokerStatus>,
    /// The dead letters in the state directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<DeadStatus>,
    /// How publishing the dead letters goes, if they are published; only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_topic: Option<DeadTopicStatus>,
    /// The ledger thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerStatus>,
}

/// A partition of the source at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartitionStatus {
    /// The name under which its checkpoint is kept.
    pub name: String,
    /// What places are counted in: `bytes` or `records`.
    pub unit: String,
    /// The place behind the last record read.
    pub read: Option<u64>,
    /// Everything before this place is settled.
    pub settled_to: Option<u64>,
    /// The log's end, where it is known.
    pub end: Option<u64>,
    /// Events that are in the log and not settled, where that can be told.
    pub lag_events: Option<u64>,
    /// Whether that is an estimate: bytes not read yet, at the mean length of the records read.
    pub lag_estimated: bool,
    /// Bytes of the log that are not settled, for a file.
    pub lag_bytes: Option<u64>,
    /// How long ago the oldest unsettled record was read, in seconds, or how old the oldest that has not been read is, if
    /// that is longer: by the time the cluster has put on it, of a partition that is behind by the event's own. None if
    /// all are read and settled.
    pub oldest_seconds: Option<f64>,
    /// Whether something is not read that was in the log ten seconds ago, or when the run began.
    pub behind: bool,
    /// By how many events a second the lag has grown over the last minute; negative if it shrinks, none if that cannot be
    /// told yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_per_second: Option<f64>,
    /// In how many seconds the lag will be gone at that pace; none if it does not shrink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<f64>,
    /// Whether backpressure holds it: it alone has too much unsettled, or memory is full, which holds all of them.
    pub held: bool,
    /// How reading it from a cluster goes, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<ReadingStatus>,
    /// What has happened to its files, if it is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileStatus>,
}

impl PartitionStatus {
    /// For how long it could not be read from its cluster, so far, in seconds; none while it can be.
    #[must_use]
    pub fn away(&self) -> Option<f64> {
        self.reading.as_ref()?.away_seconds
    }
}

/// How reading a partition from a cluster goes. Counts are of this run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadingStatus {
    /// Whether it can be read: its leader answers.
    pub connected: bool,
    /// For how long it could not be read, so far, in seconds; none while it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away_seconds: Option<f64>,
    /// Why it cannot be read; none while it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Times records were missing from what came, and were asked for again.
    pub gaps: u64,
    /// Records that came again and were left out.
    pub repeats: u64,
    /// Times nothing came although there was something to come.
    pub stalls: u64,
    /// Times the partition was opened again.
    pub reconnects: u64,
}

impl From<&PartitionCounts> for ReadingStatus {
    fn from(counts: &PartitionCounts) -> Self {
        let away = counts.away();
        Self {
            connected: away.is_none(),
            away_seconds: away.map(seconds),
            last_error: away.and_then(|_| counts.trouble()).map(|why| why.to_string()),
            gaps: counts.gaps(),
            repeats: counts.repeats(),
            stalls: counts.stalls(),
            reconnects: counts.reconnects(),
        }
    }
}

/// What has happened to the files of a source. Counts are of this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileStatus {
    /// How often the next file was begun after the end of one.
    pub rotations: u64,
    /// How often the file was truncated while it was read.
    pub truncations: u64,
    /// How often the names of rotated files did not tell their order.
    pub undecided: u64,
    /// How often bytes were lost before they were read.
    pub losses: u64,
    /// What was lost, in this run or an earlier one, the last of it.
    pub lost: Vec<String>,
}

impl FileStatus {
    /// The status of the file source `name`, as `store` and what is counted in the run say; none of any other source.
    #[must_use]
    pub fn of(store: &Store, name: &str, counts: Option<&FileCounts>) -> Option<Self> {
        // A store that cannot be read is told by the ledger; here the losses are missing.
        let lost = name.starts_with("file:").then(|| store.sources().losses(name).unwrap_or_default())?;
        Some(Self {
            rotations: counts.map_or(0, FileCounts::rotations),
            truncations: counts.map_or(0, FileCounts::truncations),
            undecided: counts.map_or(0, FileCounts::undecided),
            losses: counts.map_or(0, FileCounts::losses),
            lost: lost
                .iter()
                .map(|FileLoss { epoch, from, at, what }| {
                    format!("{}: {}", moment::text(*at), loss_text(*epoch, *from, what))
                })
                .collect(),
        })
    }
}

/// A broker at one moment. Counts are of this run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatus {
    /// Its id.
    pub id: String,
    /// How it is doing: `healthy`, `draining` (healthy, with a backlog on disk, or leaving), `limited`, `open`,
    /// `half-open`, `paused`, `disabled`, or `stranded`: the config has not named it in this run, and what waits on disk
    /// for it stays there.
    pub state: String,
    /// Whether the config does not name it any more: it is sent what is left for it, and nothing new.
    pub leaving: bool,
    /// Attempts made.
    pub attempts: u64,
    /// Events it has taken.
    pub delivered: u64,
    /// Deliveries given up.
    pub dead_letters: u64,
    /// Deliveries in memory that are not on the wire.
    pub queued: u64,
    /// Deliveries on the wire.
    pub on_wire: u64,
    /// Deliveries on disk.
    pub spilled: u64,
    /// Their bytes.
    pub spilled_bytes: u64,
    /// The most bytes its disk queue may take; only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spilled_bytes_max: Option<u64>,
    /// In how long its disk queue, or all of them together, will be full at the pace of the last minutes, in seconds;
    /// none if it does not grow. Only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_in_seconds: Option<f64>,
    /// Deliveries in memory that belong on disk and find no room there.
    pub no_room: u64,
    /// What becomes of those: `dead-letter` or `hold`.
    pub when_full: String,
    /// Deliveries that became dead letters for want of room.
    pub queue_full: u64,
    /// How long the oldest that waits has waited, in seconds; none if nothing waits.
    pub oldest_seconds: Option<f64>,
    /// Attempts a second it may be given.
    pub rate_allowed: f64,
    /// Attempts a second over the last ten seconds; only from the admin endpoint, and not in the first second.
    pub rate_used: Option<f64>,
    /// The share of those that ended in these ten seconds that were taken, 0 to 1; none if none ended.
    pub success_ratio: Option<f64>,
    /// The share of them that it refused, with a 4xx.
    pub refused_ratio: Option<f64>,
    /// What became of the attempts of the last minutes; only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recent: Option<RecentBroker>,
    /// The last failed attempt.
    pub last_error: Option<ErrorStatus>,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
    /// Deliveries that were not needed.
    pub duplicates: u64,
    /// Deliveries whose event id had come before with another body.
    pub conflicts: u64,
    /// Attempts answered 2xx.
    pub successes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Those of them with which it asked for a pause.
    pub throttled: u64,
    /// Those with which it refused the event.
    pub refused: u64,
    /// Those without an answer: a timeout or a broken connection.
    pub unanswered: u64,
    /// Those in which nothing was sent, because the address is not allowed.
    pub unsent: u64,
    /// The rest of the failures, mostly 5xx.
    pub unwell: u64,
    /// Attempts of deliveries that had been attempted before.
    pub retries: u64,
    /// Retries put off because the retry budget was empty.
    pub deferred: u64,
    /// How often its breaker opened.
    pub opened: u64,
    /// Attempts that had to wait for its quota.
    pub quota_waits: u64,
    /// Attempts that may have repeated one of a run that ended before its outcome was on record.
    pub repeats_after_crash: u64,
    /// Attempts that may have repeated one that had no clear answer.
    pub repeats_after_no_answer: u64,
    /// Attempts that may have repeated one that was refused.
    pub repeats_after_refusal: u64,
}

/// A failed attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ErrorStatus {
    /// How long ago it ended, in seconds.
    pub age_seconds: f64,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub cause: String,
}

/// The dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadStatus {
    /// How many there are.
    pub total: u64,
    /// Whether all have been counted yet; if not, there are at least so many.
    pub complete: bool,
    /// By cause, the most first.
    pub by_cause: Vec<DeadCause>,
}

/// How publishing the dead letters goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadTopicStatus {
    /// Whether the cluster has done what it was last asked.
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
    /// Where their way ended.
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
        let partitions = view.line.partitions();
        // Of several partitions each has a place of its own.
        let settled_to = match (partitions.iter().next(), partitions.iter().nth(1)) {
            (Some(only), None) => {
                let reached = only.tickets.watermark().borrow().as_ref().map(|cursor| cursor.offset);
                reached.or(view.resumed_at)
            }
            _ => None,
        };
        let (now, wall) = (Instant::now(), Clock::System.now());
        Self {
            read: partitions.issued(),
            settled: partitions.settled(),
            resumed_at: view.resumed_at,
            settled_to,
            in_flight: view.line.in_flight() as u64,
            in_flight_bytes: view.line.in_flight_bytes(),
            spilled: view.line.spilled(),
            held: view.line.is_held(),
            rejected: view.tally.rejected.get(),
            unrouted: view.tally.unrouted.get(),
            brokers: view.brokers.shown().iter().map(|broker| BrokerStatus::new(broker, now, wall)).collect(),
            ..Self::default()
        }
    }
}

impl BrokerStatus {
    fn new(broker: &Broker, now: Instant, wall: UnixMillis) -> Self {
        let (counts, tally, health) = (broker.health.counts(), &broker.tally, &broker.health);
        let (quota, leaving) = (broker.quota(), broker.is_leaving());
        let (spilled, oldest_at) = (tally.gauges.spilled.get(), tally.gauges.oldest_at.get());
        let state = match health.state(now) {
            HealthState::Healthy if spilled > 0 || leaving => "draining",
            state => state.as_str(),
        };
        Self {
            id: broker.id.to_string(),
            state: state.to_owned(),
            leaving,
            attempts: counts.attempts,
            delivered: tally.delivered.get(),
            dead_letters: tally.dead_letters.get(),
            queued: tally.gauges.queued.get(),
            on_wire: tally.gauges.on_wire.get(),
            spilled,
            spilled_bytes: tally.gauges.spilled_bytes.get(),
            spilled_bytes_max: None,
            full_in_seconds: None,
            when_full: broker.when_full().as_str().to_owned(),
            queue_full: tally.queue_full.get(),
            no_room: tally.gauges.no_room.get(),
            oldest_seconds: (oldest_at > 0).then(|| age(wall, oldest_at)),
            rate_allowed: quota.rate(),
            rate_used: None,
            success_ratio: None,
            refused_ratio: None,
            recent: None,
            last_error: health.last_error().map(|error| ErrorStatus {
                age_seconds: seconds(now.saturating_duration_since(error.at)),
                status: error.status,
                cause: error.cause,
            }),
            disabled: health.disabled_reason().map(|reason| reason.to_string()),
            duplicates: tally.duplicates.get(),
            conflicts: tally.conflicts.get(),
            successes: counts.successes,
            failures: counts.failures,
            throttled: counts.throttled,
            refused: counts.refused,
            unanswered: counts.unanswered,
            unsent: counts.unsent,
            unwell: counts.unwell,
            retries: tally.retries.get(),
            deferred: counts.deferred,
            opened: counts.opened,
            quota_waits: quota.waits(),
            repeats_after_crash: counts.repeats_after_crash,
            repeats_after_no_answer: counts.repeats_after_no_answer,
            repeats_after_refusal: counts.repeats_after_refusal,
        }
    }

    /// A broker that the config does not name, for which something waits on disk.
    #[must_use]
    pub fn stranded(id: &str, usage: SpillUsage) -> Self {
        Self {
            id: id.to_owned(),
            state: "stranded".to_owned(),
            spilled: usage.deliveries,
            spilled_bytes: usage.bytes,
            ..Self::default()
        }
    }

    /// Deliveries that wait for it, in memory or on disk.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // What is read back from disk stays there until it is settled; what finds no room is not there.
        self.queued.saturating_sub(self.no_room).max(self.spilled) + self.no_room
    }
}

impl BrokerStatus {
    /// Deliveries that are on disk and not in memory as well.
    #[must_use]
    pub fn on_disk_only(&self) -> u64 {
        // What is in memory is on disk too while there is something there, but for what finds no room.
        self.spilled.saturating_sub((self.queued + self.on_wire).saturating_sub(self.no_room))
    }
}

impl From<&state::DeadCounts> for DeadStatus {
    fn from(counts: &state::DeadCounts) -> Self {
        let cause = |((stage, cause), count): (&(state::StageName, String), &u64)| DeadCause {
            stage: stage.as_str().to_owned(),
            cause: cause.clone(),
            count: *count,
        };
        let mut by_cause: Vec<DeadCause> = counts.by_cause.iter().map(cause).collect();
        by_cause.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        Self { total: by_cause.iter().map(|cause| cause.count).sum(), complete: counts.complete, by_cause }
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
