//! What can go wrong with a source: each fault names the thing, the value and the way out. The line stops; nothing
//! that was settled is lost, and the next start resumes at the checkpoint.

use std::{io, net::SocketAddr, path::Path, path::PathBuf, sync::Arc};

use state::{StateFault, UnixMillis};

use super::ClusterFault;
use crate::dead::moment;

/// A failure of a source.
///
/// A rotation that cannot be followed is no fault: it is warned of and counted, see
/// [`FileCounts`](super::FileCounts).
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceFault {
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
    /// The log begins as the one that was read, and is shorter than what was read of it.
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
    /// The log stands in another directory than the one that was read, and is another log.
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
    /// The address for posts cannot be had.
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
    /// A Fluvio cluster did not answer, or has no such topic or partition, and is not waited for.
    #[error("the cluster at {endpoint}: {fault}; check [source], or wait for it: leave out --fail-fast")]
    Cluster {
        /// The controller's address.
        endpoint: String,
        /// What went wrong.
        fault: ClusterFault,
    },
    /// A certificate or a key for a Fluvio cluster cannot be used.
    #[error(
        "{path} cannot be used for TLS: {detail}; give PEM files in source.tls_ca_file, tls_cert_file and tls_key_file"
    )]
    Tls {
        /// The file.
        path: PathBuf,
        /// The words of the TLS library.
        detail: String,
    },
    /// The partition is another process's by now.
    #[error(
        "{source_name} was exported from this state directory at {at}, to {file} (move {generation}): another process reads it now; leave it out of source.partitions, or take it back: import that file here, if it was not imported anywhere else (loadline state import)"
    )]
    GivenAway {
        /// The source's name.
        source_name: String,
        /// The file it was exported to.
        file: String,
        /// When, in RFC 3339.
        at: String,
        /// The number of the move.
        generation: u64,
    },
    /// The partition has not arrived as a whole.
    #[error(
        "an import of {source_name} from {file} was interrupted at {at}: import that file again (loadline state import), or leave the partition out of source.partitions"
    )]
    Arriving {
        /// The source's name.
        source_name: String,
        /// The file that was being imported.
        file: String,
        /// When, in RFC 3339.
        at: String,
    },
    /// The task that finds a partition's place has ended without one.
    #[error("the place to begin {source_name} at was not found: its task has ended; start again")]
    Unbegun {
        /// The source's name.
        source_name: Arc<str>,
    },
    /// There is no checkpoint, and the config asks for one.
    #[error(
        "{source_name} has no checkpoint in this state directory, and source.start = \"checkpoint\" asks for one: check state.dir, or set source.start to \"beginning\", \"end\" or {{ offset = … }} for the first run"
    )]
    NoCheckpoint {
        /// The source's name.
        source_name: Arc<str>,
    },
    /// The log no longer has records that have not been read.
    #[error("{source_name} has lost the records {from} to {to}: they are no longer in the log, its retention was shorter than they waited; restore them, or stop and go on without them: loadline state seek --partition {partition} --to {} --config FILE", to + 1)]
    Lost {
        /// The source's name.
        source_name: Arc<str>,
        /// The partition.
        partition: u32,
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// The log says it has records, and never gives them.
    #[error("{source_name} does not give the records {from} to {to}, however often it is read again from there: look at the cluster's log; to go on without them: loadline state seek --partition {partition} --to {} --config FILE", to + 1)]
    Hole {
        /// The source's name.
        source_name: Arc<str>,
        /// The partition.
        partition: u32,
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// Another record stands where the last one that was taken stood.
    #[error(
        "{source_name} is another log than the one that was read: at {offset} there is another record than the one that was taken{}; the topic was deleted and made anew, or the cluster has replaced records. Nothing of it was read; give a new topic another name or a state directory of its own, or say where to go on in it: loadline state seek --partition {partition} --to OFFSET --config FILE", times(*taken_at, *found_at)
    )]
    AnotherLog {
        /// The source's name.
        source_name: Arc<str>,
        /// The partition.
        partition: u32,
        /// Where the record stands.
        offset: u64,
        /// When the one that was taken was produced, if its producer said so.
        taken_at: Option<UnixMillis>,
        /// When the one that stands there now was produced.
        found_at: Option<UnixMillis>,
    },
    /// Standard input, or what stands for it, failed.
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

/// When two records were produced.
fn times(taken: Option<UnixMillis>, found: Option<UnixMillis>) -> String {
    let text = |at: Option<UnixMillis>| at.map_or_else(|| "an unknown time".to_owned(), moment::text);
    if taken.is_none() && found.is_none() {
        return String::new();
    }
    format!(" (produced at {}, and that at {})", text(found), text(taken))
}

impl SourceFault {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), kind: error.kind(), detail: error.to_string() }
    }
}
