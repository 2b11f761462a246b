//! One partition at work: what the cluster gives enters, the partition's records leave, contiguous and in order, for
//! as long as the stream is polled. Whatever goes wrong with the cluster ends in the same place: a new connection to
//! whoever leads now, and a stream of the same log from the expected offset on, after a pause ([`Opening`]).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use stages::models::RawRecord;
use state::{Clock, Position};
use tokio::{
    task::{JoinSet, consume_budget},
    time::Instant,
};

use super::{
    backoff::Backoff,
    counts::PartitionCounts,
    guard::{Broken, Guard, Judged},
    look::Looks,
    mark::{Mark, Taken},
    mirror::Mirror,
    opening::{Found, Opened, Opening},
    partition::{Bounds, ClusterFault, LogRecord, Partition},
    trouble::Trouble,
    watchdog::{Said, Watchdog},
};
use crate::source::{Cursor, SourceFault, SourceRecord};

/// How a partition is read.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    pub(super) stall_after: Duration,
    pub(super) timeout: Duration,
    pub(super) backoff_min: Duration,
    pub(super) backoff_max: Duration,
    pub(super) record_max: usize,
    /// Whether only what is committed is given.
    pub(super) committed: bool,
}

/// A partition at work.
pub(super) struct Feed<P: Partition> {
    name: Arc<str>,
    mark: Mark,
    partition: Arc<P>,
    pace: Pace,
    guard: Guard,
    /// The record before the expected one, if it is known.
    last: Option<Taken>,
    watchdog: Watchdog,
    backoff: Backoff,
    counts: Arc<PartitionCounts>,
    clock: Clock,
    mirror: Option<Arc<Mirror<P>>>,
    looks: Option<Looks>,
    /// At most one: the stream to come.
    opening: JoinSet<Result<Opened<P::Records>, ClusterFault>>,
    /// Whether it is the first: it needs no pause.
    first: bool,
    stream: Option<Open<P::Records>>,
    trouble: Trouble,
}

/// A stream, and since when.
struct Open<Records> {
    records: Records,
    since: Instant,
    /// Whether the last it has given was a repeat.
    repeats: bool,
}

/// What a wait has ended with.
enum Seen {
    Record(LogRecord),
    Fault(ClusterFault),
    /// There is nothing to wait for.
    Quiet,
    Stalled(u64),
    /// There are no more looks.
    Unwatched,
    Short(u64),
}

impl<P: Partition> Feed<P> {
    /// A partition that is read from `counts.began_at()` on; `mark` is its identity, with the record before that place
    /// if a checkpoint has one.
    pub(super) fn new(
        (name, mark): (Arc<str>, Mark),
        partition: Arc<P>,
        pace: Pace,
        counts: Arc<PartitionCounts>,
        mirror: Option<Arc<Mirror<P>>>,
        clock: Clock,
    ) -> Self {
        let expected = counts.began_at();
        Self {
            trouble: Trouble::new(Arc::clone(&name)),
            name,
            mark,
            partition,
            guard: Guard::new(expected),
            // Of another place if the place was set by hand.
            last: mark.last().filter(|last| last.offset.checked_add(1) == Some(expected)),
            watchdog: Watchdog::new(pace.stall_after, Looks::every(pace.stall_after), pace.committed),
            backoff: Backoff::new(pace.backoff_min, pace.backoff_max),
            pace,
            counts,
            clock,
            mirror,
            looks: None,
            opening: JoinSet::new(),
            first: true,
            stream: None,
        }
    }

