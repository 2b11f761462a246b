//! Observes the running line: its counts, and what needs a read of the disk, the log's end or earlier samples.
//! Refreshes ten times a second at most, however often it is asked.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use state::{Clock, Ledger};
use tokio::time::Instant;

use super::{
    growth::{Growth, Level},
    metrics::Timings,
    samples::Samples,
    trend::Trend,
};
use crate::{
    config::{Config, SourceKind},
    group::GroupHandle,
    status::{
        BrokerStatus, DeadStatus, DeadTopicStatus, FileStatus, LedgerStatus, MovedStatus, PartitionStatus,
        ReadProgress, ReadingStatus, Status, Verdict, age,
        directory::{in_order, oldest_on_disk, unit},
        seconds,
    },
    view::View,
};
use line::{LineHandle, Partition};
use topics::PartitionCounts;

/// How long an observation is reused.
const FRESH: Duration = Duration::from_millis(100);
/// After how many seconds of a held intake the log says so.
const HELD_FOR: u32 = 5;
/// Where a log's end is found.
#[derive(Debug)]
enum LogEnd {
    File(PathBuf),
    Intake,
    Unknown,
}

/// Observes a line.
#[derive(Debug)]
pub(super) struct Observer {
    ledger: Ledger,
    log_end: LogEnd,
    state_dir: PathBuf,
    spill_broker_max: u64,
    spill_total_max: u64,
    growth: Growth,
    /// For how many samples in a row backpressure has held the intake.
    held: u32,
    began: Instant,
    view: Option<View>,
    samples: Samples,
    trend: Trend,
    last: Option<(Instant, Arc<Status>)>,
}

impl Observer {
    pub(super) fn new(config: &Config, ledger: Ledger) -> Self {
        let log_end = match &config.source.kind {
            SourceKind::File { path, .. } => LogEnd::File(path.clone()),
            SourceKind::Http(_) => LogEnd::Intake,
            SourceKind::Stdin | SourceKind::Fluvio(_) | SourceKind::Kafka(_) => LogEnd::Unknown,
        };
        Self {
            ledger,
            log_end,
            state_dir: config.state.dir.clone(),
            spill_broker_max: config.limits.spill_broker_max,
            spill_total_max: config.limits.spill_total_max,
            growth: Growth::default(),
            held: 0,
            began: Instant::now(),
            view: None,
            samples: Samples::new(),
            trend: Trend::default(),
            last: None,
        }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The line, once the run has begun.
    pub(super) fn watched(&self) -> Option<LineHandle> {
        self.view.as_ref().map(|view| view.line.clone())
    }

    /// The members of the group, if the run has begun and its state follows its partitions.
    pub(super) fn members(&self) -> Option<GroupHandle> {
        self.view.as_ref()?.topic.members().cloned()
    }

    pub(super) fn watch(&mut self, view: View) {
        self.view = Some(view);
        self.sample();
    }

    /// Takes a sample for the rates, and logs when backpressure has held the intake for a while.
    pub(super) fn sample(&mut self) {
        let Some(view) = &self.view else { return };
        let held = if view.line.is_held() { self.held.saturating_add(1) } else { 0 };
        if held == HELD_FOR {
            tracing::warn!(seconds = HELD_FOR, "backpressure holds the intake");
        } else if held == 0 && self.held >= HELD_FOR {
            tracing::info!(seconds = self.held, "the intake is open again");
        }
        self.held = held;
        self.samples.record(view);
        let now = Instant::now();
        let partitions = self.partitions(view, now);
        self.trend.record(now, &partitions);
        let brokers = view.brokers.shown();
        let bytes = brokers.iter().map(|broker| (broker.id.clone(), broker.tally.gauges.spilled_bytes.get()));
        self.growth.record(now, bytes);
    }

    /// Why the process is not alive; none if it is.
    pub(super) fn not_alive(&self) -> Option<&'static str> {
        self.ledger.is_closed().then_some("the ledger thread has met a fault; the process is ending")
    }

