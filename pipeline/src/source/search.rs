//! Finds files: the log's path and the files beside it enter, the one that is looked for leaves, and those that nobody
//! has met are put into the chain in the order in which they were written. All calls block.
//!
//! The order is that of the names. Where these do not tell, it is that of the last changes, and it is said so.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use tracing::{info, warn};

use super::{
    SourceFault,
    chain::{Chain, Which},
    mark::{FileMark, Inode},
    siblings::{Sibling, Siblings},
    tail::{self, Tail},
};

/// The most rotated files that are remembered as older than the first one read: the newest.
const BEFORE_MAX: usize = 512;
/// The most files whose identity is kept in memory, so that they need not be opened at each look.
const JUDGED_MAX: usize = 4_096;

/// Looks at a log's directory.
#[derive(Debug)]
pub(super) struct Search {
    path: PathBuf,
    pub(super) siblings: Siblings,
    /// Which files those are that have not changed since.
    judged: HashMap<Stamp, Which>,
    /// Files that cannot be read and have been told of.
    told: HashSet<u64>,
    /// The log as it was when its directory was last looked at.
    live: Option<(Inode, u64)>,
}

/// An inode, a size and a last change: a file that has not been touched.
type Stamp = (u64, u64, (i64, i64));

/// Whether a search can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    All,
    /// Something was renamed meanwhile.
    Unsettled,
}

/// What a look has found.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) seen: Seen,
    /// Whether the names did not tell the order.
    pub(super) undecided: bool,
    /// Bytes that cannot be read: epoch, from where on, and why.
    pub(super) lost: Vec<(u64, u64, String)>,
}

/// The file that was read last, as far as its place among the others is concerned.
#[derive(Clone, Copy)]
struct Last<'t> {
    tail: Option<&'t Tail>,
    epoch: Option<u64>,
}

/// Files that nobody has met, as they are found.
#[derive(Default)]
struct Found {
    new: Vec<(Sibling, FileMark)>,
    /// Those that cannot be decompressed.
    unreadable: Vec<Sibling>,
    /// Those that may not be opened.
    denied: Vec<(Sibling, SourceFault)>,
    /// The one that was read last.
    last: Option<Sibling>,
    lost: Vec<(u64, u64, String)>,
    is_unsettled: bool,
}

impl Search {
    pub(super) fn new(path: PathBuf, siblings: Siblings) -> Self {
        Self { path, siblings, judged: HashMap::new(), told: HashSet::new(), live: None }
    }

    /// The file of `epoch`, which begins as `mark` says, at `offset`; it must reach that far. The file itself is
    /// preferred to copies of it.
    pub(super) fn find(
        &self,
        chain: &Chain,
        epoch: u64,
        mark: &FileMark,
        offset: u64,
    ) -> Result<Option<Tail>, SourceFault> {
        let not = |tail: &Tail| chain.is_another(tail, epoch);
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
        // A short fingerprint is likelier to be a rotated file's than a moved one's.
        if rotated.as_ref().is_some_and(|rotated| rotated.is(mark) || !mark.is_full()) {
            return Ok(rotated);
        }
        Ok(current.or(rotated))
    }

