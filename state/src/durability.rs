//! Makes flushed writes durable against the end of the process or a loss of power.
//!
//! sled 0.34 on Linux flushes with `sync_file_range`. That hands the pages to the disk's queue, but neither waits for
//! the disk's own cache nor writes the file's metadata: enough for a killed process, not for a loss of power. `Power`
//! therefore follows each flush with `fdatasync` on its own handle to the same file. Values too large for a log
//! segment go to files of their own under `blobs/` (bodies no longer do), which sled never syncs; when that directory
//! has changed, the whole file system is synced instead.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::storage::{Database, SimulatedDisk};

/// Which failures a recorded verdict survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, `kill -9` included. Power loss or a kernel crash can cost the last half second.
    Process,
    /// The loss of power, if the disk writes what it says it has written.
    Power,
}

/// Makes flushed writes durable; owned by the ledger thread.
#[derive(Debug)]
pub(crate) enum Syncer {
    /// Nothing beyond sled's own flush.
    Process,
    /// A disk in memory.
    Simulated(SimulatedDisk, Durability),
    /// `fdatasync` after each flush.
    Power {
        /// Our handle to sled's log file.
        log: File,
        /// The directory where sled puts oversized values.
        blobs: PathBuf,
        /// When that directory had last changed at the last sync.
        blobs_changed: Option<SystemTime>,
    },
}

impl Syncer {
    /// A syncer for `database`, which stands in `dir` if it is sled's.
    pub(crate) fn open(durability: Durability, database: &Database, dir: &Path) -> io::Result<Self> {
        match (database, durability) {
            (Database::Simulated(disk), durability) => Ok(Self::Simulated(disk.clone(), durability)),
            (Database::Sled(_), Durability::Process) => Ok(Self::Process),
            (Database::Sled(_), Durability::Power) => {
                let log = File::options().read(true).write(true).open(dir.join("db"))?;
                Ok(Self::Power { log, blobs: dir.join("blobs"), blobs_changed: None })
            }
        }
    }

    /// Returns once everything flushed so far is as durable as promised.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let (log, blobs, blobs_changed) = match self {
            Self::Process => return Ok(()),
            Self::Simulated(disk, durability) => {
                disk.sync(*durability);
                return Ok(());
            }
            Self::Power { log, blobs, blobs_changed } => (log, blobs, blobs_changed),
        };
        let changed = std::fs::metadata(&*blobs).and_then(|meta| meta.modified()).ok();
        if changed == *blobs_changed {
            log.sync_data()
        } else {
            *blobs_changed = changed;
            rustix::fs::syncfs(&*log).map_err(io::Error::from)
        }
    }
}

/// Returns once everything flushed so far to `database`, which stands in `dir` if it is sled's, outlives the power: its log
/// and the log's name.
pub(crate) fn sync_once(database: &Database, dir: &Path) -> io::Result<()> {
    match database {
        Database::Simulated(disk) => {
            disk.sync(Durability::Power);
            Ok(())
        }
        Database::Sled(_) => {
            File::open(dir.join("db"))?.sync_data()?;
            File::open(dir)?.sync_all()
        }
    }
}
