//! What "durable" means: turns a store's buffered writes into writes that outlive the process, or the power.
//!
//! sled 0.34 on Linux flushes with `sync_file_range`, which hands the pages to the disk's queue but neither waits for
//! the disk's own cache nor writes the file's metadata: enough for a killed process, not for a lost power supply.
//! `Power` therefore follows each flush with `fdatasync` on a handle of its own to the same file. Values too large for
//! a log segment go to files of their own under `blobs/` (bodies no longer do), which sled never syncs; when that directory has changed,
//! the whole file system is synced instead.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// How much of a failure a recorded verdict outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, `kill -9` included. Power loss or a kernel crash can cost the last half second.
    Process,
    /// The loss of power, as far as the disk keeps its promises.
    Power,
}

/// Makes flushed writes durable; owned by the ledger thread.
#[derive(Debug)]
pub(crate) enum Syncer {
    /// Nothing beyond sled's own flush.
    Process,
    /// `fdatasync` after each flush.
    Power {
        /// Our handle to sled's log file.
        log: File,
        /// Where sled puts oversized values.
        blobs: PathBuf,
        /// When that directory had last changed at the last sync.
        blobs_changed: Option<SystemTime>,
    },
}

impl Syncer {
    /// A syncer for the sled database in `dir`, which must be open already.
    pub(crate) fn open(durability: Durability, dir: &Path) -> io::Result<Self> {
        match durability {
            Durability::Process => Ok(Self::Process),
            Durability::Power => {
                let log = File::options().read(true).write(true).open(dir.join("db"))?;
                Ok(Self::Power { log, blobs: dir.join("blobs"), blobs_changed: None })
            }
        }
    }

    /// Returns once everything flushed so far is as durable as promised.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let Self::Power { log, blobs, blobs_changed } = self else { return Ok(()) };
        let changed = std::fs::metadata(&*blobs).and_then(|meta| meta.modified()).ok();
        if changed == *blobs_changed {
            log.sync_data()
        } else {
            *blobs_changed = changed;
            rustix::fs::syncfs(&*log).map_err(io::Error::from)
        }
    }
}
