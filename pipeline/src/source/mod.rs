//! Sources: bytes from outside enter, [`SourceRecord`]s leave, in log order, each with the place to resume at once it
//! is settled. A source reads only while its stream is polled and holds no more than it states: backpressure is
//! simply not polling. Dropping the stream ends the source.

mod chain;
mod counts;
mod custody;
mod fault;
mod file;
mod fluvio;
mod http;
mod lines;
mod mark;
mod names;
mod packed;
mod reader;
mod register;
mod search;
mod siblings;
mod stdin;
mod tail;

use std::sync::Arc;

use futures::Stream;
use stages::models::RawRecord;
use state::{Checkpoint, Position, UnixMillis};

pub use counts::{FileCounts, loss_text};
pub use custody::refuse_moved;
pub use fault::SourceFault;
pub use file::{FileOptions, FileSource, OnUnknown};
pub(crate) use fluvio::is_of as is_fluvio_mark;
pub use fluvio::{
    Checkpoints, ClientCertificate, ClusterClient, ClusterFault, ClusterOptions, Connected, FluvioOptions,
    FluvioSource, Isolation, PartitionClient, PartitionCounts, Partitions, Start, TlsFault, TlsOptions,
    connect as connect_fluvio, mark as fluvio_mark, name_of as fluvio_name,
};
/// What else speaks to a Fluvio cluster needs.
pub(crate) mod cluster {
    pub(crate) use super::fluvio::{
        Backoff, Controller, Leader, answered, controller, is_topic_name, partition_of_name,
    };
}
pub use http::{BLOCK_BYTES, Door, HttpSource, Listener, PostLimits, Token};
pub use lines::{Line, Lines};
pub use register::{FileMemory, FileRegister};
pub use stdin::StdinSource;

/// Whether `text` is a pattern for the names of rotated files, as [`FileOptions::rotated`] takes them.
#[must_use]
pub fn is_rotated_pattern(text: &str) -> bool {
    names::Pattern::parse(std::path::Path::new(""), text).is_some()
}

/// Something records come from.
///
/// The contract of the stream: records come in log order and each exactly once; `next` never goes backwards; a fault
/// is the last item; polling again after the next-future was dropped loses nothing. What was taken from the stream
/// but not settled is read again after a restart from the last checkpoint.
pub trait Source: Send + 'static {
    /// The stable name under which positions and the checkpoint of this source are kept.
    fn name(&self) -> Arc<str>;

    /// How far beyond the newest record the horizon is promised, in the source's unit: one write each so many, and
    /// after a crash everything below it that is not in the ledger counts as a possible repeat. For a file, in bytes,
    /// this is some 600 events.
    fn horizon_step(&self) -> u64 {
        256 * 1024
    }

    /// The records, from the place the source was opened at.
    fn into_stream(self) -> impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static;
}

/// A record, and where to resume once it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    /// The record and its position.
    pub raw: RawRecord,
    /// The place just behind the record.
    pub next: Cursor,
}

/// A [`Checkpoint`] as it travels beside a record: the mark is shared, so a clone allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The incarnation of the source.
    pub epoch: u64,
    /// The place within the epoch.
    pub offset: u64,
    /// The source's own identity bytes, at most [`state::MARK_MAX`].
    pub mark: Arc<[u8]>,
}

impl From<&Cursor> for Checkpoint {
    fn from(cursor: &Cursor) -> Self {
        Self { epoch: cursor.epoch, offset: cursor.offset, mark: cursor.mark.to_vec() }
    }
}

/// How much a line-reading source holds at once: at most `block_bytes` as read, plus `record_bytes_max` of a line
/// whose end is not yet there, plus the one record it is giving out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes asked for in one read; at least 1 is taken. The default, 256 KiB, is large enough that the cost of a
    /// read (a system call and a change of thread) is small beside the work on its lines.
    pub block_bytes: usize,
    /// The longest record given whole, in bytes; of a longer one the beginning is given. At least 1 is taken. The
    /// default, 1 MiB, is a thousand times a common event: what is longer is not one.
    pub record_bytes_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { block_bytes: 256 * 1024, record_bytes_max: 1024 * 1024 }
    }
}

/// The part all records of one block share.
#[derive(Clone, Debug)]
struct Origin {
    source: Arc<str>,
    epoch: u64,
    mark: Arc<[u8]>,
    read_at: UnixMillis,
}

impl Origin {
    fn record(&self, line: Line) -> SourceRecord {
        SourceRecord {
            raw: RawRecord {
                position: Position::new(Arc::clone(&self.source), self.epoch, line.start),
                bytes: line.bytes,
                full_len: line.full_len,
                read_at: self.read_at,
                unreadable: None,
            },
            next: Cursor { epoch: self.epoch, offset: line.end, mark: Arc::clone(&self.mark) },
        }
    }
}
