//! The small files beside the database in a state directory: read whole, written in place, or replaced atomically.
//! Their writes have no order relative to the database's.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use super::{
    boot::{self, BootId},
    simulated::{SimulatedDisk, SimulatedHandle, SimulatedLock},
};
use crate::{
    fault::{StateFault, io_fault},
    permissions::close_to_others,
};

/// The directory of the files. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: Arc<Path>,
    simulated: Option<SimulatedDisk>,
}

/// Held as long as a process works with the directory.
#[derive(Debug)]
pub(crate) enum Lock {
    File { _held: File },
    Simulated { _held: SimulatedLock },
}

/// An open file.
#[derive(Debug)]
pub(crate) enum ByteFile {
    File(File),
    Simulated(SimulatedHandle),
}

impl Directory {
    pub(crate) fn at(path: Arc<Path>) -> Self {
        Self { path, simulated: None }
    }

    pub(crate) fn simulated(disk: SimulatedDisk) -> Self {
        Self { path: Arc::from(Path::new("simulated")), simulated: Some(disk) }
    }

    /// Its path in faults.
    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Opens a file for reading and writing, and creates it for its owner alone if it does not exist.
    pub(crate) fn open(&self, name: &'static str) -> io::Result<ByteFile> {
        if let Some(disk) = &self.simulated {
            return Ok(ByteFile::Simulated(disk.open_file(name)));
        }
        let path = self.path.join(name);
        let mut options = File::options();
        let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path)?;
        // Whoever can write it could have the whole directory refused.
        close_to_others(&path)?;
        Ok(ByteFile::File(file))
    }

    /// A file's bytes, at most `max` of them.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] if there is no such file.
    pub(crate) fn read(&self, name: &'static str, max: u64) -> io::Result<Vec<u8>> {
        if let Some(disk) = &self.simulated {
            return disk.read_file(name);
        }
        let mut bytes = Vec::new();
        File::open(self.path.join(name))?.take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Replaces the file of this name by one with these bytes, synced when this returns; its name is `partial` until
    /// it is complete.
    pub(crate) fn replace(
        &self,
        name: &'static str,
        partial: &'static str,
        bytes: &[u8],
    ) -> io::Result<ByteFile> {
        if let Some(disk) = &self.simulated {
            return Ok(ByteFile::Simulated(disk.replace_file(name, bytes)));
        }
        let partial = self.path.join(partial);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, self.path.join(name))?;
        File::open(&*self.path)?.sync_all()?;
        Ok(ByteFile::File(file))
    }

    /// The current boot; none where the system does not say.
    pub(crate) fn boot_id(&self) -> Option<BootId> {
        if let Some(disk) = &self.simulated {
            return Some(disk.boot_id());
        }
        boot::current()
    }
}

impl ByteFile {
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(bytes, at),
            Self::Simulated(file) => file.read_exact_at(bytes, at),
        }
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all_at(bytes, at),
            Self::Simulated(file) => {
                file.write_all_at(bytes, at);
                Ok(())
            }
        }
    }
}

/// Locks the state directory at `path` for this process.
pub(crate) fn lock(path: &Path) -> Result<Lock, StateFault> {
    let file = path.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(&file);
    let lock = lock.map_err(|error| io_fault(&file, &error))?;
    // Whoever can open it could hold the lock.
    close_to_others(&file).map_err(|error| io_fault(&file, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock::File { _held: lock }),
        Err(TryLockError::WouldBlock) => Err(StateFault::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_fault(&file, &error)),
    }
}
