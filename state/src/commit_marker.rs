//! Finds out at a start whether the database has lost something: keeps the number of the last commit and the digests
//! of the trees after it, in `meta` and in the file `commits`.
//!
//! sled opens a log whose end is missing as if that end had never been written, and often opens a log with a damaged
//! middle without the damaged part. Delivered and waiting events would be forgotten. [`crate::integrity`] compares
//! the trees with these marks and refuses such a directory.
//!
//! A commit writes, in this order: its number, the keys it is going to change, the changes, the digests, and a root
//! over the digests. After the flush its number goes into the file. A crash leaves a prefix of that, so everything
//! outside the keys named by the last commit is known exactly. A commit whose number is in the file is complete: if
//! its root is missing or differs, the digests are those of an earlier commit, and something was lost.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use bincode::{Decode, Encode};

use crate::{
    codec,
    durability::Durability,
    envelope,
    fault::{StateFault, io_fault},
    journal_file::{self, Contents, Found},
    storage::{ByteFile, Directory},
    table::Table,
    tree_digest::TreeDigest,
};

/// The file beside the database.
const FILE: &str = "commits";
const KEY: &[u8] = b"commits";
const TOUCHED: &[u8] = b"touched";
const TALLY: &[u8] = b"tally-";
const ROOT: &[u8] = b"root";

/// The tree's name in `meta` itself.
const META: &str = "meta";

/// The ledger's digests are not covered by the root: they are removed with its trees, outside any commit.
const LEDGER: &str = "ledger";

/// The keys a commit is going to change.
#[derive(Debug, Default)]
pub(crate) enum ChangeSet {
    /// Nothing with a digest.
    #[default]
    Empty,
    /// These keys: the number of the tree, the key, and the fingerprint of what stands there before.
    Keys(Vec<(u8, Vec<u8>, Option<u64>)>),
    /// Not known in advance.
    Unknown,
}

/// The stored form, valid until the next commit that changes something.
#[derive(Debug, Default, Encode, Decode)]
pub(crate) struct BegunCommit {
    pub(crate) commit: u64,
    pub(crate) anything: bool,
    pub(crate) keys: Vec<(u8, Vec<u8>, Option<u64>)>,
}

/// The digest of a group of entries after the last commit that changed it.
#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
pub(crate) struct StoredDigest {
    pub(crate) commit: u64,
    pub(crate) tally: TreeDigest,
}

/// All stored digests, by the tree's name and the group.
pub(crate) type StoredDigests = BTreeMap<(String, Box<[u8]>), StoredDigest>;

/// The commit counter, inside and beside the database, and the digests.
#[derive(Debug)]
pub(crate) struct CommitMarker {
    meta: Table,
    beside: ByteFile,
    commits: u64,
    /// The last commit in the file.
    finished: u64,
    /// Whether the end of that commit may be lost: the machine has been restarted since, and nothing was synced.
    may_be_cut: bool,
    /// Whether the commit under way may change anything.
    anything: bool,
    /// The fingerprints of the stored digests, by their keys.
    kept: BTreeMap<Vec<u8>, u64>,
}

impl CommitMarker {
    /// Opens the marks of a state directory and compares the two counters.
    ///
    /// Under `Process` durability a loss of power may cost the last commits, or the end of the last one; that is logged,
    /// and only a database that has lost its counter altogether is refused.
    pub(crate) fn open(meta: Table, files: &Directory, durability: Durability) -> Result<Self, StateFault> {
        let path = files.path();
        let fault = |error: io::Error| io_fault(&path.join(FILE), &error);
        let beside = files.open(FILE).map_err(fault)?;
        let expected = read(files).map_err(fault)?;
        let found = meta.get::<u64>(KEY)?;
        let commits = found.unwrap_or(0);
        if commits < expected {
            if !may_be_behind(durability, found) {
                let detail = missing(commits, expected);
                return Err(StateFault::Damaged { path: path.to_path_buf(), detail });
            }
            tracing::warn!(
                commits,
                expected,
                "commits are missing, as after a loss of power: their events can repeat"
            );
        }
        Ok(Self {
            meta,
            beside,
            commits,
            finished: expected,
            may_be_cut: may_be_cut(durability, files)?,
            anything: false,
            kept: BTreeMap::new(),
        })
    }

    /// Writes that a new directory has had no commit. Once that is durable, a database without it has lost its beginning, or
    /// is another one.
    pub(crate) fn begin_anew(&self) -> Result<(), StateFault> {
        self.meta.put(KEY, &self.commits)
    }

