//! Notices a database that has lost something: the number of the last commit is kept inside the database and, written
//! after the flush, in a file beside it; and with each commit what the trees amount to by then.
//!
//! sled opens a log whose tail is missing as if it had never been written (it can't tell a torn write from a lost
//! one), and one whose middle is damaged often without what stood there: it would forget what was delivered, and what
//! waits. With this seal such a directory is refused ([`crate::account`] compares).
//!
//! What a crash leaves of a commit is a beginning of it, in the order of its writes: its number, what it is going to
//! change, the changes, what the trees amount to, and the root over that. So whatever that commit was not going to change
//! is known exactly. A commit that is noted in the file is whole: if its root is not there, or is another, what is kept is
//! itself that of an earlier commit.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use bincode::{Decode, Encode};

use crate::{
    access::close_to_others, codec, durability::Durability, envelope, fault::StateFault, store::io_fault,
    table::Table, tally::Tally,
};

const KEY: &[u8] = b"commits";
const TOUCHED: &[u8] = b"touched";
const TALLY: &[u8] = b"tally-";
const ROOT: &[u8] = b"root";

/// The tree's name in `meta` itself.
const META: &str = "meta";

/// The tallies of the ledger are not under the root: they are removed with its trees, which is in no commit.
const LEDGER: &str = "ledger";

/// What a commit is going to change.
#[derive(Debug, Default)]
pub(crate) enum Touched {
    /// Nothing that is accounted for.
    #[default]
    Nothing,
    /// These keys: the number of the tree, the key, and the fingerprint of what stands there before.
    Keys(Vec<(u8, Vec<u8>, Option<u64>)>),
    /// It is not known before.
    Anything,
}

/// The same, as it is kept until the next commit that changes something.
#[derive(Debug, Default, Encode, Decode)]
pub(crate) struct Begun {
    pub(crate) commit: u64,
    pub(crate) anything: bool,
    pub(crate) keys: Vec<(u8, Vec<u8>, Option<u64>)>,
}

/// What a group of entries amounted to at the end of this commit, the last that changed it.
#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
pub(crate) struct Kept {
    pub(crate) commit: u64,
    pub(crate) tally: Tally,
}

/// All that was kept, by the tree's name and the group.
pub(crate) type AllKept = BTreeMap<(String, Box<[u8]>), Kept>;

/// The commit counter, inside and beside the database, and what is kept with it.
#[derive(Debug)]
pub(crate) struct Seal {
    meta: Table,
    beside: File,
    commits: u64,
    /// The last commit that the file knows of.
    finished: u64,
    /// Whether the commit under way may change anything.
    anything: bool,
    /// The fingerprints of what is kept, by its key.
    kept: BTreeMap<Vec<u8>, u64>,
}

impl Seal {
    /// Opens the seal in the state directory `path` and compares the two counters.
    ///
    /// Under `Process` durability a loss of power may cost the last commits; that is logged, and only a database that
    /// has lost its counter altogether is refused.
    pub(crate) fn open(meta: Table, path: &Path, durability: Durability) -> Result<Self, StateFault> {
        let file = path.join("commits");
        let fault = |error: io::Error| io_fault(&file, &error);
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let beside = options.open(&file).map_err(fault)?;
        // Who can write it can have the whole directory refused.
        close_to_others(&file).map_err(fault)?;
        let expected = read(&beside).map_err(fault)?;
        let found = meta.get::<u64>(KEY)?;
        let commits = found.unwrap_or(0);
        if commits < expected {
            let detail = format!("its last commit is {commits}, but commit {expected} had been written");
            if durability == Durability::Power || found.is_none() {
                return Err(StateFault::Damaged { path: path.to_owned(), detail });
            }
            tracing::warn!(
                commits,
                expected,
                "commits are missing, as after a loss of power: their events can repeat"
            );
        }
        Ok(Self { meta, beside, commits, finished: expected, anything: false, kept: BTreeMap::new() })
    }

    /// Notes, before its first write, that one more commit is being written, and what it is going to change.
    pub(crate) fn begin(&mut self, touched: Touched) -> Result<(), StateFault> {
        self.commits += 1;
        self.meta.put(KEY, &self.commits)?;
        self.anything = matches!(touched, Touched::Anything);
        match touched {
            Touched::Nothing => Ok(()),
            Touched::Anything => self.note_begun(true, Vec::new()),
            Touched::Keys(keys) => self.note_begun(false, keys),
        }
    }

