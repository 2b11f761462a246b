//! The log of accepted posts. It lets a producer hand over its records at once while the line reads them at its own
//! pace.
//!
//! Guarantees: offsets are contiguous, also across restarts. A post is there as a whole or not at all: what a crash
//! left of one is cut off when the store is opened, before any reader sees it. Only flushed records are read. A
//! record is removed only after a checkpoint behind it was flushed.
//!
//! Keys are offsets in big-endian order, in one tree per segment (16 MiB or an hour). Whole trees are dropped, which
//! frees millions of keys a second; deleting them one by one would free 63,000. The newest segment is never dropped,
//! because the next offset is found from it. Only the ledger thread writes.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bincode::{Decode, Encode};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    checkpoint::Checkpoint,
    clock::UnixMillis,
    codec,
    fault::StateFault,
    intake_place::IntakePlace,
    parts::{self, Parts},
    storage::{Database, IVec, Tree, guarded, guarded_items},
};

/// The source name of the log's positions and its checkpoint.
pub(crate) const SOURCE: &str = "intake";

const TREE: &str = "intake";
const PREFIX: &str = "intake-";

/// The size at which a segment is full, in bytes: large enough that there are few trees, small enough that little is
/// kept too long.
const SEGMENT_BYTES: u64 = 16 << 20;

/// The age at which a segment is full, in milliseconds; for logs with few records.
const SEGMENT_MILLIS: u64 = 3_600_000;

/// How many bytes are read at a time when the log is verified.
const STEP_BYTES: u64 = 4 << 20;

/// A record of the intake log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeRecord {
    /// Its offset.
    pub offset: u64,
    /// The place just behind it.
    pub next: IntakePlace,
    /// When it was accepted.
    pub at: UnixMillis,
    /// Its bytes exactly as they were posted.
    pub body: Bytes,
}

/// A post to be written. Only [`EmbeddedLog`](crate::EmbeddedLog) makes one, with unique places.
#[derive(Clone, Debug)]
pub struct IntakePost {
    pub(crate) first: IntakePlace,
    pub(crate) at: UnixMillis,
    pub(crate) records: Vec<Bytes>,
}

/// A record on disk.
#[derive(Encode, Decode)]
struct Stored<Body> {
    at: UnixMillis,
    /// How many records of the same post follow.
    left: u32,
    /// The bytes before it, so that the backlog is known without reading it.
    begin: u64,
    body: Body,
}

#[derive(Clone)]
struct Segment {
    start: IntakePlace,
    /// When its first record was accepted; never, if a crash came before it.
    first_at: UnixMillis,
    tree: Tree,
    /// Its large records.
    parts: Parts,
}

/// The place behind the last record with an assigned place, and the place behind the last settled one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) next: IntakePlace,
    pub(crate) settled: IntakePlace,
}

/// The log's trees and ends.
pub(crate) struct IntakeLog {
    path: Arc<Path>,
    /// Oldest first.
    segments: RwLock<Arc<[Segment]>>,
    pub(crate) ends: Mutex<Ends>,
    /// The offset behind the last record written, flushed or not.
    written: AtomicU64,
    /// The offset behind the last record flushed.
    pub(crate) durable: watch::Sender<u64>,
    keep: Mutex<Retention>,
    /// The end when it was last stored with the commit marks.
    kept_end: AtomicU64,
}

/// How long settled records are kept, and how many bytes of them. Nothing is removed before this is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    pub(crate) millis: u64,
    pub(crate) bytes: u64,
}

impl IntakeLog {
    /// Opens the trees there are, none in a store that has never had a producer, and cuts off a post that a crash left
    /// incomplete. `settled` is the log's checkpoint, `kept_end` the end as it was last kept with the commit marks.
    pub(crate) fn open(
        db: &Database,
        path: &Arc<Path>,
        settled: Option<&Checkpoint>,
        kept_end: u64,
    ) -> Result<Self, StateFault> {
        let settled = settled.map(IntakePlace::try_from).transpose()?;
        drop_left_parts(db, path)?;
        let mut trees = Vec::new();
        for name in db.tree_names() {
            if let Some(start) = segment_start(&name) {
                let tree = guarded(path, || db.open_tree(&name))?;
                trees.push((start, Parts::open(db, &tree, TREE, path)?, tree));
            }
        }
        trees.sort_by_key(|(start, ..)| *start);
        let mut next = settled.unwrap_or_default();
        let mut segments: Vec<Segment> = Vec::with_capacity(trees.len());
        for (offset, parts, tree) in trees {
            cut_incomplete(&tree, &parts, path)?;
            let first = end(&parts, guarded(path, || tree.first())?)?;
            let last = end(&parts, guarded(path, || tree.last())?)?;
            let start =
                IntakePlace { offset, bytes: first.as_ref().map_or(next.bytes, |first| first.begin()) };
            next = last.as_ref().map_or(next, |last| last.next).max(next).max(start);
            segments.push(Segment { start, first_at: first.map_or(u64::MAX, |first| first.at), tree, parts });
        }
        if next.offset < kept_end {
            let detail = format!("the intake log ends at {}, and {kept_end} had been accepted", next.offset);
            return Err(StateFault::Damaged { path: path.to_path_buf(), detail });
        }
        let settled = settled.unwrap_or_default();
        if let Some(oldest) = segments.first().filter(|oldest| oldest.start.offset > settled.offset) {
            let (start, settled) = (oldest.start.offset, settled.offset);
            let detail =
                format!("the intake log begins at {start}, but only what is before {settled} is settled");
            return Err(StateFault::Damaged { path: path.to_path_buf(), detail });
        }
        Ok(Self {
            path: path.clone(),
            segments: RwLock::new(segments.into()),
            ends: Mutex::new(Ends { next, settled }),
            written: AtomicU64::new(next.offset),
            durable: watch::Sender::new(next.offset),
            keep: Mutex::new(Retention { millis: u64::MAX, bytes: u64::MAX }),
            kept_end: AtomicU64::new(kept_end),
        })
    }

