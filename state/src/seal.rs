//! Notices a database that has lost its past: the number of the last commit is kept inside the database and, written
//! after the flush, in a file beside it; a database behind that file has been cut or replaced.
//!
//! sled opens a log whose tail is missing as if it had never been written (it can't tell a torn write from a lost
//! one), and would thereby forget what was delivered. With this seal such a directory is refused.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use crate::{durability::Durability, fault::StateFault, store::io_fault, table::Table};

const KEY: &[u8] = b"commits";

/// The commit counter, inside and beside the database.
#[derive(Debug)]
pub(crate) struct Seal {
    meta: Table,
    beside: File,
    commits: u64,
}

impl Seal {
    /// Opens the seal in the state directory `path` and compares the two counters.
    ///
    /// Under `Process` durability a loss of power may cost the last commits; that is logged, and only a database that
    /// has lost its counter altogether is refused.
    pub(crate) fn open(meta: Table, path: &Path, durability: Durability) -> Result<Self, StateFault> {
        let file = path.join("commits");
        let fault = |error: io::Error| io_fault(&file, &error);
        let beside =
            File::options().create(true).truncate(false).read(true).write(true).open(&file).map_err(fault)?;
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
        Ok(Self { meta, beside, commits })
    }

    /// Notes, before the flush, that one more commit is being written.
    pub(crate) fn begin(&mut self) -> Result<(), StateFault> {
        self.commits += 1;
        self.meta.put(KEY, &self.commits)
    }

    /// Notes, after the flush, that it was written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.beside.write_all_at(&self.commits.to_be_bytes(), 0)
    }
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