    /// The next record.
    ///
    /// # Errors
    /// [`SourceFault::Lost`], [`SourceFault::Hole`] and [`SourceFault::AnotherLog`], and [`SourceFault::Interrupted`]
    /// if a task of this module was lost; nothing else ends a partition.
    pub(super) async fn next(&mut self) -> Result<SourceRecord, SourceFault> {
        loop {
            let Some(stream) = &mut self.stream else {
                self.open().await?;
                continue;
            };
            let looks = self.looks.get_or_insert_with(|| {
                let waits = (self.pace.stall_after, self.pace.timeout);
                let (partition, counts) = (Arc::clone(&self.partition), Arc::clone(&self.counts));
                Looks::start(partition, waits, counts, self.mirror.clone(), self.clock.clone())
            });
            let expected = self.guard.expected();
            match wait(stream, looks, &mut self.watchdog, expected).await {
                Seen::Record(record) => {
                    if let Some(record) = self.judge(record)? {
                        return Ok(record);
                    }
                    // Repeats may be there without a wait.
                    consume_budget().await;
                }
                Seen::Fault(fault) => self.lose(&fault),
                Seen::Unwatched => {
                    // Begun anew with the next stream.
                    self.looks = None;
                    self.lose(&ClusterFault::Unwatched);
                }
                Seen::Quiet => self.trouble.over(expected),
                Seen::Stalled(end) => {
                    self.counts.stall();
                    tracing::warn!(source = %self.name, position = expected, end, "the stream has stalled; it is opened again");
                    self.close();
                }
                Seen::Short(end) => {
                    tracing::warn!(source = %self.name, position = expected, end, "the log ends before what was read of it; it is opened again");
                    self.close();
                }
            }
        }
    }

    /// The record, if it is the next one.
    fn judge(&mut self, record: LogRecord) -> Result<Option<SourceRecord>, SourceFault> {
        let expected = self.guard.expected();
        match self.guard.judge(record.place(expected)) {
            Judged::Next => {
                self.guard.skip_to(record.last + 1);
                self.watchdog.fed();
                self.backoff.reset();
                self.trouble.over(expected);
                self.counts.took(self.guard.expected(), record.at);
                if let Some(stream) = &mut self.stream {
                    stream.repeats = false;
                }
                Ok(Some(self.record(record)))
            }
            Judged::Repeat => {
                self.counts.repeat();
                if let Some(stream) = &mut self.stream {
                    stream.repeats = true;
                }
                Ok(None)
            }
            Judged::Gap => self.gap(expected, record.offset).map(|()| None),
        }
    }

    /// The stream was to give the record at `from`, and has given the one at `found`.
    fn gap(&mut self, from: u64, found: u64) -> Result<(), SourceFault> {
        self.counts.gap();
        tracing::warn!(source = %self.name, expected = from, found, "the stream has passed over records; it is opened again before them");
        self.close();
        self.guard.gap(found).map_err(|broken| self.broken(broken, from))
    }

    fn record(&mut self, record: LogRecord) -> SourceRecord {
        let taken = Taken::new(&record);
        self.last = Some(taken);
        let LogRecord { offset, last, bytes, unreadable, .. } = record;
        // How much of a batch can be read depends on the config, which may be another one in the next run.
        let mark = if unreadable.is_some() { self.mark.bare() } else { self.mark.behind(taken) };
        let full_len = bytes.len() as u64;
        let bytes = match bytes.get(..self.pace.record_max) {
            // Its own bytes, so that what is cut off is not held.
            Some(beginning) if full_len > beginning.len() as u64 => Bytes::copy_from_slice(beginning),
            _ => bytes,
        };
        SourceRecord {
            raw: RawRecord {
                position: Position::new(Arc::clone(&self.name), 0, offset),
                bytes,
                full_len,
                read_at: self.clock.lived(),
                unreadable,
            },
            next: Cursor { epoch: 0, offset: last + 1, mark: mark.encode() },
        }
    }

