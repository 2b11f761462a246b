//! What is stored of a source's files. Each file is recorded before its first byte is read, so that after a crash, a
//! rotation or both every file is recognised and read once.

use bincode::{Decode, Encode};

use crate::clock::UnixMillis;

/// A file of a source.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KnownFile {
    /// The epoch of its positions, unique within the source. Files are read in the order of their epochs.
    pub epoch: u64,
    /// How the source recognises it, at most [`MARK_MAX`](crate::MARK_MAX) bytes.
    pub mark: Vec<u8>,
    /// How many bytes of it were read in all; none while it is being read or not read yet.
    pub len: Option<u64>,
}

/// The directory of a source's files, and what was in it before the source was first read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct SourceDirectory {
    /// The directory's inode.
    pub directory: u64,
    /// The marks of rotated files older than the first one read. They are never read.
    pub before: Vec<Vec<u8>>,
}

/// Bytes of a source that were lost before they were read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileLoss {
    /// The epoch of the file.
    pub epoch: u64,
    /// The first lost byte.
    pub from: u64,
    /// When the loss was found.
    pub at: UnixMillis,
    /// The file and why, in words.
    pub what: String,
}

/// A change to what is stored of a source's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileRecord {
    /// A file will be read, its mark has grown, or it has been read to its end. Replaces the entry of its epoch.
    Known(KnownFile),
    /// The directory of the files.
    Directory(SourceDirectory),
    /// Bytes are lost. The same loss found again is stored once.
    Lost(FileLoss),
    /// The file of this epoch is forgotten.
    ForgetKnown(u64),
    /// The loss of this epoch from this byte on is forgotten.
    ForgetLost(u64, u64),
}

/// What is stored of a source's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFiles {
    /// Their directory; none before the source was first opened by a version that stores it.
    pub home: Option<SourceDirectory>,
    /// The known files, by their epochs: all from the checkpoint's on, and the last ones before it.
    pub met: Vec<KnownFile>,
    /// The last losses.
    pub lost: Vec<FileLoss>,
}
