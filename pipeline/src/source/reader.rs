//! Which file is read next: a configured path and what earlier runs left enter, blocks of bytes in log order leave,
//! across renames, copytruncate, compression and restarts. All calls block; none waits for more than a moment.
//!
//! What is guaranteed: the bytes of one file come in order and each once; a file's successor is begun only when the
//! file is at its end; bytes that cannot be found again are named and counted, never passed over in silence.

use std::{fs, io, path::PathBuf, sync::Arc, thread, time::Duration};

use state::Clock;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    FileCounts, FileOptions, OnUnknown, SourceFault,
    chain::Chain,
    mark::FileMark,
    search::{Search, Seen},
    siblings::Siblings,
    tail::{self, Found, Tail},
};

/// How often the directory is looked at while there is something to read: files that come and go meanwhile are known
/// then, and can be named.
const SURVEY_EVERY: Duration = Duration::from_secs(1);
/// How often a file is looked for that is not there, before it is gone: it may just be renamed.
const LOOKS: usize = 3;
/// How long between these looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Reads one file after the other.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) path: PathBuf,
    pub(super) follow: bool,
    pub(super) options: FileOptions,
    pub(super) counts: Arc<FileCounts>,
    pub(super) chain: Chain,
    search: Search,
    clock: Clock,
    /// Where to go on, until that is found.
    resume: Option<Resume>,
    /// Whether it is known where to begin.
    located: bool,
    /// None while there is nothing to read.
    tail: Option<Tail>,
    /// The epoch of the file that is read, or was read last.
    epoch: Option<u64>,
    /// Since when the file is known to have a successor with content, and has not grown itself.
    leaving: Option<Instant>,
    surveyed: Option<Instant>,
    missing_said: bool,
}

/// A checkpoint of this source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resume {
    pub(super) epoch: u64,
    pub(super) offset: u64,
    pub(super) mark: FileMark,
}

/// What came of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// So many bytes are in the block; they follow those before.
    Bytes(usize),
    /// Nothing; look again at once.
    Again,
    /// Nothing; look again after the poll interval.
    Quiet,
    /// What follows is another file, or the same begun anew: a line in progress ends here.
    NextFile,
    /// Nothing more will come.
    End,
}

/// What comes after a file.
enum Successor {
    /// Nothing yet.
    None,
    /// This one, at its beginning.
    Next(u64, Tail),
    /// The directory changed under the search: ask again.
    Unsettled,
}

impl Reader {
    pub(super) fn new(
        path: PathBuf,
        follow: bool,
        options: FileOptions,
        (chain, resume): (Chain, Option<Resume>),
        clock: Clock,
    ) -> Result<Self, SourceFault> {
        let siblings = Siblings::of(&path, &options.rotated, options.directory_entries_max)?;
        let search = Search::new(path.clone(), siblings);
        let counts = Arc::new(FileCounts::default());
        Ok(Self {
            path,
            follow,
            options,
            counts,
            chain,
            search,
            clock,
            resume,
            located: false,
            tail: None,
            epoch: None,
            leaving: None,
            surveyed: None,
            missing_said: false,
        })
    }

    /// The epoch, the position and the mark of what is read now; none while there is no file.
    pub(super) fn place(&self) -> Option<(u64, u64, &Arc<[u8]>)> {
        self.tail.as_ref().map(|tail| (self.epoch.unwrap_or(0), tail.position, tail.mark()))
    }

    /// One step: reads a block, or finds out why there is none.
    pub(super) fn turn(&mut self, block: &mut [u8], now: Instant) -> Result<Turn, SourceFault> {
        if !self.located {
            return self.locate();
        }
        let Some(tail) = &mut self.tail else { return self.go_on() };
        match tail.read(block)? {
            Found::Bytes(read) => {
                self.leaving = None;
                self.met();
                self.survey(now)?;
                Ok(Turn::Bytes(read))
            }
            Found::Truncated => self.truncated(),
            Found::Damaged(why) => Ok(self.damaged(&why)),
            Found::End => self.at_end(now),
        }
    }

