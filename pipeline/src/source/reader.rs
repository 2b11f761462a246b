//! Which file is read next: a configured path and a checkpoint enter, blocks of bytes in log order leave, across
//! renames, copytruncate and restarts. All calls block; none waits.
//!
//! What is guaranteed: the bytes of one file come in order and each once; a file's successor is begun only when the
//! file is at its end; bytes that cannot be found again are warned of and counted, never passed over in silence.

use std::{fs, io, path::PathBuf, sync::Arc};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    FileCounts, FileOptions, SourceFault,
    mark::FileMark,
    rotation::{Siblings, Successor},
    tail::{self, Found, Tail},
};

/// Reads one file after the other.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) path: PathBuf,
    pub(super) follow: bool,
    pub(super) options: FileOptions,
    pub(super) counts: Arc<FileCounts>,
    siblings: Siblings,
    resume: Option<Resume>,
    /// None until there is a file.
    tail: Option<Tail>,
    epoch: u64,
    /// Since when the file is known to have a successor with content, and has not grown itself.
    leaving: Option<Instant>,
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

impl Reader {
    pub(super) fn new(
        path: PathBuf,
        follow: bool,
        options: FileOptions,
        resume: Option<Resume>,
    ) -> Result<Self, SourceFault> {
        let siblings = Siblings::of(&path, options.directory_entries_max)?;
        let counts = Arc::new(FileCounts::default());
        let (tail, leaving, missing_said) = (None, None, false);
        Ok(Self { path, follow, options, counts, siblings, resume, tail, epoch: 0, leaving, missing_said })
    }

    /// The epoch, the position and the mark of what is read now; none before there is a file.
    pub(super) fn place(&self) -> Option<(u64, u64, &Arc<[u8]>)> {
        self.tail.as_ref().map(|tail| (self.epoch, tail.position, tail.mark()))
    }

    /// One step: reads a block, or finds out why there is none.
    pub(super) fn turn(&mut self, block: &mut [u8], now: Instant) -> Result<Turn, SourceFault> {
        let Some(tail) = &mut self.tail else { return self.locate() };
        match tail.read(block)? {
            Found::Bytes(read) => {
                self.leaving = None;
                Ok(Turn::Bytes(read))
            }
            Found::Truncated => self.truncated(),
            Found::End => self.at_end(now),
        }
    }

    /// Finds the file to begin with.
    pub(super) fn locate(&mut self) -> Result<Turn, SourceFault> {
        let current = Tail::open(&self.path)?;
        let Some(Resume { epoch, offset, mark }) = self.resume else {
            return self.begin(current, 0);
        };
        if let Some(mut tail) = current {
            if tail.is(&mark, offset)? {
                tail.position = offset;
                return self.begin(Some(tail), epoch);
            }
            if let Some(rotated) = self.siblings.marked(&mark, offset)? {
                info!(path = %self.path.display(), rotated = %rotated.path().display(), offset, "the file was rotated while nobody read: its rest comes first");
                return self.begin(Some(rotated), epoch);
            }
            self.counts.gap();
            warn!(path = %self.path.display(), epoch, offset, "the file the checkpoint stands in is gone or truncated, and no rotated file continues it: whatever it held behind the checkpoint cannot be read; going on at the start of the present file");
            return self.begin(Some(tail), epoch + 1);
        }
        let rotated = self.siblings.marked(&mark, offset)?;
        self.begin(rotated, epoch)
    }

    fn begin(&mut self, tail: Option<Tail>, epoch: u64) -> Result<Turn, SourceFault> {
        if tail.is_none() {
            if !self.follow {
                return Err(SourceFault::Missing { path: self.path.clone() });
            }
            self.say_missing();
            return Ok(Turn::Quiet);
        }
        (self.tail, self.epoch, self.missing_said) = (tail, epoch, false);
        Ok(Turn::NextFile)
    }

    /// The file lost its content. A copy made before (copytruncate) may hold what was not yet read of it.
    fn truncated(&mut self) -> Result<Turn, SourceFault> {
        let Some(tail) = &mut self.tail else { return Ok(Turn::Again) };
        self.counts.truncation();
        self.leaving = None;
        let (lost, position) = (tail.identity(), tail.position);
        if let Some(copy) = self.siblings.marked(&lost, position)? {
            info!(path = %tail.path().display(), copy = %copy.path().display(), position, "the file was truncated: its rest comes from its copy");
            self.tail = Some(copy);
            // The same bytes at the same offsets: neither the epoch nor a line in progress ends here.
            return Ok(Turn::Again);
        }
        self.counts.gap();
        warn!(path = %tail.path().display(), epoch = self.epoch, position, "the file was truncated and no copy of it is found: whatever was appended behind this position before cannot be read; going on at its start");
        tail.restart()?;
        self.epoch += 1;
        Ok(Turn::NextFile)
    }

    fn at_end(&mut self, now: Instant) -> Result<Turn, SourceFault> {
        let Some(tail) = &self.tail else { return Ok(Turn::Again) };
        let current = match fs::metadata(&self.path) {
            Ok(metadata) => Some(tail::inode(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(SourceFault::unreadable(&self.path, &error)),
        };
        if current == Some(tail.inode) {
            (self.leaving, self.missing_said) = (None, false);
            return Ok(if self.follow { Turn::Quiet } else { Turn::End });
        }
        let (next, skipped, wait) = match self.siblings.after(tail, &self.path)? {
            Successor::Unsettled => return Ok(Turn::Again),
            Successor::None if !self.follow => return Ok(Turn::End),
            Successor::None => {
                if current.is_none() {
                    self.say_missing();
                }
                return Ok(Turn::Quiet);
            }
            // A successor that has been rotated itself: nobody writes to the file before it any more.
            Successor::Rotated { tail, skipped } => (tail, skipped, false),
            Successor::Current { tail, skipped } => (tail, skipped, self.follow),
        };
        // The end was seen before the successor's content was: what a writer appended in between, just before it
        // moved on, is there now. Look once more in any case.
        let Some(since) = self.leaving else {
            self.leaving = Some(now);
            return Ok(Turn::Again);
        };
        if wait && now.saturating_duration_since(since) < self.options.rotate_wait {
            return Ok(Turn::Quiet);
        }
        self.move_on(next, &skipped);
        Ok(Turn::NextFile)
    }

    fn move_on(&mut self, next: Tail, skipped: &[PathBuf]) {
        for path in skipped {
            self.counts.gap();
            warn!(path = %path.display(), "a rotated file was compressed before it was read: it is skipped; rotate with a delay before compressing");
        }
        info!(path = %next.path().display(), epoch = self.epoch + 1, "the file was rotated: going on with the next");
        self.counts.rotation();
        (self.tail, self.leaving, self.missing_said) = (Some(next), None, false);
        self.epoch += 1;
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
            let options = FileOptions { rotate_wait: std::time::Duration::ZERO, ..FileOptions::default() };
            let mut reader = Reader::new(path.clone(), follow, options, None).unwrap();
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
