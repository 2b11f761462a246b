//! The sources `file`, `stdin` and `http`: each is a stream of [`SourceRecord`]s in log order, each with the place to
//! resume at once it is settled. A source reads only while its stream is polled and holds no more than it states:
//! backpressure is simply not polling. Dropping the stream ends the source.

mod compressed;
mod counts;
mod fault;
mod file;
mod http;
mod known_files;
mod lines;
pub mod listening;
mod mark;
mod names;
mod reader;
mod register;
mod search;
mod siblings;
mod stdin;
mod tail;

use std::sync::Arc;

use line::{Cursor, SourcePartition, SourceRecord};
use stages::models::RawRecord;
use state::{Position, UnixMillis};

pub use counts::{FileCounts, loss_text};
pub use fault::ReadFault;
pub use file::{FileOptions, FileSource, OnUnknown};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use http::fuzzing;
pub use http::{BLOCK_BYTES, HttpSource, Listener, PostLimits, StrictCheck, Token};
pub use lines::{Line, Lines};
pub use register::{FileMemory, FileRegister};
pub use stdin::StdinSource;

/// Whether `text` is a pattern for the names of rotated files, as [`FileOptions::rotated`] takes them.
#[must_use]
pub fn is_rotated_pattern(text: &str) -> bool {
    names::Pattern::parse(std::path::Path::new(""), text).is_some()
}

/// How much a line-reading source holds at once: at most `block_bytes` as read, `record_bytes_max` of an incomplete
/// line, and the record it is emitting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes requested in one read, at least 1. The default, 256 KiB, makes the cost of a read (a system call and a
    /// change of thread) small beside the work on its lines.
    pub block_bytes: usize,
    /// The longest complete record, in bytes, at least 1; a longer one is cut. The default, 1 MiB, is a thousand
    /// times a common event.
    pub record_bytes_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { block_bytes: 256 * 1024, record_bytes_max: 1024 * 1024 }
    }
}

/// What all records of one block share.
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
                id: None,
                traceparent: None,
            },
            next: Cursor { epoch: self.epoch, offset: line.end, mark: Arc::clone(&self.mark) },
        }
    }
}
