//! Why a source cannot be exported or imported. Each fault names the thing, the value and the way out.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{fault::StateFault, store::CommitFault, text::Word};

/// Why a source is not exported or not imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferFault {
    /// The state directory failed.
    #[error(transparent)]
    State(#[from] StateFault),
    /// There is nothing to export.
    #[error(
        "{source_name} has no checkpoint in this state directory: nothing of it was ever settled here, so there is nothing to hand over; check the partition and state.dir"
    )]
    NotHere {
        /// The source.
        source_name: String,
    },
    /// The source was exported before.
    #[error(
        "{source_name} was exported from here already, to {file} (move {generation}): import that file where it goes, or here to take it back"
    )]
    AlreadyExported {
        /// The source.
        source_name: String,
        /// The file it is in.
        file: String,
        /// The number of that move.
        generation: u64,
    },
    /// An import of the source was interrupted.
    #[error("an import of {source_name} from {file} was interrupted: import that file again first")]
    ImportInterrupted {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
    },
    /// The file to be written exists.
    #[error(
        "{path} is there already and is not overwritten: give the name of a new file; what an interrupted export has left must not be imported: remove it"
    )]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{path}: {kind}: {detail}; check its directory, its permissions and the free space of its disk")]
    File {
        /// The file.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The system's words.
        detail: String,
    },
    /// The file is complete, but it is unknown whether the source is fenced.
    #[error(
        "{path} is written, but {fault}; as long as `loadline status` does not show {source_name} as given away, do not import the file: remove it and export again"
    )]
    NotFenced {
        /// The file.
        path: PathBuf,
        /// The source.
        source_name: String,
        /// What failed.
        fault: StateFault,
    },
    /// The file is not an export.
    #[error("{path} is not a partition's export: give a file that `loadline state export` has written")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer version.
    #[error(
        "{path} has format {found}, this version knows formats up to {known}: import it with the newer version"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The file is cut or has changed since it was written.
    #[error("{path} is damaged: {detail}; nothing was changed: copy it again from where it was exported")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file cannot be read twice.
    #[error("{path} is not a regular file: give the file that `loadline state export` has written")]
    NoFile {
        /// The path that was given.
        path: PathBuf,
    },
    /// The file is intact, but holds what no export writes.
    #[error(
        "{path} cannot be taken in: {detail}; nothing was changed: no `loadline state export` has written this"
    )]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file has changed between its two readings.
    #[error(
        "{path} has changed while it was imported; {source_name} is not read here until it is imported again"
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The source.
        source_name: String,
    },
    /// The file is another source's.
    #[error("{path} holds {}, which is none of {expected}*: check source.topic and the file", Word(.source_name))]
    OtherSource {
        /// The file.
        path: PathBuf,
        /// The source in it.
        source_name: String,
        /// What sources of this config begin with.
        expected: String,
    },
    /// The directory reads the source already.
    #[error(
        "{source_name} has a checkpoint in this state directory, at {offset}, and was not exported from it: it is read here, or was; use another state.dir"
    )]
    Occupied {
        /// The source.
        source_name: String,
        /// The offset of the checkpoint.
        offset: u64,
    },
    /// The directory knows of a later move, or has imported this one.
    #[error(
        "{path} is move {found} of {source_name}, and this state directory knows of move {known}: it was imported here before, or a later export took its place; import the latest"
    )]
    Superseded {
        /// The file.
        path: PathBuf,
        /// The source.
        source_name: String,
        /// The file's number.
        found: u64,
        /// The number known here.
        known: u64,
    },
    /// Deliveries for a broker that the config does not name.
    #[error(
        "{deliveries} deliveries in the file are for broker {}, which the config does not name: nobody would deliver them; add the broker, and disable it if it is to get nothing (what waits becomes dead letters then)",
        Word(.broker)
    )]
    UnknownBroker {
        /// The broker.
        broker: Arc<str>,
        /// How many are for it.
        deliveries: u64,
    },
    /// Deliveries that do not fit into a broker's disk queue.
    #[error(
        "the disk queue of {broker} holds {used} bytes, {more} more would come, and limits.spill_broker_max is {max}: raise it to at least {}, or start Loadline so that some drain first", used + more
    )]
    NoRoom {
        /// The broker.
        broker: Arc<str>,
        /// Bytes that wait already.
        used: u64,
        /// Bytes in the file.
        more: u64,
        /// The bound.
        max: u64,
    },
    /// Deliveries that do not fit beside everything else that waits.
    #[error(
        "all disk queues hold {used} bytes, {more} more would come, and limits.spill_total_max is {max}: raise it to at least {}, or start Loadline so that some drain first", used + more
    )]
    NoRoomAtAll {
        /// Bytes that wait already.
        used: u64,
        /// Bytes in the file.
        more: u64,
        /// The bound.
        max: u64,
    },
}

impl TransferFault {
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::File { path: path.to_owned(), kind: error.kind(), detail: error.to_string() }
    }
}

impl CommitFault for TransferFault {
    fn keeps_open(&self) -> bool {
        matches!(self, Self::State(fault) if fault.keeps_open())
    }
}