    /// Why it is not ready; none if it is.
    pub(super) fn not_ready(&self, stopping: bool) -> Option<&'static str> {
        if let Some(why) = self.not_alive() {
            return Some(why);
        }
        if stopping {
            return Some("the run is stopping");
        }
        if self.view.is_none() {
            return Some("the source is not open yet");
        }
        // The ledger detects a failed disk only when it next writes.
        let writable = rustix::fs::access(&self.state_dir, rustix::fs::Access::WRITE_OK);
        writable.is_err().then_some("the state directory cannot be written")
    }

    /// The status; none while the run has not begun.
    pub(super) fn observe(&mut self, stopping: bool) -> Option<Arc<Status>> {
        let now = Instant::now();
        if let Some((at, status)) = &self.last
            && now.saturating_duration_since(*at) < FRESH
        {
            return Some(status.clone());
        }
        let status = Arc::new(self.look(self.view.as_ref()?, now, stopping));
        self.last = Some((now, status.clone()));
        Some(status)
    }

    /// The measurements beside the status; none while the run has not begun.
    pub(super) fn timings(&self) -> Option<Timings> {
        let view = self.view.as_ref()?;
        Some(Timings {
            tally: view.tally.clone(),
            commits: self.ledger.stats().latency(),
            lookups: view.subscriptions.as_ref().map(|counts| counts.times().read()),
            spans: view.spans.clone(),
        })
    }

    fn look(&self, view: &View, now: Instant, stopping: bool) -> Status {
        let mut status = Status::from(view);
        status.stopping = stopping;
        status.uptime_seconds = Some(seconds(now.saturating_duration_since(self.began)));
        status.partitions = self.partitions(view, now);
        self.samples.fill_in(view, &mut status);
        let store = self.ledger.store();
        let stranded = view.line.stranded();
        status.brokers.extend(stranded.iter().map(|(id, usage)| BrokerStatus::stranded(id, *usage)));
        let all = Level {
            bytes: status.brokers.iter().map(|broker| broker.spilled_bytes).sum(),
            most: self.spill_total_max,
        };
        for shown in &mut status.brokers {
            shown.spilled_bytes_max = Some(self.spill_broker_max);
            let own = Level { bytes: shown.spilled_bytes, most: self.spill_broker_max };
            shown.full_in_seconds = self.growth.full_in(&shown.id, own, all, now);
            if shown.spilled > 0 {
                // The ledger reports a store that cannot be read; here only the age is missing.
                let oldest = oldest_on_disk(store, &shown.id.as_str().into()).ok().flatten();
                shown.oldest_seconds = match (oldest, shown.oldest_seconds) {
                    (Some(disk), Some(memory)) => Some(disk.max(memory)),
                    (disk, memory) => disk.or(memory),
                };
            }
        }
        // As above.
        status.moved = MovedStatus::of(store).unwrap_or_default();
        status.dead_letters = Some(DeadStatus::of(store));
        status.dead_topic = view.letters.as_ref().map(|counts| DeadTopicStatus {
            connected: counts.is_connected(),
            published: counts.published(),
            unpublished: store.dead_letters().unpublished(),
        });
        let stats = self.ledger.stats();
        status.ledger = Some(LedgerStatus {
            commits: stats.commits(),
            records: stats.records(),
            busy_seconds: stats.busy_micros() as f64 / 1e6,
            faulted: self.ledger.is_closed(),
        });
        status.verdict = Some(Verdict::new(&status, true));
        status
    }

    fn partitions(&self, view: &View, now: Instant) -> Vec<PartitionStatus> {
        let counts = view.topic.partitions();
        let counts: FxHashMap<&str, &PartitionCounts> =
            counts.iter().map(|counts| (&**counts.source(), &**counts)).collect();
        let partitions = view.line.partitions().snapshot();
        let each = partitions.iter().map(|partition| {
            let counts = counts.get(&*partition.source).copied();
            let held = view.line.holds(partition);
            let seen = self.partition(partition, counts, view.resumed_at, now);
            let file = view.file.as_deref();
            let file =
                file.and_then(|file| FileStatus::of(self.ledger.store(), &partition.source, Some(file)));
            let reading = counts.map(|counts| ReadingStatus::new(counts, view.topic.losses()));
            let mut seen = PartitionStatus { held, file, reading, ..seen };
            self.trend.assess(now, &mut seen);
            if seen.behind && counts.is_none() {
                seen.oldest_seconds = older(seen.oldest_seconds, own_age(partition));
            }
            seen
        });
        let mut partitions: Vec<_> = each.collect();
        // Those of a group come in any order.
        in_order(&mut partitions);
        partitions
    }

    fn partition(
        &self,
        Partition { source, tickets }: &Partition,
        counts: Option<&PartitionCounts>,
        resumed_at: Option<u64>,
        now: Instant,
    ) -> PartitionStatus {
        let newest = tickets.newest();
        let settled = tickets.watermark().map(|cursor| (cursor.epoch, cursor.offset));
        let began_at = counts.map(PartitionCounts::began_at).or(resumed_at);
        // Unsettled records were produced before unread ones: if the unread age is greater, only reading was late.
        let unread = counts.and_then(|counts| counts.unread_age(Clock::System.now()));
        let unread = unread.map(|age| age as f64 / 1e3);
        let oldest = tickets.oldest().map(|at| seconds(now.saturating_duration_since(at)));
        let mut partition = PartitionStatus {
            name: source.to_string(),
            unit: unit(source).to_owned(),
            read: newest.map(|place| place.offset).or(began_at),
            settled_to: settled.map(|(_, offset)| offset).or(began_at),
            end: match (&self.log_end, counts) {
                (_, Some(counts)) => Some(counts.end()),
                (LogEnd::File(path), None) => fs::metadata(path).ok().map(|file| file.len()),
                (LogEnd::Intake, None) => Some(self.ledger.store().intake_end()),
                (LogEnd::Unknown, None) => None,
            },
            oldest_seconds: older(oldest, unread),
            ..PartitionStatus::default()
        };
        partition.measure(ReadProgress {
            read: tickets.issued(),
            unsettled: tickets.issued().saturating_sub(tickets.settled()),
            began_at: began_at.unwrap_or(0),
            same_file: settled.is_none_or(|(epoch, _)| newest.map(|place| place.epoch) == Some(epoch)),
        });
        partition
    }
}

/// The greater of two ages, where known.
fn older(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    [one, other].into_iter().flatten().max_by(f64::total_cmp)
}

/// About the age of the next record by the event's own time, in seconds: that of the last one read.
fn own_age(partition: &Partition) -> Option<f64> {
    Some(age(Clock::System.now(), partition.tickets.event_time()?))
}
