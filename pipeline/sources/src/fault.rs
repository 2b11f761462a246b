//! Faults of a source. Each names the thing, the value and the way out. The line stops; nothing settled is lost, and
//! the next start resumes at the checkpoint.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use line::SourceFault;
use state::StateFault;

/// A failure of a source.
///
/// A rotation that cannot be followed is no fault: it is logged and counted, see [`FileCounts`](super::FileCounts).
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadFault {
    /// There is no such file, and the source does not follow.
    #[error("{path} does not exist: check the path, or follow it to wait until it is created")]
    Missing {
        /// The path as configured.
        path: PathBuf,
    },
    /// The path is a directory, a pipe, a device, or has no file name.
    #[error("{path} is not a regular file: name a file, or feed a pipe through the `stdin` source")]
    NotAFile {
        /// The path as configured.
        path: PathBuf,
    },
    /// The file or its directory cannot be read.
    #[error("{path} cannot be read: {kind}: {detail}; check its owner, its permissions and its disk")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The system's words.
        detail: String,
    },
    /// The directory holds too many entries to look for rotated files in it.
    #[error(
        "{directory} has more than {limit} entries, too many to look for rotated files: give the log a directory of its own, or raise `directory_entries_max`"
    )]
    CrowdedDirectory {
        /// The directory of the configured file.
        directory: PathBuf,
        /// How many entries are looked at.
        limit: usize,
    },
    /// The log begins like the one that was read, but is shorter than what was read of it.
    #[error(
        "{path} is an older copy of the log that was read, or was cut: it begins the same and has {len} bytes, of which {offset} were delivered; nothing was read. Put the whole log back; or set source.on_unknown = \"begin\" for one run, which reads this one from its beginning, and delivers again what is older than state.dedupe_window"
    )]
    OlderCopy {
        /// The path as configured.
        path: PathBuf,
        /// How many bytes it has.
        len: u64,
        /// How many had been delivered.
        offset: u64,
    },
    /// The log is in another directory than the one that was read, and is another log.
    #[error(
        "{path} is not the log that was read up to byte {offset}: its directory is another one, it begins differently, and no rotated file beside it continues the old one; nothing was read. Put the log with its rotated files here, or give the new one a state directory of its own; or set source.on_unknown = \"begin\" for one run, which reads this one from its beginning"
    )]
    UnknownFile {
        /// The path as configured.
        path: PathBuf,
        /// How far the other one was settled.
        offset: u64,
    },
    /// The checkpoint's mark was not written by a file source of this or an earlier version.
    #[error(
        "the checkpoint of {source_name} has a mark of {len} bytes that is not a file's: it was written by another kind of source or a newer version; run that one, or remove the checkpoint to read from the start"
    )]
    ForeignMark {
        /// The source's name.
        source_name: Arc<str>,
        /// The length of the mark in bytes.
        len: usize,
    },
    /// The thread that reads was lost.
    #[error("reading {source_name} was interrupted: {detail}; start again, it resumes at the checkpoint")]
    Interrupted {
        /// The source's name.
        source_name: Arc<str>,
        /// Whether it was cancelled, with the runtime, or panicked.
        detail: String,
    },
    /// The address for posts cannot be bound.
    #[error(
        "cannot listen on {addr}: {kind}: {detail}; stop what listens there, or give source.listen another address"
    )]
    Listen {
        /// The address as configured.
        addr: SocketAddr,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The system's words.
        detail: String,
    },
    /// The intake log cannot be read.
    #[error(transparent)]
    State(StateFault),
    /// Standard input failed.
    #[error("{source_name} failed after {offset} bytes: {kind}: {detail}; check the program that feeds it")]
    Input {
        /// The source's name.
        source_name: Arc<str>,
        /// How many bytes had been read.
        offset: u64,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The system's words.
        detail: String,
    },
}

impl From<ReadFault> for SourceFault {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::State(fault) => Self::State(fault),
            fault => Self::own(fault),
        }
    }
}

impl ReadFault {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), kind: error.kind(), detail: error.to_string() }
    }
}