    /// Waits for a stream at the expected offset, or for the next thing that is in its way.
    async fn open(&mut self) -> Result<(), SourceFault> {
        if self.opening.is_empty() {
            let opening = Opening {
                partition: Arc::clone(&self.partition),
                expected: self.guard.expected(),
                last: self.last,
                pause: if self.first { Duration::ZERO } else { self.backoff.pause() },
                pace: self.pace.clone(),
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
            Some(Err(error)) => Err(SourceFault::Interrupted {
                source_name: Arc::clone(&self.name),
                detail: error.to_string(),
            }),
            None => Ok(()),
        }
    }

    fn opened(&mut self, opened: Opened<P::Records>, first: bool) -> Result<(), SourceFault> {
        let Opened { bounds, found } = opened;
        let expected = self.guard.expected();
        self.counts.ends_at(bounds.end);
        let holds = self.guard.holds(bounds).map_err(|broken| self.broken(broken, expected))?;
        let records = match found {
            Found::Stream(records) if holds => records,
            Found::Stream(_) | Found::Nothing => {
                self.trouble.short(expected, bounds.end);
                self.counts.lost(&ClusterFault::EndsEarly { at: expected, end: bounds.end });
                return Ok(());
            }
            Found::Gap(from, found) => return self.gap(from, found),
            Found::Other { taken, found } => {
                return Err(SourceFault::AnotherLog {
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
        if let Some(looks) = &mut self.looks {
            // What was seen before is about another connection.
            looks.seen.mark_unchanged();
        }
        self.counts.set_connected(true);
        self.stream = Some(Open { records, since: Instant::now(), repeats: false });
        Ok(())
    }

    fn close(&mut self) {
        self.counts.set_connected(false);
        if let Some(Open { since, .. }) = self.stream.take()
            && since.elapsed() >= self.pace.backoff_max
        {
            // It has worked for long, though there may have been nothing to read.
            self.backoff.reset();
        }
    }

    fn lose(&mut self, fault: &ClusterFault) {
        self.close();
        self.counts.lost(fault);
        self.trouble.lost(fault, self.guard.expected());
    }

    fn broken(&self, broken: Broken, from: u64) -> SourceFault {
        let (source_name, partition) = (Arc::clone(&self.name), self.counts.partition());
        match broken {
            Broken::Lost { start } => SourceFault::Lost { source_name, partition, from, to: start - 1 },
            Broken::Hole { found } => SourceFault::Hole { source_name, partition, from, to: found - 1 },
        }
    }
}

/// Waits for a record; while there is none, follows the looks at the log.
async fn wait<Records>(
    Open { records, repeats, .. }: &mut Open<Records>,
    looks: &mut Looks,
    watchdog: &mut Watchdog,
    expected: u64,
) -> Seen
where
    Records: futures::Stream<Item = Result<LogRecord, ClusterFault>> + Unpin,
{
    // A stream that gives repeats without an end is none that gives records.
    if *repeats
        && looks.seen.has_changed().unwrap_or(false)
        && let Some(seen) = look(looks, watchdog, expected)
    {
        return seen;
    }
    loop {
        tokio::select! {
            biased;
            record = records.next() => {
                return match record {
                    Some(Ok(record)) => Seen::Record(record),
                    Some(Err(fault)) => Seen::Fault(fault),
                    None => Seen::Fault(ClusterFault::Ended),
                };
            }
            watched = looks.seen.changed() => {
                if watched.is_err() {
                    return Seen::Unwatched;
                }
                if let Some(seen) = look(looks, watchdog, expected) {
                    return seen;
                }
            },
        }
    }
}

/// What the latest look says, if it ends a wait.
fn look(looks: &mut Looks, watchdog: &mut Watchdog, expected: u64) -> Option<Seen> {
    match &*looks.seen.borrow_and_update() {
        Some(Ok(Bounds { end, .. })) => match watchdog.look(expected, *end) {
            Said::Quiet => Some(Seen::Quiet),
            Said::Waits => None,
            Said::Stalled => Some(Seen::Stalled(*end)),
            Said::Short => Some(Seen::Short(*end)),
        },
        Some(Err(fault)) => Some(Seen::Fault(fault.clone())),
        None => None,
    }
}
