//! The known files of a source in the order of their content: which one is read next, and what has to be recorded
//! first. Pure.
//!
//! Guarantees: an epoch belongs to one file for ever. A known file never gets a second epoch. Nothing is read of a
//! file before it is among the entries to be recorded.

use std::collections::{BTreeMap, HashSet};

use state::{FileLoss, FileRecord, KnownFile, SourceDirectory, SourceFiles, UnixMillis};

use super::{
    mark::{FileMark, Inode},
    tail::Tail,
};

/// The most known files in memory, the last ones: more than can be read ahead of the checkpoint.
const KNOWN_FILES_MAX: usize = 131_072;

/// The known files of a source.
#[derive(Debug, Default)]
pub(super) struct KnownFiles {
    met: BTreeMap<u64, Known>,
    home: Option<SourceDirectory>,
    before: Vec<FileMark>,
    lost: HashSet<(u64, u64)>,
    unwritten: Vec<FileRecord>,
    /// The epoch of the first file ever.
    first: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    mark: FileMark,
    len: Option<u64>,
}

/// The identity of a found file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The known file of this epoch.
    Known(u64),
    /// A file older than the first one read.
    Older,
    /// A new file.
    New,
}

impl KnownFiles {
    /// The recorded chain; `first` is the epoch of the first file, if there is none yet.
    pub(super) fn new(files: SourceFiles, first: u64) -> Self {
        let known =
            |met: &KnownFile| Some((met.epoch, Known { mark: FileMark::decode(&met.mark)?, len: met.len }));
        Self {
            met: files.met.iter().filter_map(known).collect(),
            before: files
                .home
                .iter()
                .flat_map(|home| &home.before)
                .filter_map(|mark| FileMark::decode(mark))
                .collect(),
            home: files.home,
            lost: files.lost.iter().map(|loss| (loss.epoch, loss.from)).collect(),
            unwritten: Vec::new(),
            first,
        }
    }

    /// The recorded directory; none before the first run that records one.
    pub(super) fn directory(&self) -> Option<u64> {
        self.home.as_ref().map(|home| home.directory)
    }

    /// The first file ever read, for a run that was killed before anything was settled.
    pub(super) fn beginning(&self) -> Option<(u64, FileMark)> {
        self.met.first_key_value().map(|(epoch, known)| (*epoch, known.mark))
    }

    /// The mark of the file of `epoch`.
    pub(super) fn mark(&self, epoch: u64) -> Option<FileMark> {
        self.met.get(&epoch).map(|known| known.mark)
    }

    /// The file that is read after the one of `epoch`.
    pub(super) fn after(&self, epoch: Option<u64>) -> Option<(u64, FileMark)> {
        let from = epoch.map_or(0, |epoch| epoch.saturating_add(1));
        self.met.range(from..).next().map(|(epoch, known)| (*epoch, known.mark))
    }

    /// An unused epoch, after all others and after `floor`.
    pub(super) fn fresh(&self, floor: Option<u64>) -> u64 {
        let last = self.met.last_key_value().map(|(epoch, _)| *epoch).max(floor);
        last.map_or(self.first, |last| last.saturating_add(1))
    }

    /// Identifies `tail`: the file itself by inode and content; a copy by its content alone, with a complete
    /// fingerprint or, for a shorter file, all its bytes.
    pub(super) fn identify(&self, tail: &Tail) -> Identity {
        // The newest first, because an inode can be used again, and a truncated file uses its own again.
        if let Some((epoch, _)) = self.met.iter().rev().find(|(_, known)| tail.is(&known.mark)) {
            return Identity::Known(*epoch);
        }
        if self.before.iter().any(|mark| mark.head_len() > 0 && tail.is(mark)) {
            return Identity::Older;
        }
        let same =
            |mark: &FileMark| tail.begins(mark) && (mark.is_full() || mark.head_len() == tail.head_len());
        if let Some((epoch, _)) = self.met.iter().rev().find(|(_, known)| same(&known.mark)) {
            return Identity::Known(*epoch);
        }
        if self.before.iter().any(same) { Identity::Older } else { Identity::New }
    }

    /// Whether the unreadable file at `inode` is older than the first one read.
    pub(super) fn was_denied(&self, inode: Inode) -> bool {
        self.before.iter().any(|mark| mark.head_len() == 0 && mark.may_be(inode))
    }

    /// Whether `tail` is a different file that only looks like that of `epoch`: it is at another inode, and begins
    /// with all of that file's few bytes.
    pub(super) fn is_lookalike(&self, tail: &Tail, epoch: u64) -> bool {
        self.met.get(&epoch).is_some_and(|known| !tail.is(&known.mark) && !known.mark.is_full())
    }

    /// Whether `tail` is another file than that of `epoch`, by inode and content.
    pub(super) fn is_another(&self, tail: &Tail, epoch: u64) -> bool {
        let is = |known: &Known| tail.is(&known.mark);
        !self.met.get(&epoch).is_some_and(is) && self.met.values().any(is)
    }

    /// The length of the file of `epoch` when it was left.
    pub(super) fn left_at(&self, epoch: u64) -> Option<u64> {
        self.met.get(&epoch)?.len
    }

    /// Sets the mark of the file of `epoch`; it may cover more of the beginning than before.
    pub(super) fn meet(&mut self, epoch: u64, mark: FileMark) {
        let len = self.met.get(&epoch).and_then(|known| known.len);
        if mark.head_len() > 0 && self.mark(epoch) != Some(mark) {
            self.put(epoch, Known { mark, len });
        }
    }

    /// The file of `epoch` was read up to `len` and is left.
    pub(super) fn leave(&mut self, epoch: u64, len: u64) {
        if let Some(known) = self.met.get(&epoch).copied().filter(|known| known.len != Some(len)) {
            self.put(epoch, Known { len: Some(len), ..known });
        }
    }

    fn put(&mut self, epoch: u64, known: Known) {
        self.met.insert(epoch, known);
        if self.met.len() > KNOWN_FILES_MAX {
            self.met.pop_first();
        }
        let Known { mark, len } = known;
        self.unwritten.push(FileRecord::Known(KnownFile { epoch, mark: mark.encode().to_vec(), len }));
    }

    /// Sets the directory; the files `before` are never read.
    pub(super) fn set_directory(&mut self, directory: u64, before: Vec<FileMark>) {
        let home =
            SourceDirectory { directory, before: before.iter().map(|mark| mark.encode().to_vec()).collect() };
        self.before = before;
        self.home = Some(home.clone());
        self.unwritten.push(FileRecord::Directory(home));
    }

    /// Changes the directory.
    pub(super) fn move_to(&mut self, directory: u64) {
        if self.directory() != Some(directory) {
            self.set_directory(directory, self.before.clone());
        }
    }

    /// Records the bytes of the file of `epoch` from `from` on as lost. False if that was recorded already.
    pub(super) fn record_loss(&mut self, epoch: u64, from: u64, at: UnixMillis, what: &str) -> bool {
        let new = self.lost.insert((epoch, from));
        if new {
            self.unwritten.push(FileRecord::Lost(FileLoss { epoch, from, at, what: what.to_owned() }));
        }
        new
    }

    /// What must be recorded before anything more is emitted.
    pub(super) fn take_unwritten(&mut self) -> Vec<FileRecord> {
        std::mem::take(&mut self.unwritten)
    }
}
