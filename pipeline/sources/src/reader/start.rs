//! Finds where reading starts: the checkpoint's file under its current name, or the log at the path, if that may be
//! read from its beginning; otherwise the run is refused.

use std::thread;

use tracing::info;

use super::{FIND_PAUSE, FIND_TRIES, Reader, Resume, Step};
use crate::{OnUnknown, ReadFault, mark::FileMark, tail::Tail};

impl Reader {
    /// Finds the file to start with.
    pub(crate) fn locate(&mut self) -> Result<Step, ReadFault> {
        let Some(Resume { epoch, offset, mark }) = self.resume else {
            if Tail::open(&self.path)?.is_none() && !self.follow {
                return Err(ReadFault::Missing { path: self.path.clone() });
            }
            if self.known_files.directory().is_none() {
                self.search.record_start(&mut self.known_files, None)?;
            }
            self.located = true;
            return self.next_file();
        };
        if let Some(tail) = self.look_for(epoch, &mark, offset)? {
            self.resume_in(tail, epoch, &mark)?;
            return Ok(Step::NextFile);
        }
        let Some(current) = Tail::open(&self.path)? else {
            if !self.follow {
                return Err(ReadFault::Missing { path: self.path.clone() });
            }
            self.log_missing();
            return Ok(Step::Idle);
        };
        let copied =
            self.search.siblings.marked(&mark, 0, |tail| self.known_files.is_another(tail, epoch))?;
        if copied.is_none_or(|copy| copy.inode == current.inode) {
            self.check_unknown(&current, &mark, offset)?;
            self.record_loss(epoch, offset, "it is gone or was truncated, no rotated file continues it, and files after it may be gone too");
        }
        if self.known_files.directory().is_none() {
            self.search.record_start(&mut self.known_files, None)?;
        }
        self.record_directory();
        (self.epoch, self.located) = (Some(epoch), true);
        self.next_file()
    }

    /// The file of `epoch` with `mark`, at `offset`. Searched several times, because a rename can hide it.
    pub(super) fn look_for(
        &self,
        epoch: u64,
        mark: &FileMark,
        offset: u64,
    ) -> Result<Option<Tail>, ReadFault> {
        for look in 0..FIND_TRIES {
            if look > 0 {
                thread::park_timeout(FIND_PAUSE);
            }
            if let Some(tail) = self.search.find(&self.known_files, epoch, mark, offset)? {
                return Ok(Some(tail));
            }
        }
        Ok(None)
    }

    /// Resumes in `tail`, which contains the checkpoint.
    fn resume_in(&mut self, tail: Tail, epoch: u64, mark: &FileMark) -> Result<(), ReadFault> {
        let offset = tail.position;
        if tail.path() != self.path {
            info!(path = %self.path.display(), rotated = %tail.path().display(), offset, "the file was rotated while nobody read: its rest comes first");
        } else if !tail.is(mark) {
            info!(path = %self.path.display(), offset, "the log was moved or copied: it begins as the one that was read, and is read on from there");
        }
        if self.known_files.directory().is_none() {
            self.search.record_start(&mut self.known_files, Some(&tail))?;
        }
        self.record_directory();
        (self.epoch, self.tail, self.located, self.missing_logged) = (Some(epoch), Some(tail), true, false);
        self.record_head();
        Ok(())
    }

    /// Records the log's current directory.
    fn record_directory(&mut self) {
        if let Some(directory) = self.search.siblings.directory_inode() {
            self.known_files.move_to(directory);
        }
    }

    /// Whether the log at the path may be read from its beginning, although it is not the one that was read.
    fn check_unknown(&self, current: &Tail, mark: &FileMark, offset: u64) -> Result<(), ReadFault> {
        if self.options.on_unknown == OnUnknown::Begin {
            return Ok(());
        }
        if mark.is_full() && current.begins(mark) {
            let len = current.metadata()?.len();
            return Err(ReadFault::OlderCopy { path: self.path.clone(), len, offset });
        }
        let now = self.search.siblings.directory_inode();
        if self.known_files.directory().is_some_and(|then| now.is_some_and(|now| now != then)) {
            return Err(ReadFault::UnknownFile { path: self.path.clone(), offset });
        }
        Ok(())
    }
}
