//! Finds the files of a log: a wanted one by its mark, and new ones, which are put into the chain in the order in
//! which they were written. All calls block.
//!
//! The order is that of the names. If the names do not decide it, it is that of the last changes, and that is logged.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use tracing::{info, warn};

use super::{
    ReadFault,
    known_files::{Identity, KnownFiles},
    mark::{FileMark, Inode},
    siblings::{Sibling, Siblings},
    tail::{self, Tail},
};

/// The most rotated files that are stored as older than the first one read: the newest ones.
const BEFORE_MAX: usize = 512;
/// The most files whose identity is cached, so that they need not be opened at each scan.
const IDENTIFIED_MAX: usize = 4_096;

/// Searches a log's directory.
#[derive(Debug)]
pub(super) struct Search {
    path: PathBuf,
    pub(super) siblings: Siblings,
    /// The identities of files that have not changed since they were read.
    judged: HashMap<Stamp, Identity>,
    /// Unreadable files that have been logged.
    told: HashSet<u64>,
    /// The log at the last scan.
    live: Option<(Inode, u64)>,
}

/// An inode, a size and a last change: equal if a file has not changed.
type Stamp = (u64, u64, (i64, i64));

/// Whether a scan is reliable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    Complete,
    /// A file was renamed meanwhile.
    Changing,
}

/// The result of a scan.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) seen: Scan,
    /// Whether the names did not decide the order.
    pub(super) undecided: bool,
    /// Bytes that cannot be read: epoch, first byte, and why.
    pub(super) lost: Vec<(u64, u64, String)>,
}

/// The last read file and its place among the others.
#[derive(Clone, Copy)]
struct Last<'t> {
    tail: Option<&'t Tail>,
    epoch: Option<u64>,
}

/// New files, as they are found.
#[derive(Default)]
struct Found {
    new: Vec<(Sibling, FileMark)>,
    /// Those that cannot be decompressed.
    unreadable: Vec<Sibling>,
    /// Those that cannot be opened.
    denied: Vec<(Sibling, ReadFault)>,
    /// The one that was read last.
    last: Option<Sibling>,
    lost: Vec<(u64, u64, String)>,
    is_changing: bool,
}

impl Search {
    pub(super) fn new(path: PathBuf, siblings: Siblings) -> Self {
        Self { path, siblings, judged: HashMap::new(), told: HashSet::new(), live: None }
    }

    /// The file of `epoch` with `mark`, at `offset`, which it must reach. The file itself is preferred to its copies.
    pub(super) fn find(
        &self,
        known_files: &KnownFiles,
        epoch: u64,
        mark: &FileMark,
        offset: u64,
    ) -> Result<Option<Tail>, ReadFault> {
        let not = |tail: &Tail| known_files.is_another(tail, epoch);
        let mut current = Tail::open(&self.path)?.filter(|tail| !not(tail));
        let reaches = match &mut current {
            Some(tail) => (tail.is(mark) || tail.begins(mark)) && tail.reach(offset)?,
            None => false,
        };
        let current = current.filter(|_| reaches);
        if current.as_ref().is_some_and(|current| current.is(mark)) {
            return Ok(current);
        }
        let rotated = self.siblings.marked(mark, offset, not)?;
        // With a short fingerprint, a rotated file is more likely than a moved one.
        if rotated.as_ref().is_some_and(|rotated| rotated.is(mark) || !mark.is_full()) {
            return Ok(rotated);
        }
        Ok(current.or(rotated))
    }

    /// Stores the rotated files that are never read: those older than `first`, or all.
    pub(super) fn record_start(
        &self,
        known_files: &mut KnownFiles,
        first: Option<&Tail>,
    ) -> Result<(), ReadFault> {
        let Some(directory) = self.siblings.directory_inode() else { return Ok(()) };
        let listed = match self.siblings.list() {
            // A fault is reported when the first rotated file is searched.
            Err(ReadFault::CrowdedDirectory { .. }) if first.is_none() => Vec::new(),
            listed => listed?,
        };
        let first = first.filter(|first| first.path() != self.path);
        let last = first.and_then(|first| listed.iter().find(|sibling| sibling.path == first.path()));
        let mut before = Vec::new();
        for sibling in listed.iter().filter(|sibling| sibling.rank.is_some() && sibling.size > 0) {
            if first.is_some_and(|first| first.inode == sibling.inode)
                || last.is_some_and(|last| sibling.written(last) != Ordering::Less)
            {
                continue;
            }
            match sibling.open() {
                Ok(Some(tail)) => before.push((sibling.changed, tail.identity())),
                Ok(None) => {}
                // It cannot be opened, and need not be.
                Err(_) => before.push((sibling.changed, FileMark::new(sibling.inode, &[]))),
            }
        }
        if !before.is_empty() {
            info!(path = %self.path.display(), files = before.len(), "rotated files are older than what is read first, and are not read");
        }
        before.sort_by_key(|(changed, _)| *changed);
        let older = before.len().saturating_sub(BEFORE_MAX);
        known_files.set_directory(directory, before.drain(older..).map(|(_, mark)| mark).collect());
        Ok(())
    }

