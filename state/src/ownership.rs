//! Which state directory owns a source that can be moved: this one, the one that imports the exported file, or none
//! while an import is incomplete. Written by an export or an import, and read before the source is.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::{clock::UnixMillis, spilled::SpillSeq};

/// The stored moves of one source. A source that was never moved has none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ownership {
    /// The number of the latest move known here, from 1 on. Each export gets its own, above all that the exporting
    /// directory knew of.
    pub generation: u64,
    /// Who owns the source.
    pub owner: Owner,
}

/// Who owns a source.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Owner {
    /// This directory.
    Here,
    /// The directory that imports the exported file.
    Exported {
        /// Since when.
        since: UnixMillis,
        /// The path of the file at that time.
        file: String,
        /// Whether the exported deliveries have been removed here; if not, opening the directory removes them.
        cleared: bool,
    },
    /// Nobody yet: an import was interrupted.
    Importing {
        /// Since when.
        since: UnixMillis,
        /// The file, as its path was then.
        file: String,
        /// The least move number that may be imported.
        least: u64,
        /// The deliveries that the import may have written: the broker, the first number, and the one after the last.
        queued: Vec<(Arc<str>, SpillSeq, SpillSeq)>,
    },
}

impl Ownership {
    /// The least move number that may be imported over `ownership`: a later one than is known, or the one with which
    /// the source was exported.
    pub(crate) fn least(ownership: Option<&Self>) -> u64 {
        match ownership {
            None => 0,
            Some(Self { generation, owner: Owner::Here }) => generation.saturating_add(1),
            Some(Self { generation, owner: Owner::Exported { .. } }) => *generation,
            Some(Self { owner: Owner::Importing { least, .. }, .. }) => *least,
        }
    }
}
