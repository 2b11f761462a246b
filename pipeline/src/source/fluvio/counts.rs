//! What is told of a partition while it is read: the source writes, whoever shows a status reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use state::UnixMillis;
use tokio::time::Instant;

use super::{
    link::Link,
    partition::{Bounds, ClusterFault},
    waiting::Waiting,
};

/// No offset, no time.
const NONE: u64 = u64::MAX;

/// A partition's places and counts, of this run.
#[derive(Debug)]
pub struct PartitionCounts {
    source: Arc<str>,
    partition: u32,
    began_at: AtomicU64,
    position: AtomicU64,
    end: AtomicU64,
    newest_at: AtomicU64,
    waiting: Mutex<Waiting>,
    link: Mutex<Link>,
    /// Whether the link is to be told of a record: not of each.
    away: AtomicBool,
    gaps: AtomicU64,
    repeats: AtomicU64,
    stalls: AtomicU64,
    reconnects: AtomicU64,
}

impl PartitionCounts {
    pub(super) fn new(source: Arc<str>, partition: u32, began_at: u64, end: u64) -> Self {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        waiting.ends_at(began_at, end, now);
        Self {
            source,
            partition,
            began_at: AtomicU64::new(began_at),
            position: AtomicU64::new(began_at),
            end: AtomicU64::new(end),
            newest_at: AtomicU64::new(NONE),
            waiting: Mutex::new(waiting),
            link: Mutex::new(Link::new(now)),
            away: AtomicBool::new(true),
            gaps: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
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

    /// The offset at which this run began, or as far as that is known while its leader is waited for.
    #[must_use]
    pub fn began_at(&self) -> u64 {
        self.began_at.load(Relaxed)
    }

    /// The offset of the next record to be read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    /// Where the log ended when it was last looked at, some seconds ago at most while it is connected.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end.load(Relaxed).max(self.position())
    }

    /// Records that are in the log and have not been read.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.end().saturating_sub(self.position())
    }

    /// How old the oldest record that has not been read is, in milliseconds; none if all has been read. It is at least as
    /// old as it has been seen in the log, and at most as old as the newest record read, if its producer has said when
    /// that was: the latter, if it is known.
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

    /// For how long it could not be read, so far; none while it can be.
    #[must_use]
    pub fn away(&self) -> Option<Duration> {
        self.link.lock().away(Instant::now())
    }

    /// Why it cannot be read, in words; none while it can be, or if that is not known yet.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.link.lock().why()
    }

    /// How often records were passed over, and read again from there.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Relaxed)
    }

    /// How many records came again and were skipped.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Relaxed)
    }

    /// How often the stream gave nothing although there was something.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.stalls.load(Relaxed)
    }

    /// How often the stream was opened again, for these and all other reasons.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// The place to begin at has been found, and where the log ends.
    pub(super) fn begins(&self, at: u64, end: u64) {
        self.began_at.store(at, Relaxed);
        self.position.store(at, Relaxed);
        self.ends_at(end);
    }

    /// The number of the stream, while there is one.
    pub(super) fn stream(&self) -> Option<u64> {
        self.link.lock().stream()
    }

    pub(super) fn took(&self, next: u64, at: Option<UnixMillis>) {
        self.position.store(next, Relaxed);
        if let Some(at) = at {
            self.newest_at.store(at, Relaxed);
        }
        if self.away.load(Relaxed) {
            self.link(Link::gave);
        }
    }

    pub(super) fn ends_at(&self, end: u64) {
        self.waiting.lock().ends_at(self.position(), end, Instant::now());
        self.end.store(end, Relaxed);
    }

    /// Notes that a stream has been opened, or that there is none any more.
    pub(super) fn set_connected(&self, connected: bool) {
        let now = Instant::now();
        self.link(|link| if connected { link.opened() } else { link.closed(now) });
    }

    /// Notes why there is no stream.
    pub(super) fn lost(&self, why: &ClusterFault) {
        self.link(|link| link.failed(&why.to_string(), Instant::now()));
    }

    /// Notes what a look over `stream` has seen. False if that stream is gone: what was seen over it says nothing of
    /// another one.
    pub(super) fn looked(&self, stream: u64, seen: &Result<Bounds, ClusterFault>) -> bool {
        match seen {
            Err(fault) => self.link(|link| link.looked_ill(stream, &fault.to_string(), Instant::now())),
            Ok(Bounds { end, .. }) => {
                let all_read = *end <= self.position();
                let holds = self.link(|link| link.looked_well(stream, all_read));
                if holds {
                    self.ends_at(*end);
                }
                holds
            }
        }
    }

    fn link<T>(&self, note: impl FnOnce(&mut Link) -> T) -> T {
        let mut link = self.link.lock();
        let noted = note(&mut link);
        self.away.store(link.is_away(), Relaxed);
        noted
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
    }

    pub(super) fn repeat(&self) {
        self.repeats.fetch_add(1, Relaxed);
    }

    pub(super) fn stall(&self) {
        self.stalls.fetch_add(1, Relaxed);
    }

    pub(super) fn reconnect(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }
}
