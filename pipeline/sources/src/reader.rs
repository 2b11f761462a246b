//! Reads the files of a log one after the other, as blocks of bytes in log order, across renames, copytruncate,
//! compression and restarts. All calls block; none waits for more than a moment.
//!
//! Guarantees: the bytes of one file come in order and each once. The next file is begun only at the end of the one
//! before. Bytes that cannot be found again are named and counted, never skipped silently.

mod replaced;
mod start;
#[cfg(test)]
mod tests;

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use state::Clock;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    FileCounts, FileOptions, ReadFault,
    known_files::KnownFiles,
    mark::FileMark,
    search::{Scan, Search},
    siblings::Siblings,
    tail::{self, Found, Tail},
};

/// How often the directory is scanned while there is something to read, so that files that come and go meanwhile are
/// known.
const SCAN_EVERY: Duration = Duration::from_secs(1);
/// How often a missing file is searched before it counts as gone: it may just be being renamed.
const FIND_TRIES: usize = 3;
/// The pause between these searches.
const FIND_PAUSE: Duration = Duration::from_millis(20);

/// Reads one file after the other.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) path: PathBuf,
    pub(super) follow: bool,
    pub(super) options: FileOptions,
    pub(super) counts: Arc<FileCounts>,
    pub(super) known_files: KnownFiles,
    search: Search,
    clock: Clock,
    /// The checkpoint to resume at, until it is found.
    resume: Option<Resume>,
    /// Whether the starting point is known.
    located: bool,
    /// None while there is nothing to read.
    tail: Option<Tail>,
    /// The epoch of the file that is read, or was read last.
    epoch: Option<u64>,
    /// Since when the file has a successor with content and has not grown itself.
    leaving: Option<Instant>,
    scanned_at: Option<Instant>,
    missing_logged: bool,
}

/// A checkpoint of this source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resume {
    pub(super) epoch: u64,
    pub(super) offset: u64,
    pub(super) mark: FileMark,
}

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This many bytes are in the block; they follow those before.
    Bytes(usize),
    /// Nothing; call again at once.
    Retry,
    /// Nothing; call again after the poll interval.
    Idle,
    /// Another file follows, or the same one from its beginning: a line in progress ends here.
    NextFile,
    /// The source has ended.
    End,
}

/// The file after the current one.
enum Successor {
    /// Nothing yet.
    None,
    /// This one, at its beginning.
    Next(u64, Tail),
    /// The directory changed during the search: search again.
    Changing,
}

impl Reader {
    pub(super) fn new(
        path: PathBuf,
        follow: bool,
        options: FileOptions,
        (known_files, resume): (KnownFiles, Option<Resume>),
        clock: Clock,
    ) -> Result<Self, ReadFault> {
        let siblings = Siblings::of(&path, &options.rotated, options.directory_entries_max)?;
        let search = Search::new(path.clone(), siblings);
        let counts = Arc::new(FileCounts::default());
        Ok(Self {
            path,
            follow,
            options,
            counts,
            known_files,
            search,
            clock,
            resume,
            located: false,
            tail: None,
            epoch: None,
            leaving: None,
            scanned_at: None,
            missing_logged: false,
        })
    }

    /// The current epoch, position and mark; none while there is no file.
    pub(super) fn place(&self) -> Option<(u64, u64, &Arc<[u8]>)> {
        self.tail.as_ref().map(|tail| (self.epoch.unwrap_or(0), tail.position, tail.mark()))
    }

    /// One step: reads a block, or finds out why there is none.
    pub(super) fn step(&mut self, block: &mut [u8], now: Instant) -> Result<Step, ReadFault> {
        if !self.located {
            return self.locate();
        }
        let Some(tail) = &mut self.tail else { return self.next_file() };
        match tail.read(block)? {
            Found::Bytes(read) => {
                self.leaving = None;
                self.record_head();
                self.scan_directory(now)?;
                Ok(Step::Bytes(read))
            }
            Found::Truncated => self.truncated(),
            Found::Damaged(why) => Ok(self.damaged(&why)),
            Found::End => self.at_end(now),
        }
    }

    /// Opens the next file, when none is open.
    fn next_file(&mut self) -> Result<Step, ReadFault> {
        match self.successor()? {
            Successor::Next(epoch, tail) => {
                self.enter(epoch, tail);
                Ok(Step::NextFile)
            }
            Successor::Changing => Ok(Step::Retry),
            Successor::None if !self.follow => Ok(Step::End),
            Successor::None => {
                if !self.path.exists() {
                    self.log_missing();
                }
                Ok(Step::Idle)
            }
        }
    }

    /// The next existing file of the chain; missing ones are recorded as lost.
    fn successor(&mut self) -> Result<Successor, ReadFault> {
        let mut from = self.epoch;
        loop {
            if self.known_files.after(from).is_none() && self.discover()? == Scan::Changing {
                return Ok(Successor::Changing);
            }
            let Some((epoch, mark)) = self.known_files.after(from) else { return Ok(Successor::None) };
            if let Some(tail) = self.look_for(epoch, &mark, 0)? {
                return Ok(Successor::Next(epoch, tail));
            }
            self.record_loss(epoch, 0, "it was gone before it was read");
            from = Some(epoch);
        }
    }

