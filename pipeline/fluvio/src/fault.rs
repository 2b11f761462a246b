//! Faults of a topic. Each names the thing, the value and the way out. The line stops; nothing settled is lost, and
//! the next start resumes at the checkpoint.

use std::{path::PathBuf, sync::Arc};

use line::SourceFault;
use state::{StateFault, UnixMillis, timestamp};

use super::ClusterFault;

/// A fault of a Fluvio source or another client of a cluster.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TopicFault {
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The checkpoint's mark was not written by a Fluvio source of this or an earlier version.
    #[error(
        "the checkpoint of {source_name} has a mark of {len} bytes that is not a Fluvio partition's: it was written by another kind of source or a newer version; run that one, or remove the checkpoint to read from the start"
    )]
    ForeignMark {
        /// The source's name.
        source_name: Arc<str>,
        /// The length of the mark in bytes.
        len: usize,
    },
    /// This build cannot talk to a cluster.
    #[error(
        "this build of Loadline has no Fluvio client: build it with the feature fluvio, which is on by default"
    )]
    NoClient,
    /// The task that reads was lost.
    #[error("reading {source_name} was interrupted: {detail}; start again, it resumes at the checkpoint")]
    Interrupted {
        /// The source's name.
        source_name: Arc<str>,
        /// Whether it was cancelled, with the runtime, or panicked.
        detail: String,
    },
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
        /// The TLS library's message.
        detail: String,
    },
    /// The partition was exported from this directory.
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
    /// The partition's import was not completed.
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
    /// The task that finds a partition's start offset has ended without one.
    #[error("the place to begin {source_name} at was not found: its task has ended; start again")]
    Unbegun {
        /// The source's name.
        source_name: Arc<str>,
    },
    /// There is no checkpoint, but the config requires one.
    #[error(
        "{source_name} has no checkpoint in this state directory, and source.start = \"checkpoint\" asks for one: check state.dir, or set source.start to \"beginning\", \"end\" or {{ offset = … }} for the first run"
    )]
    NoCheckpoint {
        /// The source's name.
        source_name: Arc<str>,
    },
    /// The log no longer has records that were not read yet.
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
    /// The log has records according to its bounds, but never gives them.
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
    /// At the offset of the last record read there is another record.
    #[error(
        "{source_name} is another log than the one that was read: at {offset} there is another record than the one that was taken{}; the topic was deleted and made anew, or the cluster has replaced records. Nothing of it was read; give a new topic another name or a state directory of its own, or say where to go on in it: loadline state seek --partition {partition} --to OFFSET --config FILE", times(*taken_at, *found_at)
    )]
    AnotherLog {
        /// The source's name.
        source_name: Arc<str>,
        /// The partition.
        partition: u32,
        /// The record's offset.
        offset: u64,
        /// When the record that was read was produced, if known.
        taken_at: Option<UnixMillis>,
        /// When the record that is there now was produced, if known.
        found_at: Option<UnixMillis>,
    },
}

/// When two records were produced.
fn times(taken: Option<UnixMillis>, found: Option<UnixMillis>) -> String {
    let text = |at: Option<UnixMillis>| at.map_or_else(|| "an unknown time".to_owned(), timestamp::text);
    if taken.is_none() && found.is_none() {
        return String::new();
    }
    format!(" (produced at {}, and that at {})", text(found), text(taken))
}

impl From<TopicFault> for SourceFault {
    fn from(fault: TopicFault) -> Self {
        match fault {
            TopicFault::State(fault) => Self::State(fault),
            fault => Self::own(fault),
        }
    }
}
