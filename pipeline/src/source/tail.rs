//! An open file that is being read: a path enters, blocks of bytes leave, and the news that the file was truncated or is
//! damaged. A compressed one is read as what it holds: its positions are those of the plain bytes. All calls block.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    SourceFault,
    mark::{FileMark, HEAD_MAX, Inode},
    names::Packing,
    packed::Packed,
};

/// A file, open, and how far it has been read.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    path: PathBuf,
    /// What it holds, if it is compressed: it is not written to any more.
    packed: Option<Packed>,
    pub(super) inode: Inode,
    /// The content's beginning as it was last seen, at most [`HEAD_MAX`] bytes.
    head: Vec<u8>,
    identity: FileMark,
    mark: Arc<[u8]>,
    pub(super) position: u64,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes, at the position before the read.
    Bytes(usize),
    /// Nothing more, as yet.
    End,
    /// The file is no longer the one that was read so far: it is shorter than the position, or begins differently.
    Truncated,
    /// It is compressed, and what follows cannot be decompressed, for this reason.
    Damaged(String),
}

impl Tail {
    /// Opens a file at its beginning; `None` if there is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, SourceFault> {
        match Self::try_open(path) {
            Ok(Some(tail)) => Ok(Some(tail)),
            Ok(None) => Err(SourceFault::NotAFile { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SourceFault::unreadable(path, &error)),
        }
    }

    /// `None` if the path is not a regular file.
    fn try_open(path: &Path) -> io::Result<Option<Self>> {
        // Asked before opening, because opening a pipe waits for its writer.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        let inode = inode(&file.metadata()?);
        let head = read_head(&file)?;
        Ok(Some(Self::new(file, path, inode, head, None)))
    }

    /// Opens a compressed file at the beginning of what it holds; `None` if not even that can be had.
    pub(super) fn unpack(path: &Path, packing: Packing) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let inode = inode(&file.metadata()?);
        let head = {
            let Some(mut packed) = Packed::new(file.try_clone()?, packing)? else { return Ok(None) };
            let mut head = vec![0; HEAD_MAX];
            let Ok(filled) = packed.read(&mut head) else { return Ok(None) };
            head.truncate(filled);
            // A fault within the beginning would leave it shorter than it is.
            if filled < HEAD_MAX && packed.read(&mut [0; 1]).is_err() {
                return Ok(None);
            }
            head
        };
        // The first handle has moved on, and the second shares its place.
        file.seek(SeekFrom::Start(0))?;
        let packed = Packed::new(file.try_clone()?, packing)?;
        Ok(Some(Self::new(file, path, inode, head, packed)))
    }

    fn new(file: File, path: &Path, inode: Inode, head: Vec<u8>, packed: Option<Packed>) -> Self {
        let identity = FileMark::new(inode, &head);
        Self {
            file,
            path: path.to_owned(),
            packed,
            inode,
            head,
            identity,
            mark: identity.encode(),
            position: 0,
        }
    }

    /// Takes the beginning as it is now.
    fn begin_with(&mut self, head: Vec<u8>) {
        self.identity = FileMark::new(self.inode, &head);
        (self.mark, self.head) = (self.identity.encode(), head);
    }

    /// Goes to `offset`; false if there are not so many bytes.
    pub(super) fn reach(&mut self, offset: u64) -> Result<bool, SourceFault> {
        let reached = match &mut self.packed {
            Some(packed) => packed.reach(offset).unwrap_or(false),
            None => self.metadata()?.len() >= offset,
        };
        if reached {
            self.position = offset;
        }
        Ok(reached)
    }

    /// Reads what follows the position into `block` and moves on past it.
    pub(super) fn read(&mut self, block: &mut [u8]) -> Result<Found, SourceFault> {
        let Some(packed) = &mut self.packed else {
            return self.try_read(block).map_err(|error| SourceFault::unreadable(&self.path, &error));
        };
        match packed.read(block) {
            Ok(0) => Ok(Found::End),
            Ok(read) => {
                self.position += read as u64;
                Ok(Found::Bytes(read))
            }
            Err(error) => Ok(Found::Damaged(error.to_string())),
        }
    }

    fn try_read(&mut self, block: &mut [u8]) -> io::Result<Found> {
        let read = read_at(&self.file, block, self.position)?;
        // The beginning is looked at after the read: as long as it is unchanged, so was all that was read. A writer
        // that filled a truncated file up beyond the position is found out only by this.
        let head = read_head(&self.file)?;
        if !head.starts_with(&self.head) || (read == 0 && self.file.metadata()?.len() < self.position) {
            return Ok(Found::Truncated);
        }
        if head.len() > self.head.len() {
            self.begin_with(head);
        }
        self.position += read as u64;
        Ok(if read == 0 { Found::End } else { Found::Bytes(read) })
    }

    /// Goes back to the beginning, taking it as it is now.
    pub(super) fn restart(&mut self) -> Result<(), SourceFault> {
        let head = read_head(&self.file).map_err(|error| SourceFault::unreadable(&self.path, &error))?;
        self.begin_with(head);
        self.position = 0;
        Ok(())
    }

    /// Whether this is the marked file itself.
    pub(super) fn is(&self, mark: &FileMark) -> bool {
        mark.may_be(self.inode) && (mark.head_len() == 0 || self.begins(mark))
    }

    /// Whether this begins as the marked file does: that one, or a copy of it.
    pub(super) fn begins(&self, mark: &FileMark) -> bool {
        let whole = mark.head_len() > 0 && mark.has_head_of(&self.identity);
        whole || (mark.head_len() < self.head.len() && mark.begins(&self.head))
    }

    /// The identity, fingerprinted over at least all bytes read so far or [`HEAD_MAX`].
    pub(super) fn mark(&self) -> &Arc<[u8]> {
        &self.mark
    }

    /// The identity of the file as it was when it was last read without a surprise.
    pub(super) fn identity(&self) -> FileMark {
        self.identity
    }

    /// How much of the beginning is known, in bytes: all there is, if it is less than [`HEAD_MAX`].
    pub(super) fn head_len(&self) -> usize {
        self.head.len()
    }

    pub(super) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn metadata(&self) -> Result<fs::Metadata, SourceFault> {
        self.file.metadata().map_err(|error| SourceFault::unreadable(&self.path, &error))
    }
}

