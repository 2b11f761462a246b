//! One partition at work: what the cluster gives enters, the partition's records leave, contiguous and in order, for
//! as long as the stream is polled. Whatever goes wrong with the cluster ends in the same place: a new connection to
//! whoever leads now, and a stream from the expected offset on, after a pause.
//!
//! Told in the log once when the connection is lost, once more when the reason changes, and once when it is back; each
//! try only at level debug.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use stages::models::RawRecord;
use state::{Clock, Position};
use tokio::time::{Instant, sleep};

use super::{
    backoff::Backoff,
    counts::PartitionCounts,
    guard::{Broken, Guard, Judged},
    look::{Looks, answered},
    mirror::Mirror,
    partition::{Bounds, ClusterFault, LogRecord, Partition},
    watchdog::Watchdog,
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
}

/// A partition at work.
pub(super) struct Feed<P: Partition> {
    name: Arc<str>,
    mark: Arc<[u8]>,
    partition: Arc<P>,
    pace: Pace,
    guard: Guard,
    watchdog: Watchdog,
    backoff: Backoff,
    counts: Arc<PartitionCounts>,
    clock: Clock,
    mirror: Option<Arc<Mirror<P>>>,
    looks: Option<Looks>,
    stream: Option<Open<P::Records>>,
    trouble: Option<Trouble>,
    /// Whether this is the first try: it needs no pause.
    first: bool,
}

/// A stream, and since when.
struct Open<Records> {
    records: Records,
    since: Instant,
}

/// Why there is no stream.
struct Trouble {
    since: Instant,
    tries: u32,
    /// As it was last told.
    told: mem::Discriminant<ClusterFault>,
}

/// What a wait has ended with.
enum Seen {
    Record(LogRecord),
    Fault(ClusterFault),
    Stalled(u64),
    /// There are no more looks.
    Unwatched,
}

impl<P: Partition> Feed<P> {
    pub(super) fn new(
        (name, mark): (Arc<str>, Arc<[u8]>),
        partition: Arc<P>,
        pace: Pace,
        counts: Arc<PartitionCounts>,
        mirror: Option<Arc<Mirror<P>>>,
        clock: Clock,
    ) -> Self {
        Self {
            name,
            mark,
            partition,
            guard: Guard::new(counts.began_at()),
            watchdog: Watchdog::new(pace.stall_after),
            backoff: Backoff::new(pace.backoff_min, pace.backoff_max),
            pace,
            counts,
            clock,
            mirror,
            looks: None,
            stream: None,
            trouble: None,
            first: true,
        }
    }