    /// Writes, before a commit's first write, its number and the keys it is going to change.
    pub(crate) fn begin(&mut self, touched: ChangeSet) -> Result<(), StateFault> {
        self.commits += 1;
        self.meta.put(KEY, &self.commits)?;
        self.anything = matches!(touched, ChangeSet::Unknown);
        match touched {
            ChangeSet::Empty => Ok(()),
            ChangeSet::Unknown => self.note_begun(true, Vec::new()),
            ChangeSet::Keys(keys) => self.note_begun(false, keys),
        }
    }

    /// Writes, after a commit's last write and before the flush, the new digests.
    pub(crate) fn close(
        &mut self,
        changed: impl IntoIterator<Item = (&'static str, Box<[u8]>, TreeDigest)>,
    ) -> Result<(), StateFault> {
        for (tree, group, tally) in changed {
            self.store_digest(tree, &group, tally)?;
        }
        if self.anything {
            self.note_begun(false, Vec::new())?;
        }
        self.put_root()
    }

    /// Writes the root over all digests, as of the last commit.
    pub(crate) fn put_root(&self) -> Result<(), StateFault> {
        let tally = TreeDigest { entries: self.kept.len() as u64, digest: sum(self.kept.values()) };
        self.meta.put(ROOT, &StoredDigest { commit: self.commits, tally })
    }

    /// Whether the last commit is complete: then every digest in `all` is that commit's, or an earlier one that has
    /// not changed since.
    ///
    /// # Errors
    /// The inner error says what is wrong; the outer one is a fault of the store.
    pub(crate) fn begin_with(&mut self, all: &StoredDigests) -> Result<Result<bool, String>, StateFault> {
        self.kept = fingerprints(all)?;
        let root = root(&self.meta)?;
        let finished = if self.may_be_cut { 0 } else { self.finished };
        let compared = compare_with_root(root, &self.kept, self.commits, finished);
        if compared == Ok(false) && self.may_be_cut && self.commits == self.finished {
            tracing::warn!(
                commit = self.commits,
                "the end of the last commit is missing, as after a loss of power: its events can repeat"
            );
        }
        Ok(compared)
    }

    /// Stores the digest of this group.
    pub(crate) fn store_digest(
        &mut self,
        tree: &str,
        group: &[u8],
        tally: TreeDigest,
    ) -> Result<(), StateFault> {
        let (key, kept) = (digest_key(tree, group), StoredDigest { commit: self.commits, tally });
        self.meta.put(&key, &kept)?;
        if tree != LEDGER {
            let fingerprint = fingerprint(&key, &kept)?;
            self.kept.insert(key, fingerprint);
        }
        Ok(())
    }

    /// Writes the commit's number to the file, after the flush.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.beside.write_all_at(&self.commits.to_be_bytes(), 0)
    }

    fn note_begun(&self, anything: bool, keys: Vec<(u8, Vec<u8>, Option<u64>)>) -> Result<(), StateFault> {
        self.meta.put(TOUCHED, &BegunCommit { commit: self.commits, anything, keys })
    }

    /// The last commit that changed something with a digest.
    pub(crate) fn begun(&self) -> Result<BegunCommit, StateFault> {
        begun(&self.meta)
    }
}

/// Whether a database with this counter, which is behind the file's, has lost no more than a loss of power may cost.
fn may_be_behind(durability: Durability, found: Option<u64>) -> bool {
    durability == Durability::Process && found.is_some()
}

fn missing(commits: u64, expected: u64) -> String {
    format!("its last commit is {commits}, but commit {expected} had been written")
}

/// Whether the last commit may have lost its end to a loss of power.
fn may_be_cut(durability: Durability, files: &Directory) -> Result<bool, StateFault> {
    Ok(durability == Durability::Process && was_restarted(files)?)
}

/// Whether the machine has been restarted since the last run began, according to the attempts journal.
fn was_restarted(files: &Directory) -> Result<bool, StateFault> {
    Ok(match journal_file::read(files)? {
        Found::Whole(Contents { boot: Some(boot), .. }) => Some(boot) != files.boot_id(),
        _ => false,
    })
}

/// The root in `meta`, with its commit.
fn root(meta: &Table) -> Result<StoredDigest, StateFault> {
    Ok(meta.get(ROOT)?.unwrap_or_default())
}

fn fingerprint(key: &[u8], kept: &StoredDigest) -> Result<u64, StateFault> {
    Ok(envelope::fingerprint(META, key, &codec::encode(META, kept)?))
}

