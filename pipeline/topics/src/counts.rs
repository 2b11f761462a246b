//! The counts of a partition while it is read: written by the source, read by status and metrics.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use state::UnixMillis;
use tokio::time::Instant;

use crate::{connection_state::ConnectionState, unread_age::UnreadAge};

/// No offset, no time.
const NONE: u64 = u64::MAX;

/// A partition's offsets and counts in this run.
#[derive(Debug)]
pub struct PartitionCounts {
    source: Arc<str>,
    partition: u32,
    began_at: AtomicU64,
    position: AtomicU64,
    end: AtomicU64,
    /// The end up to which the client has given everything.
    given_to: AtomicU64,
    newest_at: AtomicU64,
    waiting: Mutex<UnreadAge>,
    link: Mutex<ConnectionState>,
    /// Whether the connection state must be told of a record, which it need not be of each.
    away: AtomicBool,
    gaps: AtomicU64,
    repeats: AtomicU64,
    stalls: AtomicU64,
    reconnects: AtomicU64,
    lost_records: AtomicU64,
    halted: Mutex<Option<Arc<str>>>,
}

impl PartitionCounts {
    /// Counts of `source`, which reads `partition` from `began_at` on; the log ends at `end`, as far as is known.
    pub fn new(source: Arc<str>, partition: u32, began_at: u64, end: u64) -> Self {
        let now = Instant::now();
        let mut waiting = UnreadAge::default();
        waiting.ends_at(began_at, end, now);
        Self {
            source,
            partition,
            began_at: AtomicU64::new(began_at),
            position: AtomicU64::new(began_at),
            end: AtomicU64::new(end),
            given_to: AtomicU64::new(0),
            newest_at: AtomicU64::new(NONE),
            waiting: Mutex::new(waiting),
            link: Mutex::new(ConnectionState::new(now)),
            away: AtomicBool::new(true),
            gaps: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            lost_records: AtomicU64::new(0),
            halted: Mutex::new(None),
        }
    }

    /// The name of the source.
    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The partition's number.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The offset at which this run began; an estimate while its leader is waited for.
    #[must_use]
    pub fn began_at(&self) -> u64 {
        self.began_at.load(Relaxed)
    }

    /// The offset of the next record to be read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    /// The log's end at the last poll, at most some seconds ago while it is connected.
    #[must_use]
    pub fn end(&self) -> u64 {
        let (end, position) = (self.end.load(Relaxed), self.position());
        // Behind the last record there are only offsets without one.
        if end <= self.given_to.load(Relaxed) { position } else { end.max(position) }
    }

    /// How many records in the log are unread.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.end().saturating_sub(self.position())
    }

    /// The age of the oldest unread record, in milliseconds; none if all is read. The age of the newest record read,
    /// if its producer gave a time; otherwise the time since the unread record was first seen in the log.
    #[must_use]
    pub fn unread_age(&self, now: UnixMillis) -> Option<u64> {
        let position = self.position();
        if self.end() <= position {
            return None;
        }
        let seen = self.waiting.lock().age(position, Instant::now()).unwrap_or_default();
        let newest = self.newest_at.load(Relaxed);
        let at_most = if newest == NONE { 0 } else { now.saturating_sub(newest) };
        Some(at_most.max(u64::try_from(seen.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Whether the partition can be read: its leader answers.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.away().is_none()
    }

    /// For how long it could not be read; none while it can be.
    #[must_use]
    pub fn away(&self) -> Option<Duration> {
        self.link.lock().away(Instant::now())
    }

    /// Why it cannot be read; none while it can be, or if the reason is unknown.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.link.lock().why()
    }

    /// How often records were skipped, and read again from there.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Relaxed)
    }

    /// How many repeated records were skipped.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Relaxed)
    }

    /// How often the stream stalled.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.stalls.load(Relaxed)
    }

    /// How often the stream was reopened, for any reason.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// How many offsets were skipped because the cluster no longer had their records.
    #[must_use]
    pub fn lost_records(&self) -> u64 {
        self.lost_records.load(Relaxed)
    }

    /// Why this partition is read no further although the others are, with the way out; none while it is.
    #[must_use]
    pub fn halted(&self) -> Option<Arc<str>> {
        self.halted.lock().clone()
    }

    /// Stops reading this partition because of `why`.
    pub fn halt(&self, why: &impl Display) {
        *self.halted.lock() = Some(Arc::from(why.to_string()));
        self.lost(why);
    }

    /// Counts `records` as lost.
    pub fn lose(&self, records: u64) {
        self.lost_records.fetch_add(records, Relaxed);
    }

    /// Everything up to the last known end of the log has been read.
    pub fn all_given(&self) {
        self.given_to.store(self.end.load(Relaxed), Relaxed);
        if self.away.load(Relaxed) {
            self.link(ConnectionState::gave);
        }
    }

    /// Sets the start offset and the log's end.
    pub fn begins(&self, at: u64, end: u64) {
        self.began_at.store(at, Relaxed);
        self.position.store(at, Relaxed);
        self.ends_at(end);
    }

    /// The number of the stream, while there is one.
    pub fn stream(&self) -> Option<u64> {
        self.link.lock().stream()
    }

    /// A record that was produced at `at` has been read; the next one is at `next`.
    pub fn took(&self, next: u64, at: Option<UnixMillis>) {
        self.position.store(next, Relaxed);
        if let Some(at) = at {
            self.newest_at.store(at, Relaxed);
        }
        if self.away.load(Relaxed) {
            self.link(ConnectionState::gave);
        }
    }

    /// Sets the log's end.
    pub fn ends_at(&self, end: u64) {
        self.waiting.lock().ends_at(self.position(), end, Instant::now());
        self.end.store(end, Relaxed);
    }

    /// Sets whether a stream is open.
    pub fn set_connected(&self, connected: bool) {
        let now = Instant::now();
        self.link(|link| if connected { link.opened() } else { link.closed(now) });
    }

    /// Sets why there is no stream.
    pub fn lost(&self, why: &impl Display) {
        self.link(|link| link.failed(&why.to_string(), Instant::now()));
    }

    /// Records the result of a poll over `stream`: the log's end, or why it is unknown. False, without effect, if
    /// that stream is gone.
    pub fn looked<E: Display>(&self, stream: u64, seen: Result<u64, &E>) -> bool {
        match seen {
            Err(fault) => self.link(|link| link.looked_ill(stream, &fault.to_string(), Instant::now())),
            Ok(end) => {
                let all_read = end <= self.position();
                let holds = self.link(|link| link.looked_well(stream, all_read));
                if holds {
                    self.ends_at(end);
                }
                holds
            }
        }
    }

    fn link<T>(&self, note: impl FnOnce(&mut ConnectionState) -> T) -> T {
        let mut link = self.link.lock();
        let noted = note(&mut link);
        self.away.store(link.is_away(), Relaxed);
        noted
    }

    /// Counts a gap.
    pub fn gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
    }

    /// Counts a repeated record.
    pub fn repeat(&self) {
        self.repeats.fetch_add(1, Relaxed);
    }

    /// Counts a stall.
    pub fn stall(&self) {
        self.stalls.fetch_add(1, Relaxed);
    }

    /// Counts a reopened stream.
    pub fn reconnect(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }
}