    /// Finds the file to begin with.
    pub(super) fn locate(&mut self) -> Result<Turn, SourceFault> {
        let Some(Resume { epoch, offset, mark }) = self.resume else {
            if Tail::open(&self.path)?.is_none() && !self.follow {
                return Err(SourceFault::Missing { path: self.path.clone() });
            }
            if self.chain.directory().is_none() {
                self.search.settle_in(&mut self.chain, None)?;
            }
            self.located = true;
            return self.go_on();
        };
        if let Some(tail) = self.look_for(epoch, &mark, offset)? {
            self.take_up(tail, epoch, &mark)?;
            return Ok(Turn::NextFile);
        }
        let Some(current) = Tail::open(&self.path)? else {
            if !self.follow {
                return Err(SourceFault::Missing { path: self.path.clone() });
            }
            self.say_missing();
            return Ok(Turn::Quiet);
        };
        let copied = self.search.siblings.marked(&mark, 0, |tail| self.chain.is_another(tail, epoch))?;
        if copied.is_none_or(|copy| copy.inode == current.inode) {
            self.judge(&current, &mark, offset)?;
            self.lose(epoch, offset, "it is gone or was truncated, no rotated file continues it, and files after it may be gone too");
        }
        if self.chain.directory().is_none() {
            self.search.settle_in(&mut self.chain, None)?;
        }
        self.settle_at();
        (self.epoch, self.located) = (Some(epoch), true);
        self.go_on()
    }

    /// The file of `epoch`, which begins as `mark` says, at `offset`. Looked for several times: a rename can hide it.
    fn look_for(&self, epoch: u64, mark: &FileMark, offset: u64) -> Result<Option<Tail>, SourceFault> {
        for look in 0..LOOKS {
            if look > 0 {
                thread::park_timeout(LOOK_AGAIN);
            }
            if let Some(tail) = self.search.find(&self.chain, epoch, mark, offset)? {
                return Ok(Some(tail));
            }
        }
        Ok(None)
    }

    /// Goes on in `tail`, which a checkpoint stands in.
    fn take_up(&mut self, tail: Tail, epoch: u64, mark: &FileMark) -> Result<(), SourceFault> {
        let offset = tail.position;
        if tail.path() != self.path {
            info!(path = %self.path.display(), rotated = %tail.path().display(), offset, "the file was rotated while nobody read: its rest comes first");
        } else if !tail.is(mark) {
            info!(path = %self.path.display(), offset, "the log was moved or copied: it begins as the one that was read, and is read on from there");
        }
        if self.chain.directory().is_none() {
            self.search.settle_in(&mut self.chain, Some(&tail))?;
        }
        self.settle_at();
        (self.epoch, self.tail, self.located, self.missing_said) = (Some(epoch), Some(tail), true, false);
        self.met();
        Ok(())
    }

    /// Puts on record in which directory the log stands now.
    fn settle_at(&mut self) {
        if let Some(directory) = self.search.siblings.directory_inode() {
            self.chain.move_to(directory);
        }
    }

    /// Whether the log at the path may be read from its beginning, although it is not the one that was read.
    fn judge(&self, current: &Tail, mark: &FileMark, offset: u64) -> Result<(), SourceFault> {
        if self.options.on_unknown == OnUnknown::Begin {
            return Ok(());
        }
        if mark.is_full() && current.begins(mark) {
            let len = current.metadata()?.len();
            return Err(SourceFault::OlderCopy { path: self.path.clone(), len, offset });
        }
        let now = self.search.siblings.directory_inode();
        if self.chain.directory().is_some_and(|then| now.is_some_and(|now| now != then)) {
            return Err(SourceFault::UnknownFile { path: self.path.clone(), offset });
        }
        Ok(())
    }

    /// Goes on with the next file, when none is read.
    fn go_on(&mut self) -> Result<Turn, SourceFault> {
        match self.successor()? {
            Successor::Next(epoch, tail) => {
                self.enter(epoch, tail);
                Ok(Turn::NextFile)
            }
            Successor::Unsettled => Ok(Turn::Again),
            Successor::None if !self.follow => Ok(Turn::End),
            Successor::None => {
                if !self.path.exists() {
                    self.say_missing();
                }
                Ok(Turn::Quiet)
            }
        }
    }

    /// The next file of the chain that is there; those that are gone are lost.
    fn successor(&mut self) -> Result<Successor, SourceFault> {
        let mut from = self.epoch;
        loop {
            if self.chain.after(from).is_none() && self.discover()? == Seen::Unsettled {
                return Ok(Successor::Unsettled);
            }
            let Some((epoch, mark)) = self.chain.after(from) else { return Ok(Successor::None) };
            if let Some(tail) = self.look_for(epoch, &mark, 0)? {
                return Ok(Successor::Next(epoch, tail));
            }
            self.lose(epoch, 0, "it was gone before it was read");
            from = Some(epoch);
        }
    }

