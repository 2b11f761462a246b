//! Reads one partition: returns its records, contiguous and in order, for as long as the stream is polled. Every
//! failure of the cluster is handled alike: after a pause, a new connection to the current leader and a stream of the
//! same log from the expected offset on ([`Opening`]).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use stages::models::{RawRecord, Unreadable};
use state::{Clock, Position};
use tokio::{
    task::{JoinSet, consume_budget},
    time::Instant,
};
use topics::{Backoff, Mark, PartitionCounts, RecordMark};

use super::{
    continuity::{Continuity, LogFault, Sequence},
    mirror::Mirror,
    monitor::Monitor,
    opening::{Found, Opened, Opening},
    outage_log::OutageLog,
    partition::{Bounds, ClusterFault, LogRecord, Partition, mark_of},
    read_options::ReadOptions,
    watchdog::{Finding, Watchdog},
};
use crate::TopicFault;
use line::{Cursor, SourceRecord};

/// The reader of a partition.
pub(super) struct PartitionReader<P: Partition> {
    name: Arc<str>,
    mark: Mark,
    partition: Arc<P>,
    options: ReadOptions,
    continuity: Continuity,
    /// The record before the expected one, if it is known.
    last: Option<RecordMark>,
    watchdog: Watchdog,
    backoff: Backoff,
    counts: Arc<PartitionCounts>,
    clock: Clock,
    mirror: Option<Arc<Mirror<P>>>,
    monitor: Option<Monitor>,
    /// The task that opens the next stream: at most one.
    opening: JoinSet<Result<Opened<P::Records>, ClusterFault>>,
    /// Whether that is the first stream, which needs no pause.
    first: bool,
    stream: Option<Open<P::Records>>,
    outage_log: OutageLog,
}

/// An open stream.
struct Open<Records> {
    records: Records,
    since: Instant,
    /// Whether its last record was a repeat.
    repeats: bool,
}

/// The end of a wait.
enum WaitEnd {
    Record(LogRecord),
    Fault(ClusterFault),
    /// The log has nothing more.
    Quiet,
    Stalled(u64),
    /// The monitor has ended.
    Unwatched,
    Short(u64),
}

impl<P: Partition> PartitionReader<P> {
    /// Reads a partition from `counts.began_at()` on; `mark` is its identity, with the record before that offset if a
    /// checkpoint has one.
    pub(super) fn new(
        (name, mark): (Arc<str>, Mark),
        partition: Arc<P>,
        options: ReadOptions,
        counts: Arc<PartitionCounts>,
        mirror: Option<Arc<Mirror<P>>>,
        clock: Clock,
    ) -> Self {
        let expected = counts.began_at();
        Self {
            outage_log: OutageLog::new(Arc::clone(&name)),
            name,
            mark,
            partition,
            continuity: Continuity::new(expected),
            // If the offset was set by an operator, the mark's record is of another one.
            last: mark.last().filter(|last| last.offset.checked_add(1) == Some(expected)),
            watchdog: Watchdog::new(
                options.stall_after,
                Monitor::every(options.stall_after),
                options.committed,
            ),
            backoff: Backoff::new(options.backoff_min, options.backoff_max),
            options,
            counts,
            clock,
            mirror,
            monitor: None,
            opening: JoinSet::new(),
            first: true,
            stream: None,
        }
    }

