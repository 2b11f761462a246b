//! The storage port: what a state directory needs of an ordered database and of the files beside it, and nothing more.
//!
//! Two implementations: sled and the file system, for every run; and [`SimulatedDisk`], for tests that decide what a
//! crash leaves. Both promise the same: writes reach the disk in their order, a crash keeps a prefix of them, and a
//! flush keeps all before it. No other module of this crate calls sled.
//!
//! Bytes, results and errors are sled's own types, so that the real database costs nothing through the port.

mod boot;
mod change;
mod directory;
mod fault;
mod guard;
mod simulated;
mod simulated_file;
mod simulated_log;
#[cfg(test)]
mod simulated_tests;
mod sled;
mod tree;

pub(crate) use ::sled::{Error, IVec, Result};
use std::time::Duration;

pub use self::simulated::{Crash, SimulatedDisk};
pub(crate) use self::{
    boot::BootId,
    change::Change,
    directory::{ByteFile, Directory, Lock, lock},
    fault::database_fault,
    guard::{catch_panic, guarded, guarded_items},
    sled::{open_database, remove_unfinished_snapshots},
    tree::Tree,
};

/// A database of named trees. Clones share it.
#[derive(Clone)]
pub(crate) enum Database {
    Sled(::sled::Db),
    Simulated(SimulatedDisk),
}

impl Database {
    /// Opens the tree of this name, and creates it if it does not exist.
    pub(crate) fn open_tree(&self, name: impl AsRef<[u8]>) -> Result<Tree> {
        match self {
            Self::Sled(db) => db.open_tree(name).map(Tree::Sled),
            Self::Simulated(disk) => Ok(Tree::Simulated(disk.open_tree(name.as_ref()))),
        }
    }

    pub(crate) fn tree_names(&self) -> Vec<IVec> {
        match self {
            Self::Sled(db) => db.tree_names(),
            Self::Simulated(disk) => disk.tree_names(),
        }
    }

    /// Removes a tree with its entries, if there is one. Whoever still has it open gets
    /// [`Error::CollectionNotFound`].
    pub(crate) fn drop_tree(&self, name: impl AsRef<[u8]>) -> Result<bool> {
        match self {
            Self::Sled(db) => db.drop_tree(name),
            Self::Simulated(disk) => Ok(disk.drop_tree(name.as_ref())),
        }
    }

    /// Returns once everything written survives the end of the process.
    pub(crate) fn flush(&self) -> Result<()> {
        match self {
            Self::Sled(db) => db.flush().map(drop),
            Self::Simulated(disk) => {
                disk.flush();
                Ok(())
            }
        }
    }

    pub(crate) fn size_on_disk(&self) -> Result<u64> {
        match self {
            Self::Sled(db) => db.size_on_disk(),
            Self::Simulated(disk) => Ok(disk.size()),
        }
    }

    /// How long a flush takes in simulated time; none for a real database.
    pub(crate) fn simulated_latency(&self) -> Option<Duration> {
        match self {
            Self::Sled(_) => None,
            Self::Simulated(disk) => Some(disk.latency()),
        }
    }

    /// Keeps the database open until the process ends.
    pub(crate) fn never_close(self) {
        match self {
            Self::Sled(_) => {
                let _for_ever: &Self = Box::leak(Box::new(self));
            }
            // Closing it never blocks.
            Self::Simulated(_) => {}
        }
    }
}
