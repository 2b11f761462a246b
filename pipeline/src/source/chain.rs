//! The files of a source in the order of their content: what is on record of them enters, the next one to read leaves,
//! and what has to be put on record meanwhile. Pure.
//!
//! Guarantees: an epoch is one file's for ever; a file that is known is never given a second epoch; nothing is handed
//! out of a file before it is among what is to be recorded.

use std::collections::{BTreeMap, HashSet};

use state::{FileLoss, FileRecord, Home, MetFile, SourceFiles, UnixMillis};

use super::{
    mark::{FileMark, Inode},
    tail::Tail,
};

/// The most files that are known in memory, the last ones: more than can be read ahead of the checkpoint.
const MET_MAX: usize = 131_072;

/// The files that were met.
#[derive(Debug, Default)]
pub(super) struct Chain {
    met: BTreeMap<u64, Known>,
    home: Option<Home>,
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

/// Which file one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one of this epoch.
    Met(u64),
    /// One that is older than the first that was read.
    Before,
    /// One that was never met.
    New,
}

impl Chain {
    /// The chain that is on record; `first` is the epoch of the first file, if there is none as yet.
    pub(super) fn new(files: SourceFiles, first: u64) -> Self {
        let known =
            |met: &MetFile| Some((met.epoch, Known { mark: FileMark::decode(&met.mark)?, len: met.len }));
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

    /// The directory that is on record; none before the first run that records one.
    pub(super) fn directory(&self) -> Option<u64> {
        self.home.as_ref().map(|home| home.directory)
    }

    /// Where the first file begins that was ever read, for a run that was killed before anything was settled.
    pub(super) fn beginning(&self) -> Option<(u64, FileMark)> {
        self.met.first_key_value().map(|(epoch, known)| (*epoch, known.mark))
    }

    /// What is known of the file of `epoch`.
    pub(super) fn mark(&self, epoch: u64) -> Option<FileMark> {
        self.met.get(&epoch).map(|known| known.mark)
    }

    /// The file that is read after the one of `epoch`.
    pub(super) fn after(&self, epoch: Option<u64>) -> Option<(u64, FileMark)> {
        let from = epoch.map_or(0, |epoch| epoch.saturating_add(1));
        self.met.range(from..).next().map(|(epoch, known)| (*epoch, known.mark))
    }

    /// An epoch that no file has, behind all others and behind `floor`.
    pub(super) fn fresh(&self, floor: Option<u64>) -> u64 {
        let last = self.met.last_key_value().map(|(epoch, _)| *epoch).max(floor);
        last.map_or(self.first, |last| last.saturating_add(1))
    }

    /// Which file `tail` is. The file itself is found by inode and content. A copy is known by its content alone: by a
    /// whole fingerprint, or, of a file that is shorter than one, by all its bytes.
    pub(super) fn which(&self, tail: &Tail) -> Which {
        // The newest first: an inode can be used again, and by a truncated file it is.
        if let Some((epoch, _)) = self.met.iter().rev().find(|(_, known)| tail.is(&known.mark)) {
            return Which::Met(*epoch);
        }
        if self.before.iter().any(|mark| mark.head_len() > 0 && tail.is(mark)) {
            return Which::Before;
        }
        let same =
            |mark: &FileMark| tail.begins(mark) && (mark.is_full() || mark.head_len() == tail.head_len());
        if let Some((epoch, _)) = self.met.iter().rev().find(|(_, known)| same(&known.mark)) {
            return Which::Met(*epoch);
        }
        if self.before.iter().any(same) { Which::Before } else { Which::New }
    }

    /// Whether the file at `inode`, which may not be opened, was one of those before the first.
    pub(super) fn was_denied(&self, inode: Inode) -> bool {
        self.before.iter().any(|mark| mark.head_len() == 0 && mark.may_be(inode))
    }

    /// Whether `tail` only looks like the file of `epoch`, which is left or being read: it begins with all the bytes of
    /// that one, which are few, and is at another inode.
    pub(super) fn is_lookalike(&self, tail: &Tail, epoch: u64) -> bool {
        self.met.get(&epoch).is_some_and(|known| !tail.is(&known.mark) && !known.mark.is_full())
    }

    /// Whether `tail` is, by inode and content, another file than the one of `epoch`.
    pub(super) fn is_another(&self, tail: &Tail, epoch: u64) -> bool {
        let is = |known: &Known| tail.is(&known.mark);
        !self.met.get(&epoch).is_some_and(is) && self.met.values().any(is)
    }

    /// How far the file of `epoch` had been read when it was left.
    pub(super) fn left_at(&self, epoch: u64) -> Option<u64> {
        self.met.get(&epoch)?.len
    }

    /// The file of `epoch` is `mark`'s, which may know more of its beginning than before.
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
        if self.met.len() > MET_MAX {
            self.met.pop_first();
        }
        let Known { mark, len } = known;
        self.unwritten.push(FileRecord::Met(MetFile { epoch, mark: mark.encode().to_vec(), len }));
    }

    /// The files stand in `directory`; `before` are those that are never read.
    pub(super) fn settle_in(&mut self, directory: u64, before: Vec<FileMark>) {
        let home = Home { directory, before: before.iter().map(|mark| mark.encode().to_vec()).collect() };
        self.before = before;
        self.home = Some(home.clone());
        self.unwritten.push(FileRecord::Home(home));
    }

    /// The files stand in `directory` now.
    pub(super) fn move_to(&mut self, directory: u64) {
        if self.directory() != Some(directory) {
            self.settle_in(directory, self.before.clone());
        }
    }

    /// The bytes of the file of `epoch` behind `from` are lost. False if that was known.
    pub(super) fn lose(&mut self, epoch: u64, from: u64, at: UnixMillis, what: &str) -> bool {
        let new = self.lost.insert((epoch, from));
        if new {
            self.unwritten.push(FileRecord::Lost(FileLoss { epoch, from, at, what: what.to_owned() }));
        }
        new
    }

    /// What has to be on record before anything more is handed out.
    pub(super) fn take_unwritten(&mut self) -> Vec<FileRecord> {
        std::mem::take(&mut self.unwritten)
    }
}