    /// Remembers the rotated files that are never read: those that are older than `first`, or all.
    pub(super) fn settle_in(&self, chain: &mut Chain, first: Option<&Tail>) -> Result<(), SourceFault> {
        let Some(directory) = self.siblings.directory_inode() else { return Ok(()) };
        let listed = match self.siblings.list() {
            // It is said when the first rotated file is looked for.
            Err(SourceFault::CrowdedDirectory { .. }) if first.is_none() => Vec::new(),
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
                // It may not be opened, and need not be.
                Err(_) => before.push((sibling.changed, FileMark::new(sibling.inode, &[]))),
            }
        }
        if !before.is_empty() {
            info!(path = %self.path.display(), files = before.len(), "rotated files are older than what is read first, and are not read");
        }
        before.sort_by_key(|(changed, _)| *changed);
        let older = before.len().saturating_sub(BEFORE_MAX);
        chain.settle_in(directory, before.drain(older..).map(|(_, mark)| mark).collect());
        Ok(())
    }

    /// Whether the log was rotated or truncated since this was last asked.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = fs::metadata(&self.path).ok().map(|live| (tail::inode(&live), live.len()));
        let before = std::mem::replace(&mut self.live, now);
        match (before, now) {
            (Some((inode, len)), Some((now, grown))) => inode != now || grown < len,
            (before, now) => before.is_some() || now.is_some(),
        }
    }

    /// Puts every file that nobody has met into the chain, behind those that are there: the rotated ones that are not
    /// older than the one that was read last, and then the log itself.
    pub(super) fn discover(
        &mut self,
        chain: &mut Chain,
        tail: Option<&Tail>,
        epoch: Option<u64>,
    ) -> Result<Discovery, SourceFault> {
        let last = Last { tail, epoch };
        // Opened before the directory is read: whatever is renamed in between is then seen as rotated, not missed.
        let current = Tail::open(&self.path)?;
        let nothing = Discovery { seen: Seen::All, undecided: false, lost: Vec::new() };
        if tail.is_some_and(|tail| current.as_ref().is_some_and(|current| current.inode == tail.inode)) {
            return Ok(nothing);
        }
        let listed = match self.siblings.list() {
            // Of what is there before the first file nothing is read.
            Err(SourceFault::CrowdedDirectory { .. }) if epoch.is_none() => Vec::new(),
            listed => listed?,
        };
        let is_rotated = |current: &Tail| listed.iter().any(|sibling| sibling.inode == current.inode);
        if current.as_ref().is_some_and(is_rotated) {
            return Ok(Discovery { seen: Seen::Unsettled, ..nothing });
        }
        let found = self.look(chain, &listed, last)?;
        if found.is_unsettled {
            return Ok(Discovery { seen: Seen::Unsettled, ..nothing });
        }
        let mut discovery = self.enter(chain, found, last)?;
        if let Some(current) = current.filter(|current| current.head_len() > 0) {
            match chain.which(&current) {
                Which::New | Which::Before => chain.meet(chain.fresh(epoch), current.identity()),
                Which::Met(met) if Some(met) <= epoch && chain.is_lookalike(&current, met) => {
                    chain.meet(chain.fresh(epoch), current.identity());
                }
                Which::Met(met) => {
                    discovery.lost.extend(grown(chain, met, epoch, &current, current.metadata()?.len()));
                }
            }
        }
        Ok(discovery)
    }

    /// Tells the files apart.
    fn look(&mut self, chain: &Chain, listed: &[Sibling], last: Last<'_>) -> Result<Found, SourceFault> {
        let mut found = Found::default();
        if self.judged.len() > JUDGED_MAX {
            self.judged.clear();
        }
        for sibling in listed.iter().filter(|sibling| sibling.rank.is_some() && sibling.size > 0) {
            if last.tail.is_some_and(|tail| tail.inode == sibling.inode) {
                found.last = Some(sibling.clone());
                continue;
            }
            if listed.iter().any(|other| sibling.is_packed_of(other)) {
                continue;
            }
            let Some(which) = self.judge(chain, sibling, last, &mut found)? else { continue };
            if found.is_unsettled {
                return Ok(found);
            }
            if found.last.is_none() && last.epoch.is_some_and(|epoch| which == Which::Met(epoch)) {
                found.last = Some(sibling.clone());
            }
        }
        Ok(found)
    }

    /// Which file one is; none if that cannot be told, or need not.
    fn judge(
        &mut self,
        chain: &Chain,
        sibling: &Sibling,
        last: Last<'_>,
        found: &mut Found,
    ) -> Result<Option<Which>, SourceFault> {
        let stamp = (sibling.inode.number, sibling.size, sibling.changed);
        if let Some(which) = self.judged.get(&stamp) {
            return Ok(Some(*which));
        }
        let tail = match sibling.open() {
            Ok(tail) => tail,
            Err(_) if chain.was_denied(sibling.inode) => return Ok(Some(Which::Before)),
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
            found.is_unsettled = true;
            return Ok(Some(Which::New));
        };
        if tail.inode != sibling.inode {
            found.is_unsettled = true;
        }
        let which = chain.which(&tail);
        match which {
            Which::New if tail.head_len() == 0 => return Ok(None),
            Which::New => found.new.push((sibling.clone(), tail.identity())),
            Which::Met(met) => found.lost.extend(grown(chain, met, last.epoch, &tail, sibling.size)),
            Which::Before => {}
        }
        if which != Which::New {
            self.judged.insert(stamp, which);
        }
        Ok(Some(which))
    }

    /// Puts what was found into the chain, in its order.
    fn enter(&mut self, chain: &mut Chain, found: Found, last: Last<'_>) -> Result<Discovery, SourceFault> {
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
            chain.meet(chain.fresh(last.epoch), *mark);
        }
        let changed = match last.tail {
            Some(tail) => tail.metadata().map(|metadata| Some((metadata.mtime(), metadata.mtime_nsec())))?,
            None => None,
        };
        unreadable.retain(|sibling| {
            let told = place.as_ref().and_then(|place| sibling.rank.as_ref()?.written(place.rank.as_ref()?));
            // A compressor gives its output the time of its input: the last one, compressed, is not younger than itself.
            let younger =
                told.map_or(changed.is_none_or(|changed| sibling.changed > changed), Ordering::is_gt);
            younger && self.told.insert(sibling.inode.number)
        });
        for sibling in unreadable {
            let what = format!("{} cannot be decompressed", sibling.path.display());
            lost.push((chain.fresh(last.epoch), 0, what));
        }
        Ok(Discovery { seen: Seen::All, undecided, lost })
    }
}

/// Whether `tail`, which was left before the file of `epoch` was begun, has grown since.
fn grown(chain: &Chain, met: u64, epoch: Option<u64>, tail: &Tail, size: u64) -> Option<(u64, u64, String)> {
    let left_at = chain.left_at(met).filter(|_| epoch.is_some_and(|epoch| met < epoch))?;
    let what = || format!("{} was appended to after it was left", tail.path().display());
    (!tail.is_packed() && size > left_at).then(|| (met, left_at, what()))
}

/// Whether the names of all of them tell their order.
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