    /// The next record.
    ///
    /// # Errors
    /// [`TopicFault::Lost`], [`TopicFault::Hole`], [`TopicFault::AnotherLog`], and [`TopicFault::Interrupted`] if a
    /// task of this module was lost. Nothing else ends a partition.
    pub(super) async fn next(&mut self) -> Result<SourceRecord, TopicFault> {
        loop {
            let Some(stream) = &mut self.stream else {
                self.open().await?;
                continue;
            };
            let monitor = self.monitor.get_or_insert_with(|| {
                let waits = (self.options.stall_after, self.options.timeout);
                let (partition, counts) = (Arc::clone(&self.partition), Arc::clone(&self.counts));
                Monitor::start(partition, waits, counts, self.mirror.clone(), self.clock.clone())
            });
            let expected = self.continuity.expected();
            match wait(stream, monitor, &mut self.watchdog, expected).await {
                WaitEnd::Record(record) => {
                    if let Some(record) = self.accept(record)? {
                        return Ok(record);
                    }
                    // Repeats may be ready without a wait.
                    consume_budget().await;
                }
                WaitEnd::Fault(fault) => self.lose(&fault),
                WaitEnd::Unwatched => {
                    // Started again with the next stream.
                    self.monitor = None;
                    self.lose(&ClusterFault::Unwatched);
                }
                WaitEnd::Quiet => self.outage_log.over(expected),
                WaitEnd::Stalled(end) => {
                    self.counts.stall();
                    tracing::warn!(source = %self.name, position = expected, end, "the stream has stalled; reopening it");
                    self.close();
                }
                WaitEnd::Short(end) => {
                    tracing::warn!(source = %self.name, position = expected, end, "the log ends before the offset that was read; reopening the stream");
                    self.close();
                }
            }
        }
    }

    /// The record, if it is the next one.
    fn accept(&mut self, record: LogRecord) -> Result<Option<SourceRecord>, TopicFault> {
        let expected = self.continuity.expected();
        match self.continuity.classify(record.place(expected)) {
            Sequence::Next => {
                self.continuity.skip_to(record.last + 1);
                self.watchdog.fed();
                self.backoff.reset();
                self.outage_log.over(expected);
                self.counts.took(self.continuity.expected(), record.at);
                if let Some(stream) = &mut self.stream {
                    stream.repeats = false;
                }
                Ok(Some(self.record(record)))
            }
            Sequence::Repeat => {
                self.counts.repeat();
                if let Some(stream) = &mut self.stream {
                    stream.repeats = true;
                }
                Ok(None)
            }
            Sequence::Gap => self.gap(expected, record.offset).map(|()| None),
        }
    }

    /// Handles a stream that should give the record at `from`, but gave the one at `found`.
    fn gap(&mut self, from: u64, found: u64) -> Result<(), TopicFault> {
        self.counts.gap();
        tracing::warn!(source = %self.name, expected = from, found, "the stream skipped records; reopening it at the expected offset");
        self.close();
        self.continuity.gap(found).map_err(|broken| self.broken(broken, from))
    }

    fn record(&mut self, record: LogRecord) -> SourceRecord {
        let taken = mark_of(&record);
        self.last = Some(taken);
        let LogRecord { offset, last, bytes, unreadable, .. } = record;
        // How much of a batch can be read depends on the config, which the next run may change.
        let mark = if unreadable.is_some() { self.mark.bare() } else { self.mark.behind(taken) };
        let full_len = bytes.len() as u64;
        let bytes = match bytes.get(..self.options.record_max) {
            // A copy, so that the cut-off rest is not held.
            Some(beginning) if full_len > beginning.len() as u64 => Bytes::copy_from_slice(beginning),
            _ => bytes,
        };
        SourceRecord {
            raw: RawRecord {
                position: Position::new(Arc::clone(&self.name), 0, offset),
                bytes,
                full_len,
                read_at: self.clock.monotonic(),
                unreadable: unreadable.map(|why| Box::new(Unreadable::Batch(why))),
                id: None,
                traceparent: None,
            },
            next: Cursor { epoch: 0, offset: last + 1, mark: mark.encode() },
        }
    }

    /// Waits until a stream at the expected offset is open, or opening it has failed.
    async fn open(&mut self) -> Result<(), TopicFault> {
        if self.opening.is_empty() {
            let opening = Opening {
                partition: Arc::clone(&self.partition),
                expected: self.continuity.expected(),
                last: self.last,
                pause: if self.first { Duration::ZERO } else { self.backoff.pause() },
                options: self.options.clone(),
            };
            self.opening.spawn(opening.run());
        }
        let outcome = self.opening.join_next().await;
        let first = std::mem::replace(&mut self.first, false);
        match outcome {
            Some(Ok(Ok(opened))) => self.opened(opened, first),
            Some(Ok(Err(fault))) => {
                self.lose(&fault);
                Ok(())
            }
            Some(Err(error)) => Err(TopicFault::Interrupted {
                source_name: Arc::clone(&self.name),
                detail: error.to_string(),
            }),
            None => Ok(()),
        }
    }

