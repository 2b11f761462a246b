//! What can go wrong with the state directory: each fault names the thing, the value and the way out.

use std::{io, path::PathBuf};

/// A failure of the state directory. The line stops; nothing that was recorded is lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateFault {
    /// Another process owns the directory.
    #[error(
        "state directory {path} is in use by another process: ask that process with `loadline status`, or stop it first: only one may run over a `state.dir`"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be read or written.
    #[error(
        "state directory {path}: {kind}: {detail}; check its owner, its permissions and the free space of its disk"
    )]
    Io {
        /// The directory or the file in it.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The system's words.
        detail: String,
    },
    /// The store is damaged.
    #[error(
        "state directory {path} is damaged: {detail}; keep a copy of it, then restore it from a backup or start with a new `state.dir`"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The store was written by a newer version.
    #[error(
        "state directory {path} has format {found}, this version knows formats up to {known}: run the newer version, or give this one its own `state.dir`"
    )]
    TooNew {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A value in the store cannot be read.
    #[error(
        "a value in {tree} cannot be read: {detail}; the state directory is damaged or was written by another program"
    )]
    Undecodable {
        /// The tree the value stands in.
        tree: &'static str,
        /// What was found.
        detail: String,
    },
    /// More records wait for the ledger than deliveries can be in flight: a bound is broken inside Loadline.
    #[error("more than {bound} records wait for the ledger: this is a defect of Loadline, please report it")]
    Overrun {
        /// The bound.
        bound: usize,
    },
    /// The ledger thread has ended, after an earlier fault that was reported.
    #[error("the ledger is closed: an earlier fault ended it, or the line is stopping")]
    Closed,
}
