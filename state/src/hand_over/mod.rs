//! Hands one source's state from one directory to another: a checkpoint, what waits on disk and what the ledger knows enter
//! a file in one, and leave it in the other.
//!
//! Guarantees: at every moment, whatever is interrupted, a source's deliveries are on disk in a directory that may read
//! it, or in a file whose import is allowed; a directory that has given a source away gives no checkpoint of it any more;
//! a file that is not whole changes nothing; what an interrupted import has put on disk is never delivered.
//!
//! What cannot be seen here: that one file is imported into two directories.

mod export;
mod fault;
mod file;
mod import;
mod judge;
mod merge;
mod recover;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::checkpoint::{Checkpoint, Horizon};

pub use fault::HandOverFault;
pub use import::Arrival;
pub(crate) use recover::recover;

/// What was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// The source.
    pub source: Arc<str>,
    /// The number of the move.
    pub generation: u64,
    /// Where it resumes.
    pub checkpoint: Checkpoint,
    /// Up to where it may have been sent by a run that left nothing more exact behind.
    pub horizon: Option<Horizon>,
    /// Deliveries that wait on disk.
    pub deliveries: u64,
    /// Entries of the ledger, beside those the deliveries stand for.
    pub entries: u64,
    /// The length of the file, in bytes.
    pub bytes: u64,
}

impl HandOver {
    fn new(header: &file::Header, counts: file::Counts, bytes: u64) -> Self {
        Self {
            source: header.source.clone(),
            generation: header.generation,
            checkpoint: header.checkpoint.clone(),
            horizon: header.horizon,
            deliveries: counts.deliveries,
            entries: counts.entries,
            bytes,
        }
    }
}
