//! Who has a source that can be moved: this directory, another one that it was given to, or none yet because it is only
//! arriving. Enters with an export or an import, and is asked before the source is read.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::{clock::UnixMillis, spilled::SpillSeq};

/// What a directory knows of the moves of one source. A source that was never moved has none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Custody {
    /// The number of the latest move this directory knows of, from 1 on: each export has one of its own, above all before
    /// it that the exporting directory knew of.
    pub generation: u64,
    /// Who has the source.
    pub holding: Holding,
}

/// Who has a source.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Holding {
    /// This directory.
    Here,
    /// Whoever imports the file it was exported to.
    Away {
        /// Since when.
        since: UnixMillis,
        /// The file, as its path was then.
        file: String,
        /// Whether what moved has been removed here; until it has, the directory is only usable once it is.
        cleared: bool,
    },
    /// Nobody yet: a file was being imported, and that did not come to its end.
    Arriving {
        /// Since when.
        since: UnixMillis,
        /// The file, as its path was then.
        file: String,
        /// The least number of a move that may be imported.
        least: u64,
        /// The deliveries that the import may have put on disk: of which broker, the first number, and the one behind the
        /// last.
        queued: Vec<(Arc<str>, SpillSeq, SpillSeq)>,
    },
}

impl Custody {
    /// The least number of a move that may be imported over `custody`: a later one than is known, or the one with which
    /// the source was given away.
    pub(crate) fn least(custody: Option<&Self>) -> u64 {
        match custody {
            None => 0,
            Some(Self { generation, holding: Holding::Here }) => generation.saturating_add(1),
            Some(Self { generation, holding: Holding::Away { .. } }) => *generation,
            Some(Self { holding: Holding::Arriving { least, .. }, .. }) => *least,
        }
    }
}