    /// Reads every unsettled record.
    ///
    /// # Errors
    /// [`StateFault::Damaged`] or [`StateFault::Undecodable`] for the first record that is missing or has changed.
    pub(crate) fn verify(&self) -> Result<(), StateFault> {
        let (end, mut from) = (*self.durable.borrow(), self.ends.lock().settled.offset);
        while from < end {
            from += self.read(from, STEP_BYTES)?.len() as u64;
        }
        Ok(())
    }

    /// Removes parts of large records whose write a crash has interrupted.
    pub(crate) fn sweep(&self) -> Result<(), StateFault> {
        self.segments.read().iter().try_for_each(|segment| segment.parts.sweep())
    }

    /// The end, if it has moved since the last call.
    pub(crate) fn take_changed(&self) -> Option<u64> {
        let end = self.written.load(Relaxed);
        (self.kept_end.swap(end, Relaxed) != end).then_some(end)
    }

    /// Sets the retention; from now on settled records are removed.
    pub(crate) fn set_retention(&self, keep: Retention) {
        *self.keep.lock() = keep;
    }

    /// Writes a post; the ledger thread's alone.
    pub(crate) fn write(&self, db: &Database, post: &IntakePost) -> Result<(), StateFault> {
        let (tree, parts) = self.segment_for(db, post)?;
        let mut place = post.first;
        let mut left = u32::try_from(post.records.len()).unwrap_or(u32::MAX);
        for body in &post.records {
            left = left.saturating_sub(1);
            let stored = Stored { at: post.at, left, begin: place.bytes, body: &body[..] };
            let key = place.offset.to_be_bytes();
            let value = parts.seal(&key, &codec::encode(TREE, &stored)?)?;
            guarded(&self.path, || tree.insert(key, value))?;
            place = place.after(body.len());
        }
        self.written.store(place.offset, Relaxed);
        Ok(())
    }

    /// The newest segment, or a new one if that is full. A post never spans two.
    fn segment_for(&self, db: &Database, post: &IntakePost) -> Result<(Tree, Parts), StateFault> {
        let segments = self.segments.read().clone();
        let has_room = |newest: &&Segment| {
            newest.start.offset == post.first.offset
                || (post.first.bytes.saturating_sub(newest.start.bytes) < SEGMENT_BYTES
                    && post.at.saturating_sub(newest.first_at) < SEGMENT_MILLIS)
        };
        if let Some(newest) = segments.last().filter(has_room) {
            return Ok((newest.tree.clone(), newest.parts.clone()));
        }
        let name = format!("{PREFIX}{:020}", post.first.offset);
        let tree = guarded(&self.path, || db.open_tree(name))?;
        let parts = Parts::open(db, &tree, TREE, &self.path)?;
        let segment =
            Segment { start: post.first, first_at: post.at, tree: tree.clone(), parts: parts.clone() };
        *self.segments.write() = segments.iter().cloned().chain([segment]).collect();
        Ok((tree, parts))
    }

    /// Shows readers what has been flushed. Only the ledger thread calls this.
    pub(crate) fn flushed(&self) {
        let written = self.written.load(Relaxed);
        self.durable.send_if_modified(|durable| std::mem::replace(durable, written) != written);
    }

    /// Follows the log's checkpoint.
    pub(crate) fn settle(&self, checkpoint: &Checkpoint) -> Result<(), StateFault> {
        let place = IntakePlace::try_from(checkpoint)?;
        let mut ends = self.ends.lock();
        ends.settled = ends.settled.max(place);
        Ok(())
    }

