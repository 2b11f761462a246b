//! Moves a source's state from one directory to another: the export writes its checkpoint, its waiting deliveries and the
//! ledger to a file, and the import reads them.
//!
//! Guarantees, whatever is interrupted: a source's deliveries are on disk in a directory that may read it, or in a file
//! whose import is allowed; a directory that has exported a source gives no checkpoint of it any more; an incomplete file
//! changes nothing; what an interrupted import has written is never delivered.
//!
//! Not detectable here: one file imported into two directories.

mod export;
mod fault;
mod file;
mod import;
mod merge;
mod recover;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;

use crate::checkpoint::{Checkpoint, Horizon};

pub use fault::TransferFault;
pub use import::ImportRules;
pub(crate) use merge::merge;
pub(crate) use recover::{drop_copies, forget, recover};

/// The result of an export or import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionTransfer {
    /// The source.
    pub source: Arc<str>,
    /// The number of the move.
    pub generation: u64,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The doubt: up to where an earlier run may have sent it.
    pub horizon: Option<Horizon>,
    /// Deliveries that wait on disk.
    pub deliveries: u64,
    /// Ledger entries, without those of the waiting deliveries.
    pub entries: u64,
    /// The length of the file, in bytes.
    pub bytes: u64,
}

impl PartitionTransfer {
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