    fn opened(&mut self, opened: Opened<P::Records>, first: bool) -> Result<(), TopicFault> {
        let Opened { bounds, found } = opened;
        let expected = self.continuity.expected();
        self.counts.ends_at(bounds.end);
        let holds = self.continuity.holds(bounds).map_err(|broken| self.broken(broken, expected))?;
        let records = match found {
            Found::Stream(records) if holds => records,
            Found::Stream(_) | Found::Nothing => {
                self.outage_log.short(expected, bounds.end);
                self.counts.lost(&ClusterFault::EndsEarly { at: expected, end: bounds.end });
                return Ok(());
            }
            Found::Gap(from, found) => return self.gap(from, found),
            Found::Other { taken, found } => {
                return Err(TopicFault::AnotherLog {
                    source_name: Arc::clone(&self.name),
                    partition: self.counts.partition(),
                    offset: taken.offset,
                    taken_at: taken.at,
                    found_at: found.at,
                });
            }
        };
        if !first {
            self.counts.reconnect();
        }
        self.watchdog.fed();
        if let Some(monitor) = &mut self.monitor {
            // Earlier polls are about another connection.
            monitor.seen.mark_unchanged();
        }
        self.counts.set_connected(true);
        self.stream = Some(Open { records, since: Instant::now(), repeats: false });
        Ok(())
    }

    fn close(&mut self) {
        self.counts.set_connected(false);
        if let Some(Open { since, .. }) = self.stream.take()
            && since.elapsed() >= self.options.backoff_max
        {
            // It has worked for long, even if there was nothing to read.
            self.backoff.reset();
        }
    }

    fn lose(&mut self, fault: &ClusterFault) {
        self.close();
        self.counts.lost(fault);
        self.outage_log.lost(fault, self.continuity.expected());
    }

    fn broken(&self, broken: LogFault, from: u64) -> TopicFault {
        let (source_name, partition) = (Arc::clone(&self.name), self.counts.partition());
        match broken {
            LogFault::Lost { start } => TopicFault::Lost { source_name, partition, from, to: start - 1 },
            LogFault::Hole { found } => TopicFault::Hole { source_name, partition, from, to: found - 1 },
        }
    }
}

/// Waits for a record; while there is none, follows the monitor's polls.
async fn wait<Records>(
    Open { records, repeats, .. }: &mut Open<Records>,
    monitor: &mut Monitor,
    watchdog: &mut Watchdog,
    expected: u64,
) -> WaitEnd
where
    Records: futures::Stream<Item = Result<LogRecord, ClusterFault>> + Unpin,
{
    // A stream that only gives repeats has stalled.
    if *repeats
        && monitor.seen.has_changed().unwrap_or(false)
        && let Some(seen) = look(monitor, watchdog, expected)
    {
        return seen;
    }
    loop {
        tokio::select! {
            biased;
            record = records.next() => {
                return match record {
                    Some(Ok(record)) => WaitEnd::Record(record),
                    Some(Err(fault)) => WaitEnd::Fault(fault),
                    None => WaitEnd::Fault(ClusterFault::Ended),
                };
            }
            watched = monitor.seen.changed() => {
                if watched.is_err() {
                    return WaitEnd::Unwatched;
                }
                if let Some(seen) = look(monitor, watchdog, expected) {
                    return seen;
                }
            },
        }
    }
}

/// The end of a wait by the latest poll, if it is one.
fn look(monitor: &mut Monitor, watchdog: &mut Watchdog, expected: u64) -> Option<WaitEnd> {
    match &*monitor.seen.borrow_and_update() {
        Some(Ok(Bounds { end, .. })) => match watchdog.look(expected, *end) {
            Finding::Quiet => Some(WaitEnd::Quiet),
            Finding::Waits => None,
            Finding::Stalled => Some(WaitEnd::Stalled(*end)),
            Finding::Short => Some(WaitEnd::Short(*end)),
        },
        Some(Err(fault)) => Some(WaitEnd::Fault(fault.clone())),
        None => None,
    }
}
