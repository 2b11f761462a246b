//! The files a source has met: each is put on record before its first byte is handed out, and leaves again at the next
//! start, so that after a crash, a rotation or both every file is known again and read once.

use bincode::{Decode, Encode};

use crate::clock::UnixMillis;

/// A file, as it was met.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MetFile {
    /// The epoch of its positions; no other file of the source has it. Files are read in the order of their epochs.
    pub epoch: u64,
    /// How the source knows it again, at most [`MARK_MAX`](crate::MARK_MAX) bytes.
    pub mark: Vec<u8>,
    /// How far it had been read when it was left, in bytes; none while it is read or still to be read.
    pub len: Option<u64>,
}

/// The place in which a source's files stand, and what stood there before the source was first read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Home {
    /// The directory's inode.
    pub directory: u64,
    /// The marks of the rotated files that were older than the first one read: they are never read.
    pub before: Vec<Vec<u8>>,
}

/// Bytes of a source that could not be read any more.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileLoss {
    /// The epoch of the file.
    pub epoch: u64,
    /// From which byte on.
    pub from: u64,
    /// When it was found out.
    pub at: UnixMillis,
    /// The file and why, in words.
    pub what: String,
}

/// Something to remember of a source's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileRecord {
    /// A file is going to be read, has shown more of its beginning, or has been left. Replaces what its epoch had.
    Met(MetFile),
    /// Where the files stand.
    Home(Home),
    /// Bytes are lost. The same loss, found again, is one.
    Lost(FileLoss),
    /// The file of this epoch needs no remembering any more.
    MetForgotten(u64),
    /// Nor does the loss of this epoch from this byte on.
    LostForgotten(u64, u64),
}

/// What is on record of a source's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFiles {
    /// Where they stand; none before the source was first opened by a version that records it.
    pub home: Option<Home>,
    /// Those that were met, by their epochs: all from the checkpoint's on, and the last before it.
    pub met: Vec<MetFile>,
    /// What was lost, the last of it.
    pub lost: Vec<FileLoss>,
}
