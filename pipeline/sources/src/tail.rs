//! An open file that is being read: returns blocks of bytes, and reports truncation and damage. Positions in a
//! compressed file are those of its plain bytes. All calls block.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    ReadFault,
    compressed::Compressed,
    mark::{FileMark, HEAD_MAX, Inode},
    names::Compression,
};

/// An open file and its position.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    path: PathBuf,
    /// Its content, if it is compressed; such a file is not written to any more.
    compressed: Option<Compressed>,
    pub(super) inode: Inode,
    /// The content's beginning when it was last read, at most [`HEAD_MAX`] bytes.
    head: Vec<u8>,
    identity: FileMark,
    mark: Arc<[u8]>,
    pub(super) position: u64,
}

/// The result of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This many bytes, from the position before the read.
    Bytes(usize),
    /// Nothing more yet.
    End,
    /// The file was truncated or replaced: it is shorter than the position, or begins differently.
    Truncated,
    /// The rest of a compressed file cannot be decompressed, for this reason.
    Damaged(String),
}

impl Tail {
    /// Opens a file at its beginning; `None` if there is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, ReadFault> {
        match Self::try_open(path) {
            Ok(Some(tail)) => Ok(Some(tail)),
            Ok(None) => Err(ReadFault::NotAFile { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ReadFault::unreadable(path, &error)),
        }
    }

    /// `None` if the path is not a regular file.
    fn try_open(path: &Path) -> io::Result<Option<Self>> {
        // Checked before opening, because opening a pipe waits for its writer.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        let inode = inode(&file.metadata()?);
        let head = read_head(&file)?;
        Ok(Some(Self::new(file, path, inode, head, None)))
    }

    /// Opens a compressed file at the beginning of its content; `None` if that cannot be decompressed.
    pub(super) fn unpack(path: &Path, compression: Compression) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let inode = inode(&file.metadata()?);
        let head = {
            let Some(mut compressed) = Compressed::new(file.try_clone()?, compression)? else {
                return Ok(None);
            };
            let mut head = vec![0; HEAD_MAX];
            let Ok(filled) = compressed.read(&mut head) else { return Ok(None) };
            head.truncate(filled);
            // An error within the beginning would make the fingerprint too short.
            if filled < HEAD_MAX && compressed.read(&mut [0; 1]).is_err() {
                return Ok(None);
            }
            head
        };
        // The first handle has moved, and a duplicate shares its position.
        file.seek(SeekFrom::Start(0))?;
        let compressed = Compressed::new(file.try_clone()?, compression)?;
        Ok(Some(Self::new(file, path, inode, head, compressed)))
    }

    fn new(file: File, path: &Path, inode: Inode, head: Vec<u8>, compressed: Option<Compressed>) -> Self {
        let identity = FileMark::new(inode, &head);
        Self {
            file,
            path: path.to_owned(),
            compressed,
            inode,
            head,
            identity,
            mark: identity.encode(),
            position: 0,
        }
    }

    /// Sets the beginning.
    fn begin_with(&mut self, head: Vec<u8>) {
        self.identity = FileMark::new(self.inode, &head);
        (self.mark, self.head) = (self.identity.encode(), head);
    }

    /// Seeks to `offset`; false if the content is shorter.
    pub(super) fn reach(&mut self, offset: u64) -> Result<bool, ReadFault> {
        let reached = match &mut self.compressed {
            Some(compressed) => compressed.reach(offset).unwrap_or(false),
            None => self.metadata()?.len() >= offset,
        };
        if reached {
            self.position = offset;
        }
        Ok(reached)
    }

    /// Reads from the position into `block` and advances.
    pub(super) fn read(&mut self, block: &mut [u8]) -> Result<Found, ReadFault> {
        let Some(compressed) = &mut self.compressed else {
            return self.try_read(block).map_err(|error| ReadFault::unreadable(&self.path, &error));
        };
        match compressed.read(block) {
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
        // The beginning is checked after the read: if it is unchanged, so is everything that was read. Only this
        // detects a writer that has filled a truncated file beyond the position.
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

    /// Goes back to the beginning, and reads its fingerprint again.
    pub(super) fn restart(&mut self) -> Result<(), ReadFault> {
        let head = read_head(&self.file).map_err(|error| ReadFault::unreadable(&self.path, &error))?;
        self.begin_with(head);
        self.position = 0;
        Ok(())
    }

    /// Whether this is the marked file itself.
    pub(super) fn is(&self, mark: &FileMark) -> bool {
        mark.may_be(self.inode) && (mark.head_len() == 0 || self.begins(mark))
    }

    /// Whether this is the marked file or a copy of it, by its beginning.
    pub(super) fn begins(&self, mark: &FileMark) -> bool {
        let whole = mark.head_len() > 0 && mark.has_head_of(&self.identity);
        whole || (mark.head_len() < self.head.len() && mark.begins(&self.head))
    }

    /// The identity, fingerprinted over at least all bytes read so far or [`HEAD_MAX`].
    pub(super) fn mark(&self) -> &Arc<[u8]> {
        &self.mark
    }

    /// The identity of the file at its last successful read.
    pub(super) fn identity(&self) -> FileMark {
        self.identity
    }

    /// How many bytes of the beginning are known: all, if there are less than [`HEAD_MAX`].
    pub(super) fn head_len(&self) -> usize {
        self.head.len()
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn metadata(&self) -> Result<fs::Metadata, ReadFault> {
        self.file.metadata().map_err(|error| ReadFault::unreadable(&self.path, &error))
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
        assert!(matches!(Tail::open(dir.path()), Err(ReadFault::NotAFile { .. })));
        assert!(Tail::open(&dir.path().join("none")).unwrap().is_none());
    }
}