    /// Drops segments whose every record is settled and beyond the retention in time or bytes. Called before a
    /// commit, so that the checkpoint it relies on was flushed by the one before.
    pub(crate) fn trim(&self, db: &Database, now: UnixMillis) -> Result<(), StateFault> {
        let segments = self.segments.read().clone();
        let (keep, settled) = (*self.keep.lock(), self.ends.lock().settled);
        let is_done = |pair: &&[Segment]| {
            let too_old = pair[1].first_at.saturating_add(keep.millis) <= now;
            let too_much = settled.bytes.saturating_sub(pair[0].start.bytes) > keep.bytes;
            pair[1].start.offset <= settled.offset && (too_old || too_much)
        };
        let done = segments.windows(2).take_while(is_done).count();
        if done == 0 {
            return Ok(());
        }
        *self.segments.write() = segments[done..].into();
        for segment in &segments[..done] {
            guarded(&self.path, || db.drop_tree(segment.tree.name()))?;
            guarded(&self.path, || db.drop_tree(segment.parts.tree_name()))?;
            tracing::debug!(from = segment.start.offset, "dropped a settled part of the intake log");
        }
        Ok(())
    }

    /// Flushed records from offset `from` on, in order, until they have `bytes_max` bytes; at least one if there is one.
    pub(crate) fn read(&self, from: u64, bytes_max: u64) -> Result<Vec<IntakeRecord>, StateFault> {
        let end = *self.durable.borrow();
        let segments = self.segments.read().clone();
        let newer = segments.partition_point(|segment| segment.start.offset <= from).saturating_sub(1);
        let (mut records, mut next, mut bytes) = (Vec::new(), from, 0);
        for segment in &segments[newer..] {
            if next >= end {
                break;
            }
            let range = segment.tree.range(next.to_be_bytes()..end.to_be_bytes());
            for item in guarded_items(&self.path, range) {
                let record = decode(&segment.parts, item?)?;
                if record.offset != next {
                    return Err(self.missing(next));
                }
                next += 1;
                bytes += record.body.len() as u64;
                records.push(record);
                if bytes >= bytes_max {
                    return Ok(records);
                }
            }
        }
        if next < end { Err(self.missing(next)) } else { Ok(records) }
    }

    fn missing(&self, offset: u64) -> StateFault {
        let detail = format!("record {offset} of the intake log is missing");
        StateFault::Damaged { path: self.path.to_path_buf(), detail }
    }

    #[cfg(test)]
    pub(crate) fn segments(&self) -> Vec<u64> {
        self.segments.read().iter().map(|segment| segment.start.offset).collect()
    }
}

/// Removes an incomplete post. sled recovers a prefix of what was written, so only the last post can be cut, and only
/// at its end.
fn cut_incomplete(tree: &Tree, parts: &Parts, path: &Path) -> Result<(), StateFault> {
    let mut cut = 0;
    while let Some((key, value)) = guarded(path, || tree.last())? {
        if codec::decode::<Stored<Vec<u8>>>(TREE, &parts.whole(&key, &value)?)?.left == 0 {
            break;
        }
        guarded(path, || tree.remove(&key))?;
        parts.remove(&key, &value)?;
        cut += 1;
    }
    if cut > 0 {
        tracing::warn!(
            records = cut,
            "removed the beginning of a post that was being accepted when the process ended"
        );
    }
    Ok(())
}

/// Drops parts of segments that are gone: a crash can come between dropping the two.
fn drop_left_parts(db: &Database, path: &Path) -> Result<(), StateFault> {
    let names = db.tree_names();
    let left = names.iter().filter(|name| {
        let of = name.strip_suffix(parts::SUFFIX.as_bytes());
        of.is_some_and(|of| segment_start(of).is_some() && !names.iter().any(|name| name == of))
    });
    left.into_iter().try_for_each(|name| guarded(path, || db.drop_tree(name)).map(drop))
}

fn end(parts: &Parts, item: Option<(IVec, IVec)>) -> Result<Option<IntakeRecord>, StateFault> {
    item.map(|item| decode(parts, item)).transpose()
}

fn decode(parts: &Parts, (key, value): (IVec, IVec)) -> Result<IntakeRecord, StateFault> {
    decode_bare(&key, &parts.whole(&key, &value)?)
}

/// The offset at which the segment of this tree begins; none if the tree is no segment.
pub(crate) fn segment_start(tree: &[u8]) -> Option<u64> {
    std::str::from_utf8(tree).ok()?.strip_prefix(PREFIX)?.parse().ok()
}

/// The record under `key`, from its value without its envelope.
pub(crate) fn decode_bare(key: &[u8], value: &[u8]) -> Result<IntakeRecord, StateFault> {
    let undecodable = |_| StateFault::Undecodable { tree: TREE, detail: format!("key {key:?}") };
    let offset = u64::from_be_bytes(key.try_into().map_err(undecodable)?);
    let stored: Stored<Vec<u8>> = codec::decode(TREE, value)?;
    let next = IntakePlace { offset, bytes: stored.begin }.after(stored.body.len());
    Ok(IntakeRecord { offset, next, at: stored.at, body: Bytes::from(stored.body) })
}

impl IntakeRecord {
    /// The place of the record.
    pub(crate) fn place(&self) -> IntakePlace {
        IntakePlace { offset: self.offset, bytes: self.begin() }
    }

    fn begin(&self) -> u64 {
        self.next.bytes - IntakePlace::default().after(self.body.len()).bytes
    }
}
