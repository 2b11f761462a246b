//! A partition in the status: how far it is read and settled, the state of its cluster, and what happened to its
//! files.

use serde::{Deserialize, Serialize};
use sources::{FileCounts, loss_text};
use state::{FileLoss, Store, timestamp};
use topics::{Losses, PartitionCounts};

use super::seconds;

/// A partition of the source at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartitionStatus {
    /// The name of its checkpoint.
    pub name: String,
    /// The unit of offsets: `bytes` or `records`.
    pub unit: String,
    /// The offset behind the last record read.
    pub read: Option<u64>,
    /// Everything before this place is settled.
    pub settled_to: Option<u64>,
    /// The log's end, where it is known.
    pub end: Option<u64>,
    /// Unsettled events in the log, if known.
    pub lag_events: Option<u64>,
    /// Whether that is an estimate: bytes not read yet, at the mean length of the records read.
    pub lag_estimated: bool,
    /// Bytes of the log that are not settled, for a file.
    pub lag_bytes: Option<u64>,
    /// How long ago the oldest unsettled record was read, in seconds, or how old the oldest that has not been read is, if
    /// that is longer: by the time the cluster has put on it, of a partition that is behind by the event's own. None if
    /// all are read and settled.
    pub oldest_seconds: Option<f64>,
    /// Whether records are unread that were in the log ten seconds ago, or when the run began.
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
    /// The state of reading it from a cluster, if it is on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<ReadingStatus>,
    /// What happened to its files, if it is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileStatus>,
}

impl PartitionStatus {
    /// For how long it could not be read from its cluster, so far, in seconds; none while it can be, or if it is not to be.
    #[must_use]
    pub fn away(&self) -> Option<f64> {
        self.reading.as_ref().filter(|reading| reading.halted.is_none())?.away_seconds
    }

    /// What was lost of it before it was read.
    #[must_use]
    pub fn lost(&self) -> &[String] {
        let of_topic = self.reading.as_ref().map(|reading| &*reading.lost);
        self.file.as_ref().map(|file| &*file.lost).or(of_topic).unwrap_or_default()
    }

    /// Why it is read no further although others are; none while it is.
    #[must_use]
    pub fn halted(&self) -> Option<&str> {
        self.reading.as_ref()?.halted.as_deref()
    }
}

/// The state of reading a partition from a cluster. Counts are of this run.
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
    /// Offsets that were passed over because the cluster no longer had their records.
    pub lost_records: u64,
    /// What the cluster no longer had, the last of it.
    pub lost: Vec<String>,
    /// Why it is read no further although others are, with the way out; none while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
}

impl ReadingStatus {
    /// The state of the partition that `counts` are of; `losses` are those of all.
    pub(crate) fn new(counts: &PartitionCounts, losses: &Losses) -> Self {
        let away = counts.away();
        Self {
            connected: away.is_none(),
            away_seconds: away.map(seconds),
            last_error: away.and_then(|_| counts.trouble()).map(|why| why.to_string()),
            gaps: counts.gaps(),
            repeats: counts.repeats(),
            stalls: counts.stalls(),
            reconnects: counts.reconnects(),
            lost_records: counts.lost_records(),
            lost: losses.of(counts.source()),
            halted: counts.halted().map(|why| why.to_string()),
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
    /// How often the names of rotated files did not decide their order.
    pub undecided: u64,
    /// How often bytes were lost before they were read.
    pub losses: u64,
    /// The last losses, of this run or an earlier one.
    pub lost: Vec<String>,
}

impl FileStatus {
    /// The status of the file source `name`, as `store` and what is counted in the run say; none of any other source.
    #[must_use]
    pub fn of(store: &Store, name: &str, counts: Option<&FileCounts>) -> Option<Self> {
        // The ledger reports a store that cannot be read; here only the losses are missing.
        let lost = name.starts_with("file:").then(|| store.sources().losses(name).unwrap_or_default())?;
        Some(Self {
            rotations: counts.map_or(0, FileCounts::rotations),
            truncations: counts.map_or(0, FileCounts::truncations),
            undecided: counts.map_or(0, FileCounts::undecided),
            losses: counts.map_or(0, FileCounts::losses),
            lost: lost
                .iter()
                .map(|FileLoss { epoch, from, at, what }| {
                    format!("{}: {}", timestamp::text(*at), loss_text(*epoch, *from, what))
                })
                .collect(),
        })
    }
}