    fn discover(&mut self) -> Result<Seen, SourceFault> {
        let found = self.search.discover(&mut self.chain, self.tail.as_ref(), self.epoch)?;
        if found.undecided {
            self.counts.undecide();
        }
        for (epoch, from, what) in found.lost {
            self.lose(epoch, from, &what);
        }
        Ok(found.seen)
    }

    /// Looks for files that have come meanwhile, so that they are known if they go again.
    fn survey(&mut self, now: Instant) -> Result<(), SourceFault> {
        let due = self.surveyed.is_none_or(|last| now.saturating_duration_since(last) >= SURVEY_EVERY);
        if self.follow && due {
            self.surveyed = Some(now);
            if self.search.has_changed() {
                // What is not settled now will be at the next look.
                let _seen = self.discover()?;
            }
        }
        Ok(())
    }

    /// The file lost its content. A copy made before (copytruncate) may hold what was not yet read of it.
    fn truncated(&mut self) -> Result<Turn, SourceFault> {
        let Some(tail) = &mut self.tail else { return Ok(Turn::Again) };
        self.counts.truncation();
        self.leaving = None;
        let (lost, position, epoch) = (tail.identity(), tail.position, self.epoch.unwrap_or(0));
        let not = |tail: &Tail| self.chain.is_another(tail, epoch);
        let copies = &self.search.siblings;
        if let Some(copy) = copies.marked(&lost, position, not)? {
            info!(path = %tail.path().display(), copy = %copy.path().display(), position, "the file was truncated: its rest comes from its copy");
            self.tail = Some(copy);
            // The same bytes at the same offsets: neither the epoch nor a line in progress ends here.
            return Ok(Turn::Again);
        }
        let is_whole = copies.marked(&lost, 0, not)?.is_some();
        tail.restart()?;
        let (again, identity) = (tail.begins(&lost), tail.identity());
        if !is_whole {
            self.lose(epoch, position, "it was truncated, and no copy of it is found");
        }
        self.chain.leave(epoch, position);
        if again {
            // By its beginning it cannot be told from what it was: no search would find it.
            let fresh = self.chain.fresh(self.epoch);
            self.chain.meet(fresh, identity);
            self.epoch = Some(fresh);
        } else {
            self.tail = None;
        }
        Ok(Turn::NextFile)
    }

    /// The rest of a compressed file cannot be had.
    fn damaged(&mut self, why: &str) -> Turn {
        if let (Some(tail), Some(epoch)) = (self.tail.take(), self.epoch) {
            let what = format!("{} cannot be decompressed: {why}", tail.path().display());
            self.lose(epoch, tail.position, &what);
            self.chain.leave(epoch, tail.position);
        }
        Turn::NextFile
    }