pub(super) fn inode(metadata: &fs::Metadata) -> Inode {
    Inode { device: metadata.dev(), number: metadata.ino() }
}

fn read_head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_MAX];
    let mut filled = 0;
    while filled < HEAD_MAX {
        match read_at(file, &mut head[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    head.truncate(filled);
    Ok(head)
}

fn read_at(file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(block, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn opened(content: &[u8]) -> (tempfile::NamedTempFile, Tail) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let tail = Tail::open(file.path()).unwrap().unwrap();
        (file, tail)
    }

    #[test]
    fn the_mark_is_taken_anew_while_the_file_is_shorter_than_the_fingerprint() {
        let (mut file, mut tail) = opened(b"");
        let mut marks = vec![Arc::clone(tail.mark())];
        let mut block = [0; 4096];
        for _ in 0..3 {
            file.write_all(&[b'x'; 600]).unwrap();
            assert_eq!(tail.read(&mut block).unwrap(), Found::Bytes(600));
            marks.push(Arc::clone(tail.mark()));
        }
        assert!(marks[0] != marks[1] && marks[1] != marks[2]);
        assert!(Arc::ptr_eq(&marks[2], &marks[3]), "1,024 bytes are fingerprinted: from here on it stays");
        for mark in &marks[1..] {
            assert!(tail.is(&FileMark::decode(mark).unwrap()));
        }
    }

    #[test]
    fn a_truncated_file_is_found_out_even_if_it_has_grown_past_the_position() {
        for refill in [&b""[..], b"ab", b"xyz456", b"xyz456789"] {
            let (file, mut tail) = opened(b"abc123");
            let mut block = [0; 16];
            assert_eq!(tail.read(&mut block).unwrap(), Found::Bytes(6));
            assert_eq!(tail.read(&mut block).unwrap(), Found::End);
            fs::write(file.path(), refill).unwrap();
            assert_eq!(tail.read(&mut block).unwrap(), Found::Truncated, "{refill:?}");
            tail.restart().unwrap();
            let found = if refill.is_empty() { Found::End } else { Found::Bytes(refill.len()) };
            assert_eq!(tail.read(&mut block).unwrap(), found);
        }
    }

    #[test]
    fn what_is_not_a_file_is_refused_and_what_is_missing_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Tail::open(dir.path()), Err(SourceFault::NotAFile { .. })));
        assert!(Tail::open(&dir.path().join("none")).unwrap().is_none());
    }
}