    fn discover(&mut self) -> Result<Scan, ReadFault> {
        let found = self.search.discover(&mut self.known_files, self.tail.as_ref(), self.epoch)?;
        if found.undecided {
            self.counts.undecide();
        }
        for (epoch, from, what) in found.lost {
            self.record_loss(epoch, from, &what);
        }
        Ok(found.seen)
    }

    /// Searches for new files, so that they are known even if they disappear again.
    fn scan_directory(&mut self, now: Instant) -> Result<(), ReadFault> {
        let due = self.scanned_at.is_none_or(|last| now.saturating_duration_since(last) >= SCAN_EVERY);
        if self.follow && due {
            self.scanned_at = Some(now);
            if self.search.has_changed() {
                // A change during the scan is found by the next one.
                let _seen = self.discover()?;
            }
        }
        Ok(())
    }

    fn at_end(&mut self, now: Instant) -> Result<Step, ReadFault> {
        let Some(tail) = &self.tail else { return Ok(Step::Retry) };
        let inode = tail.inode;
        let current = match fs::metadata(&self.path) {
            Ok(metadata) => Some(tail::inode(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(ReadFault::unreadable(&self.path, &error)),
        };
        if current == Some(inode) {
            (self.leaving, self.missing_logged) = (None, false);
            return Ok(if self.follow { Step::Idle } else { Step::End });
        }
        let (epoch, next) = match self.successor()? {
            Successor::Changing => return Ok(Step::Retry),
            Successor::None if !self.follow => return Ok(Step::End),
            Successor::None => return self.without_successor(current.is_some(), now),
            Successor::Next(epoch, next) => (epoch, next),
        };
        // The end was reached before the successor had content. The writer may have appended just before it moved on,
        // so read once more.
        let Some(since) = self.leaving else {
            self.leaving = Some(now);
            return Ok(Step::Retry);
        };
        // If the successor itself was rotated, nobody writes to this file any more.
        let wait = self.follow && current == Some(next.inode);
        if wait && now.saturating_duration_since(since) < self.options.rotate_wait {
            return Ok(Step::Idle);
        }
        self.enter(epoch, next);
        Ok(Step::NextFile)
    }

    /// Handles a file that is no longer at the path and has no successor there: `is_there` says that a copy of it is.
    /// A copy that has grown is read on, because the writer uses it.
    fn without_successor(&mut self, is_there: bool, now: Instant) -> Result<Step, ReadFault> {
        if !is_there {
            self.log_missing();
            return Ok(Step::Idle);
        }
        let (Some(epoch), Some(copy)) = (self.epoch, self.grown_copy()?) else { return Ok(Step::Idle) };
        // As before leaving any file, read its end once more.
        if self.leaving.is_none() {
            self.leaving = Some(now);
            return Ok(Step::Retry);
        }
        info!(path = %self.path.display(), offset = copy.position, "the log was replaced by its copy: it is read on from there");
        self.known_files.meet(epoch, copy.identity());
        (self.tail, self.leaving) = (Some(copy), None);
        // The same bytes at the same offsets: neither the epoch nor a line in progress ends here.
        Ok(Step::Retry)
    }

    /// Leaves the current file, if there is one, for this one.
    fn enter(&mut self, epoch: u64, next: Tail) {
        if let (Some(left), Some(last)) = (&self.tail, self.epoch) {
            self.known_files.leave(last, left.position);
        }
        if self.epoch.is_some() {
            info!(path = %next.path().display(), epoch, "the file was rotated: going on with the next");
            self.counts.rotation();
        }
        (self.tail, self.epoch) = (Some(next), Some(epoch));
        (self.leaving, self.missing_logged) = (None, false);
        self.record_head();
    }

    /// Records the file with the known part of its beginning.
    fn record_head(&mut self) {
        if let (Some(tail), Some(epoch)) = (&self.tail, self.epoch) {
            let known = self.known_files.mark(epoch).map_or(0, |mark| mark.head_len());
            if tail.head_len() > known {
                self.known_files.meet(epoch, tail.identity());
            }
        }
    }

    /// Records bytes that will never be read: logged and counted, once.
    fn record_loss(&mut self, epoch: u64, from: u64, why: &str) {
        if self.known_files.record_loss(epoch, from, self.clock.now(), why) {
            self.counts.record_loss(epoch, from, why);
            warn!(path = %self.path.display(), epoch, from, why, "a file of the source is lost from this byte on: going on with the next");
        }
    }

    fn log_missing(&mut self) {
        if !self.missing_logged {
            info!(path = %self.path.display(), "the file does not exist: waiting until it is created");
            self.missing_logged = true;
        }
    }
}