    fn at_end(&mut self, now: Instant) -> Result<Turn, SourceFault> {
        let Some(tail) = &self.tail else { return Ok(Turn::Again) };
        let inode = tail.inode;
        let current = match fs::metadata(&self.path) {
            Ok(metadata) => Some(tail::inode(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(SourceFault::unreadable(&self.path, &error)),
        };
        if current == Some(inode) {
            (self.leaving, self.missing_said) = (None, false);
            return Ok(if self.follow { Turn::Quiet } else { Turn::End });
        }
        let (epoch, next) = match self.successor()? {
            Successor::Unsettled => return Ok(Turn::Again),
            Successor::None if !self.follow => return Ok(Turn::End),
            Successor::None => return self.without_successor(current.is_some(), now),
            Successor::Next(epoch, next) => (epoch, next),
        };
        // The end was seen before the successor's content was: what a writer appended in between, just before it
        // moved on, is there now. Look once more in any case.
        let Some(since) = self.leaving else {
            self.leaving = Some(now);
            return Ok(Turn::Again);
        };
        // Behind a successor that has been rotated itself nobody writes to this file any more.
        let wait = self.follow && current == Some(next.inode);
        if wait && now.saturating_duration_since(since) < self.options.rotate_wait {
            return Ok(Turn::Quiet);
        }
        self.enter(epoch, next);
        Ok(Turn::NextFile)
    }

    /// Waits where the file that was read is no more at the path, and no other is either: what `is_there` is its copy, or
    /// nothing is. A copy that has grown is gone on in, for whoever writes does so too.
    fn without_successor(&mut self, is_there: bool, now: Instant) -> Result<Turn, SourceFault> {
        if !is_there {
            self.say_missing();
            return Ok(Turn::Quiet);
        }
        let (Some(epoch), Some(copy)) = (self.epoch, self.grown_copy()?) else { return Ok(Turn::Quiet) };
        // As before any file is left, its end is looked at once more.
        if self.leaving.is_none() {
            self.leaving = Some(now);
            return Ok(Turn::Again);
        }
        info!(path = %self.path.display(), offset = copy.position, "the log was replaced by its copy: it is read on from there");
        self.chain.meet(epoch, copy.identity());
        (self.tail, self.leaving) = (Some(copy), None);
        // The same bytes at the same offsets: neither the epoch nor a line in progress ends here.
        Ok(Turn::Again)
    }

    /// The log at the path, if it is a copy of the file that is read and longer than that was.
    fn grown_copy(&self) -> Result<Option<Tail>, SourceFault> {
        let (Some(tail), Some(current)) = (&self.tail, Tail::open(&self.path)?) else { return Ok(None) };
        let mark = tail.identity();
        let is_copy = mark.is_full() && current.begins(&mark) && current.inode != tail.inode;
        if !is_copy || current.metadata()?.len() <= tail.position {
            return Ok(None);
        }
        let (mut current, offset) = (current, tail.position);
        Ok(current.reach(offset)?.then_some(current))
    }

    /// Leaves the file that was read, if there is one, for this one.
    fn enter(&mut self, epoch: u64, next: Tail) {
        if let (Some(left), Some(last)) = (&self.tail, self.epoch) {
            self.chain.leave(last, left.position);
        }
        if self.epoch.is_some() {
            info!(path = %next.path().display(), epoch, "the file was rotated: going on with the next");
            self.counts.rotation();
        }
        (self.tail, self.epoch) = (Some(next), Some(epoch));
        (self.leaving, self.missing_said) = (None, false);
        self.met();
    }

    /// Has the file put on record as far as its beginning is known.
    fn met(&mut self) {
        if let (Some(tail), Some(epoch)) = (&self.tail, self.epoch) {
            let known = self.chain.mark(epoch).map_or(0, |mark| mark.head_len());
            if tail.head_len() > known {
                self.chain.meet(epoch, tail.identity());
            }
        }
    }

    /// Bytes that will never be read: named and counted, once.
    fn lose(&mut self, epoch: u64, from: u64, why: &str) {
        if self.chain.lose(epoch, from, self.clock.now(), why) {
            self.counts.lose(epoch, from, why);
            warn!(path = %self.path.display(), epoch, from, why, "a file of the source is lost from this byte on: going on with the next");
        }
    }

    fn say_missing(&mut self) {
        if !self.missing_said {
            info!(path = %self.path.display(), "the file does not exist: waiting until it is created");
            self.missing_said = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write, path::Path};

    use state::SourceFiles;

    use super::*;

    fn append(path: &Path, content: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    /// The window between the last read of the old file and the first sight of the new one's content.
    #[test]
    fn the_old_file_is_looked_at_once_more_after_its_successor_was_seen() {
        let directory = tempfile::tempdir().unwrap();
        let [path, rotated] = ["log", "log.1"].map(|name| directory.path().join(name));
        append(&path, "a\n");
        for (follow, last) in [(true, Turn::Quiet), (false, Turn::End)] {
            let options = FileOptions { rotate_wait: Duration::ZERO, ..FileOptions::default() };
            let chain = Chain::new(SourceFiles::default(), 0);
            let mut reader =
                Reader::new(path.clone(), follow, options, (chain, None), Clock::System).unwrap();
            let (mut block, now) = ([0; 64], Instant::now());
            assert_eq!(reader.turn(&mut block, now).unwrap(), Turn::NextFile, "found");
            assert_eq!(reader.turn(&mut block, now).unwrap(), Turn::Bytes(2));
            fs::rename(&path, &rotated).unwrap();
            append(&path, "c\n");
            assert_eq!(reader.turn(&mut block, now).unwrap(), Turn::Again);
            append(&rotated, "b\n");
            assert_eq!(reader.turn(&mut block, now).unwrap(), Turn::Bytes(2));
            assert_eq!(&block[..2], b"b\n");
            assert_eq!(reader.turn(&mut block, now).unwrap(), Turn::Again);
            assert_eq!(reader.turn(&mut block, now).unwrap(), Turn::NextFile);
            assert_eq!(reader.turn(&mut block, now).unwrap(), Turn::Bytes(2));
            assert_eq!(reader.turn(&mut block, now).unwrap(), last);
        }
    }
}