    /// Whether the log was rotated or truncated since the last call.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = fs::metadata(&self.path).ok().map(|live| (tail::inode(&live), live.len()));
        let before = std::mem::replace(&mut self.live, now);
        match (before, now) {
            (Some((inode, len)), Some((now, grown))) => inode != now || grown < len,
            (before, now) => before.is_some() || now.is_some(),
        }
    }

    /// Appends every new file to the chain: the rotated ones that are not older than the last read one, and then the
    /// log itself.
    pub(super) fn discover(
        &mut self,
        known_files: &mut KnownFiles,
        tail: Option<&Tail>,
        epoch: Option<u64>,
    ) -> Result<Discovery, ReadFault> {
        let last = Last { tail, epoch };
        // Opened before the directory is read, so that a file that is renamed in between is found as a rotated one.
        let current = Tail::open(&self.path)?;
        let nothing = Discovery { seen: Scan::Complete, undecided: false, lost: Vec::new() };
        if tail.is_some_and(|tail| current.as_ref().is_some_and(|current| current.inode == tail.inode)) {
            return Ok(nothing);
        }
        let listed = match self.siblings.list() {
            // Rotated files before the first file are not read.
            Err(ReadFault::CrowdedDirectory { .. }) if epoch.is_none() => Vec::new(),
            listed => listed?,
        };
        let is_rotated = |current: &Tail| listed.iter().any(|sibling| sibling.inode == current.inode);
        if current.as_ref().is_some_and(is_rotated) {
            return Ok(Discovery { seen: Scan::Changing, ..nothing });
        }
        let found = self.look(known_files, &listed, last)?;
        if found.is_changing {
            return Ok(Discovery { seen: Scan::Changing, ..nothing });
        }
        let mut discovery = self.enter(known_files, found, last)?;
        if let Some(current) = current.filter(|current| current.head_len() > 0) {
            match known_files.identify(&current) {
                Identity::New | Identity::Older => {
                    known_files.meet(known_files.fresh(epoch), current.identity());
                }
                Identity::Known(met) if Some(met) <= epoch && known_files.is_lookalike(&current, met) => {
                    known_files.meet(known_files.fresh(epoch), current.identity());
                }
                Identity::Known(met) => {
                    discovery.lost.extend(grown(
                        known_files,
                        met,
                        epoch,
                        &current,
                        current.metadata()?.len(),
                    ));
                }
            }
        }
        Ok(discovery)
    }

    /// Identifies the files.
    fn look(
        &mut self,
        known_files: &KnownFiles,
        listed: &[Sibling],
        last: Last<'_>,
    ) -> Result<Found, ReadFault> {
        let mut found = Found::default();
        if self.judged.len() > IDENTIFIED_MAX {
            self.judged.clear();
        }
        for sibling in listed.iter().filter(|sibling| sibling.rank.is_some() && sibling.size > 0) {
            if last.tail.is_some_and(|tail| tail.inode == sibling.inode) {
                found.last = Some(sibling.clone());
                continue;
            }
            if listed.iter().any(|other| sibling.is_compressed_copy_of(other)) {
                continue;
            }
            let Some(which) = self.identify(known_files, sibling, last, &mut found)? else { continue };
            if found.is_changing {
                return Ok(found);
            }
            if found.last.is_none() && last.epoch.is_some_and(|epoch| which == Identity::Known(epoch)) {
                found.last = Some(sibling.clone());
            }
        }
        Ok(found)
    }

    /// The identity of a file; none if it is unknown or not needed.
    fn identify(
        &mut self,
        known_files: &KnownFiles,
        sibling: &Sibling,
        last: Last<'_>,
        found: &mut Found,
    ) -> Result<Option<Identity>, ReadFault> {
        let stamp = (sibling.inode.number, sibling.size, sibling.changed);
        if let Some(which) = self.judged.get(&stamp) {
            return Ok(Some(*which));
        }
        let tail = match sibling.open() {
            Ok(tail) => tail,
            Err(_) if known_files.was_denied(sibling.inode) => return Ok(Some(Identity::Older)),
            Err(fault) => {
                found.denied.push((sibling.clone(), fault));
                return Ok(None);
            }
        };
        let Some(tail) = tail else {
            if sibling.path.exists() {
                found.unreadable.push(sibling.clone());
                return Ok(None);
            }
            found.is_changing = true;
            return Ok(Some(Identity::New));
        };
        if tail.inode != sibling.inode {
            found.is_changing = true;
        }
        let which = known_files.identify(&tail);
        match which {
            Identity::New if tail.head_len() == 0 => return Ok(None),
            Identity::New => found.new.push((sibling.clone(), tail.identity())),
            Identity::Known(met) => {
                found.lost.extend(grown(known_files, met, last.epoch, &tail, sibling.size));
            }
            Identity::Older => {}
        }
        if which != Identity::New {
            self.judged.insert(stamp, which);
        }
        Ok(Some(which))
    }

    /// Appends the found files to the chain, in order.
    fn enter(
        &mut self,
        known_files: &mut KnownFiles,
        found: Found,
        last: Last<'_>,
    ) -> Result<Discovery, ReadFault> {
        let Found { mut new, mut unreadable, denied, last: place, mut lost, .. } = found;
        let is_older = |sibling: &Sibling| {
            let place = place.as_ref().and_then(|place| sibling.rank.as_ref()?.written(place.rank.as_ref()?));
            place == Some(Ordering::Less)
        };
        new.retain(|(sibling, _)| !is_older(sibling));
        if let Some((_, fault)) = denied.into_iter().find(|(sibling, _)| !is_older(sibling)) {
            return Err(fault);
        }
        let undecided = !is_decided(&new);
        new.sort_by(|(one, _), (two, _)| if undecided { one.changed(two) } else { one.written(two) });
        if undecided {
            let files: Vec<_> = new.iter().map(|(sibling, _)| sibling.path.display().to_string()).collect();
            warn!(
                ?files,
                "the names of rotated files do not tell their order: they are read in the order of their last changes"
            );
        }
        for (_, mark) in &new {
            known_files.meet(known_files.fresh(last.epoch), *mark);
        }
        let changed = match last.tail {
            Some(tail) => tail.metadata().map(|metadata| Some((metadata.mtime(), metadata.mtime_nsec())))?,
            None => None,
        };
        unreadable.retain(|sibling| {
            let told = place.as_ref().and_then(|place| sibling.rank.as_ref()?.written(place.rank.as_ref()?));
            // A compressor gives its output the time of its input, so a compressed copy of the last file is not newer
            // than it.
            let younger =
                told.map_or(changed.is_none_or(|changed| sibling.changed > changed), Ordering::is_gt);
            younger && self.told.insert(sibling.inode.number)
        });
        for sibling in unreadable {
            let what = format!("{} cannot be decompressed", sibling.path.display());
            lost.push((known_files.fresh(last.epoch), 0, what));
        }
        Ok(Discovery { seen: Scan::Complete, undecided, lost })
    }
}