fn fingerprints(all: &StoredDigests) -> Result<BTreeMap<Vec<u8>, u64>, StateFault> {
    let under = all.iter().filter(|((tree, _), _)| tree != LEDGER);
    let each = under.map(|((tree, group), kept)| {
        let key = digest_key(tree, group);
        let fingerprint = fingerprint(&key, kept)?;
        Ok((key, fingerprint))
    });
    each.collect()
}

fn sum<'f>(fingerprints: impl Iterator<Item = &'f u64>) -> u64 {
    fingerprints.fold(0, |sum, fingerprint| sum.wrapping_add(*fingerprint))
}

fn compare_with_root(
    root: StoredDigest,
    kept: &BTreeMap<Vec<u8>, u64>,
    commits: u64,
    finished: u64,
) -> Result<bool, String> {
    if root.commit == commits {
        let is_right = root.tally.digest == sum(kept.values());
        return is_right.then_some(true).ok_or_else(|| {
            format!("what was kept with commit {commits} of what must be there is not all of that commit")
        });
    }
    match commits == finished && commits > 0 {
        true => Err(format!(
            "commit {commits} had been written, and its end is not there: what it wrote last is missing"
        )),
        false => Ok(false),
    }
}

/// What a check says of the commits.
#[derive(Debug, Default)]
pub(crate) struct CommitsFound {
    /// What a run with the same durability refuses, in words.
    pub(crate) wrong: Vec<String>,
    /// What it opens all the same, because a loss of power may cost it; in words.
    pub(crate) lost: Vec<String>,
    /// Whether the last commit is complete, as far as is known.
    pub(crate) whole: bool,
}

/// Compares the last commit in `meta` with that in the file beside the database, and the `stored` digests with their root
/// if the directory's format has them: as a run with this durability does.
pub(crate) fn compare(
    meta: &Table,
    path: &Path,
    durability: Durability,
    stored: Option<&StoredDigests>,
) -> Result<CommitsFound, StateFault> {
    let found = meta.get::<u64>(KEY)?;
    let (commits, expected) = (found.unwrap_or(0), finished(path)?);
    let mut told = CommitsFound { whole: true, ..CommitsFound::default() };
    if commits < expected {
        let missing = missing(commits, expected);
        match may_be_behind(durability, found) {
            true => told.lost.push(format!(
                "{missing}, as after a loss of power: a run goes on from there, and what came between can repeat"
            )),
            false => told.wrong.push(format!("{missing}: what came between is missing")),
        }
    }
    let Some(stored) = stored else { return Ok(told) };
    let is_cut = may_be_cut(durability, &Directory::at(Arc::from(path)))?;
    match compare_with_root(root(meta)?, &fingerprints(stored)?, commits, if is_cut { 0 } else { expected }) {
        Ok(whole) => told.whole = whole,
        Err(wrong) => told.wrong.push(wrong),
    }
    if !told.whole && is_cut && commits == expected {
        told.lost.push(format!(
            "the end of commit {commits}, the last one, is missing, as after a loss of power: a run goes on from there, and \
             its events can repeat"
        ));
    }
    Ok(told)
}

/// The last commit in `meta` that changed something with a digest.
pub(crate) fn begun(meta: &Table) -> Result<BegunCommit, StateFault> {
    Ok(meta.get(TOUCHED)?.unwrap_or_default())
}

/// The last commit in the file of the state directory `path`; 0 without one.
pub(crate) fn finished(path: &Path) -> Result<u64, StateFault> {
    read(&Directory::at(Arc::from(path))).map_err(|error| io_fault(&path.join(FILE), &error))
}

/// All digests stored in `meta`.
pub(crate) fn kept(meta: &Table) -> Result<StoredDigests, StateFault> {
    let behind = [&TALLY[..TALLY.len() - 1], &[TALLY[TALLY.len() - 1] + 1]].concat();
    let mut all = StoredDigests::new();
    for item in meta.range(TALLY.to_vec()..behind) {
        let (key, value) = item?;
        let name = &key[TALLY.len()..];
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        let tree = String::from_utf8_lossy(&name[..end]).into_owned();
        let group = name.get(end + 1..).unwrap_or_default().into();
        all.insert((tree, group), meta.decode(&key, &value)?);
    }
    Ok(all)
}

/// The key in `meta` of this group's digest.
pub(crate) fn digest_key(tree: &str, group: &[u8]) -> Vec<u8> {
    [TALLY, tree.as_bytes(), &[0], group].concat()
}

/// The counter in the file; zero if there is none, or it was cut while it was first written.
fn read(files: &Directory) -> io::Result<u64> {
    match files.read(FILE, 8) {
        Ok(bytes) => Ok(bytes.try_into().map_or(0, u64::from_be_bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