    /// Notes, after its last write and before the flush, what has come of it.
    pub(crate) fn close(
        &mut self,
        changed: impl IntoIterator<Item = (&'static str, Box<[u8]>, Tally)>,
    ) -> Result<(), StateFault> {
        for (tree, group, tally) in changed {
            self.keep(tree, &group, tally)?;
        }
        if self.anything {
            self.note_begun(false, Vec::new())?;
        }
        self.put_root()
    }

    /// Notes that all that is kept is right, as of the last commit.
    pub(crate) fn put_root(&self) -> Result<(), StateFault> {
        let tally = Tally { entries: self.kept.len() as u64, digest: sum(self.kept.values()) };
        self.meta.put(ROOT, &Kept { commit: self.commits, tally })
    }

    /// Whether the last commit is there to its end: then all that was kept in `all` is that commit's, or from before it and
    /// not changed since.
    ///
    /// # Errors
    /// What is wrong, in words, inside; a fault of the store outside.
    pub(crate) fn begin_with(&mut self, all: &AllKept) -> Result<Result<bool, String>, StateFault> {
        self.kept = fingerprints(all)?;
        let root = root(&self.meta)?;
        Ok(judge_root(root, &self.kept, self.commits, self.finished))
    }

    /// Keeps what this group amounts to now.
    pub(crate) fn keep(&mut self, tree: &str, group: &[u8], tally: Tally) -> Result<(), StateFault> {
        let (key, kept) = (tally_key(tree, group), Kept { commit: self.commits, tally });
        self.meta.put(&key, &kept)?;
        if tree != LEDGER {
            let fingerprint = fingerprint(&key, &kept)?;
            self.kept.insert(key, fingerprint);
        }
        Ok(())
    }

    /// Notes, after the flush, that the commit was written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.beside.write_all_at(&self.commits.to_be_bytes(), 0)
    }

    fn note_begun(&self, anything: bool, keys: Vec<(u8, Vec<u8>, Option<u64>)>) -> Result<(), StateFault> {
        self.meta.put(TOUCHED, &Begun { commit: self.commits, anything, keys })
    }

    /// The last commit that changed something that is accounted for.
    pub(crate) fn begun(&self) -> Result<Begun, StateFault> {
        begun(&self.meta)
    }
}

/// The root in `meta`: of which commit, and over what.
fn root(meta: &Table) -> Result<Kept, StateFault> {
    Ok(meta.get(ROOT)?.unwrap_or_default())
}

fn fingerprint(key: &[u8], kept: &Kept) -> Result<u64, StateFault> {
    Ok(envelope::fingerprint(META, key, &codec::encode(META, kept)?))
}

fn fingerprints(all: &AllKept) -> Result<BTreeMap<Vec<u8>, u64>, StateFault> {
    let under = all.iter().filter(|((tree, _), _)| tree != LEDGER);
    let each = under.map(|((tree, group), kept)| {
        let key = tally_key(tree, group);
        let fingerprint = fingerprint(&key, kept)?;
        Ok((key, fingerprint))
    });
    each.collect()
}

fn sum<'f>(fingerprints: impl Iterator<Item = &'f u64>) -> u64 {
    fingerprints.fold(0, |sum, fingerprint| sum.wrapping_add(*fingerprint))
}

fn judge_root(
    root: Kept,
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
        true => Err(format!("commit {commits} had been written, and its end is not there")),
        false => Ok(false),
    }
}

/// How what is kept in `meta` differs from its root, in words; and whether the last commit is there to its end.
pub(crate) fn compare_root(
    meta: &Table,
    path: &Path,
    all: &AllKept,
) -> Result<(Option<String>, bool), StateFault> {
    let commits = meta.get::<u64>(KEY)?.unwrap_or(0);
    match judge_root(root(meta)?, &fingerprints(all)?, commits, finished(path)?) {
        Ok(whole) => Ok((None, whole)),
        Err(wrong) => Ok((Some(wrong), true)),
    }
}

/// The last commit in `meta` that changed something that is accounted for.
pub(crate) fn begun(meta: &Table) -> Result<Begun, StateFault> {
    Ok(meta.get(TOUCHED)?.unwrap_or_default())
}

/// The last commit in `meta` and the last that had been written, if that is a later one.
pub(crate) fn behind(meta: &Table, path: &Path) -> Result<Option<(u64, u64)>, StateFault> {
    let expected = finished(path)?;
    let commits = meta.get::<u64>(KEY)?.unwrap_or(0);
    Ok((commits < expected).then_some((commits, expected)))
}

/// The last commit that the file in the state directory `path` knows of; 0 without one.
pub(crate) fn finished(path: &Path) -> Result<u64, StateFault> {
    let file = path.join("commits");
    match File::open(&file).and_then(|file| read(&file)) {
        Ok(finished) => Ok(finished),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(io_fault(&file, &error)),
    }
}

/// All that was kept in `meta`.
pub(crate) fn kept(meta: &Table) -> Result<AllKept, StateFault> {
    let behind = [&TALLY[..TALLY.len() - 1], &[TALLY[TALLY.len() - 1] + 1]].concat();
    let mut all = AllKept::new();
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

/// The key in `meta` of what this group amounts to.
pub(crate) fn tally_key(tree: &str, group: &[u8]) -> Vec<u8> {
    [TALLY, tree.as_bytes(), &[0], group].concat()
}

/// The counter in the file; zero if the file is new or was cut while it was first written.
fn read(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(u64::from_be_bytes(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}