    /// The next record.
    ///
    /// # Errors
    /// [`SourceFault::Lost`], [`SourceFault::Hole`] and [`SourceFault::Shortened`]; nothing else ends a partition.
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
            match wait(&mut stream.records, looks, &mut self.watchdog, self.guard.expected()).await {
                Seen::Record(record) => {
                    self.watchdog.fed();
                    if let Some(record) = self.judge(record)? {
                        return Ok(record);
                    }
                }
                Seen::Fault(fault) => self.lose(&fault),
                Seen::Unwatched => {
                    // Begun anew with the next stream.
                    self.looks = None;
                    self.lose(&ClusterFault::Unwatched);
                }
                Seen::Stalled(end) => {
                    self.counts.stall();
                    let position = self.guard.expected();
                    tracing::warn!(source = %self.name, position, end, "the stream has stalled; it is opened again");
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
                self.backoff.reset();
                self.counts.took(self.guard.expected(), record.at);
                Ok(Some(self.record(record)))
            }
            Judged::Repeat => {
                self.counts.repeat();
                Ok(None)
            }
            Judged::Gap => {
                let found = record.offset;
                self.counts.gap();
                tracing::warn!(source = %self.name, expected, found, "the stream has passed over records; it is opened again before them");
                self.close();
                self.guard.gap(found).map_err(|broken| self.broken(broken)).map(|()| None)
            }
        }
    }

    fn record(&self, LogRecord { offset, last, bytes, unreadable, .. }: LogRecord) -> SourceRecord {
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
                read_at: self.clock.now(),
                unreadable,
            },
            next: Cursor { epoch: 0, offset: last + 1, mark: Arc::clone(&self.mark) },
        }
    }

    /// Opens the stream at the expected offset, however long that takes.
    async fn open(&mut self) -> Result<(), SourceFault> {
        let first = mem::replace(&mut self.first, false);
        if !first {
            sleep(self.backoff.pause()).await;
        }
        let opened = async {
            let bounds = answered(self.pace.timeout, "a connection", self.partition.connect()).await?;
            let at = self.guard.expected();
            // Asked first: beyond its end, a log is silent for ever.
            if bounds.end < at || bounds.start > at {
                return Ok((bounds, None));
            }
            let records = answered(self.pace.timeout, "a stream", self.partition.open(at)).await?;
            Ok((bounds, Some(records)))
        };
        match opened.await {
            Ok((bounds, records)) => self.opened(bounds, records, first),
            Err(fault) => {
                self.lose(&fault);
                Ok(())
            }
        }
    }

    fn opened(
        &mut self,
        bounds: Bounds,
        records: Option<P::Records>,
        first: bool,
    ) -> Result<(), SourceFault> {
        self.counts.ends_at(bounds.end);
        let holds = self.guard.holds(bounds).map_err(|broken| self.broken(broken))?;
        let Some(records) = records.filter(|_| holds) else {
            let (position, end) = (self.guard.expected(), bounds.end);
            tracing::warn!(source = %self.name, position, end, "the log ends before the place to go on at; it is asked again");
            // Not a connection that is to be looked at.
            self.counts.set_connected(false);
            return Ok(());
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
        self.stream = Some(Open { records, since: Instant::now() });
        if let Some(Trouble { since, tries, .. }) = self.trouble.take() {
            let away = since.elapsed();
            tracing::info!(source = %self.name, position = self.guard.expected(), ?away, tries, "the cluster is back; reading goes on");
        }
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
        let (source, told) = (&self.name, mem::discriminant(fault));
        let (tries, before) = match &mut self.trouble {
            None => {
                self.trouble = Some(Trouble { since: Instant::now(), tries: 1, told });
                (1, None)
            }
            Some(trouble) => {
                trouble.tries += 1;
                (trouble.tries, Some(mem::replace(&mut trouble.told, told)))
            }
        };
        match before {
            None => {
                tracing::warn!(%source, %fault, "the cluster is lost; it is tried again until it is back");
            }
            Some(before) if before != told => {
                tracing::warn!(%source, %fault, tries, "the cluster is still lost");
            }
            Some(_) => tracing::debug!(%source, %fault, tries, "the cluster is still lost"),
        }
    }

    fn broken(&self, broken: Broken) -> SourceFault {
        let (source_name, expected) = (Arc::clone(&self.name), self.guard.expected());
        match broken {
            Broken::Lost { start } => SourceFault::lost(&source_name, expected, start - 1),
            Broken::Hole { found } => SourceFault::hole(&source_name, expected, found - 1),
            Broken::Short { end } => SourceFault::Shortened { source_name, expected, end },
        }
    }
}

/// Waits for a record; while there is none, follows the looks at the log.
async fn wait<Records>(
    records: &mut Records,
    looks: &mut Looks,
    watchdog: &mut Watchdog,
    expected: u64,
) -> Seen
where
    Records: futures::Stream<Item = Result<LogRecord, ClusterFault>> + Unpin,
{
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
            watched = looks.seen.changed() => match &*looks.seen.borrow_and_update() {
                _ if watched.is_err() => return Seen::Unwatched,
                Some(Ok(Bounds { end, .. })) if watchdog.is_stalled(Instant::now(), expected, *end) => {
                    return Seen::Stalled(*end);
                }
                Some(Err(fault)) => return Seen::Fault(fault.clone()),
                Some(Ok(_)) | None => {}
            },
        }
    }
}
