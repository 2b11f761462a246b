//! Opens sled's database in a state directory, and gives its errors as faults of that directory.

use std::{fs, io, path::Path, thread, time::Duration};

use super::{Database, guard::guarded};
use crate::fault::{StateFault, io_fault};

/// How often opening is tried while the database is still being closed, 10 ms apart: one of sled's helper threads may
/// wait for a slow disk.
const CLOSING_MAX: u32 = 1_000;

/// Opens the database. The directory's own lock excludes other processes, but sled's helper threads can hold a
/// database for a moment after this process has dropped it; sled then reports it as locked.
pub(crate) fn open_database(path: &Path, database: &Path, cache: u64) -> Result<Database, StateFault> {
    for _ in 1..CLOSING_MAX {
        match try_open_database(path, database, cache) {
            Err(StateFault::Io { detail, .. }) if detail.contains("could not acquire lock") => {
                thread::park_timeout(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
    try_open_database(path, database, cache)
}

fn try_open_database(path: &Path, database: &Path, cache: u64) -> Result<Database, StateFault> {
    let config = ::sled::Config::new().path(database).cache_capacity(cache).flush_every_ms(None);
    guarded(path, || config.open()).map(Database::Sled)
}

/// A kill while sled writes a snapshot can leave `snap.*.generating`, and every later open then fails with
/// `Corruption` (sled issues 1527 and 1533). The file is only a cache of the log and can be removed.
pub(crate) fn remove_unfinished_snapshots(database: &Path) -> Result<(), StateFault> {
    let entries = match fs::read_dir(database) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_fault(database, &error)),
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(|error| io_fault(&entry.path(), &error))?;
            tracing::warn!(file = %entry.path().display(), "removed an unfinished snapshot left by a killed process");
        }
    }
    Ok(())
}