/// Whether `tail`, which was left before the file of `epoch`, has grown since.
fn grown(
    known_files: &KnownFiles,
    met: u64,
    epoch: Option<u64>,
    tail: &Tail,
    size: u64,
) -> Option<(u64, u64, String)> {
    let left_at = known_files.left_at(met).filter(|_| epoch.is_some_and(|epoch| met < epoch))?;
    let what = || format!("{} was appended to after it was left", tail.path().display());
    (!tail.is_compressed() && size > left_at).then(|| (met, left_at, what()))
}

/// Whether the names decide the order.
fn is_decided(new: &[(Sibling, FileMark)]) -> bool {
    let ranks: Vec<_> = new.iter().filter_map(|(sibling, _)| sibling.rank.as_ref()).collect();
    ranks.iter().enumerate().all(|(at, rank)| ranks[..at].iter().all(|other| rank.written(other).is_some()))
}

impl Sibling {
    /// Which was changed first.
    fn changed(&self, other: &Self) -> Ordering {
        self.changed.cmp(&other.changed).then_with(|| self.path.cmp(&other.path))
    }

    /// Which was written first: by their names, or else by their last changes.
    fn written(&self, other: &Self) -> Ordering {
        let told = self.rank.as_ref().and_then(|rank| rank.written(other.rank.as_ref()?));
        told.filter(|told| told.is_ne()).unwrap_or_else(|| self.changed(other))
    }
}
