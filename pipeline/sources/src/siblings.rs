//! Lists the rotated files beside a log with what their names say, and finds the one with a given mark. Nothing is
//! renamed, created or deleted. All calls block.
//!
//! A file whose name fits no pattern but begins with the log's (`events.ndjson.bak`) is used only if its content
//! shows that it is the wanted file.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    ReadFault,
    mark::{FileMark, Inode},
    names::{Compression, Pattern, Rank},
    tail::{self, Tail},
};

/// The directories and patterns of rotated files.
#[derive(Debug)]
pub(super) struct Siblings {
    directory: PathBuf,
    /// The log's name.
    name: Vec<u8>,
    patterns: Vec<Pattern>,
    /// The most directory entries that are read, see [`ReadFault::CrowdedDirectory`].
    entries_max: usize,
}

/// A rotated file beside the log.
#[derive(Clone, Debug)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) inode: Inode,
    /// Its size on disk, in bytes.
    pub(super) size: u64,
    /// When it was last changed: seconds since 1970, and nanoseconds.
    pub(super) changed: (i64, i64),
    pub(super) compression: Compression,
    /// When it was written, by its name; none if no pattern fits.
    pub(super) rank: Option<Rank>,
}

impl Siblings {
    /// The siblings of `path`, with the patterns `rotated`, or the default ones if that is empty.
    pub(super) fn of(path: &Path, rotated: &[String], entries_max: usize) -> Result<Self, ReadFault> {
        let not_a_file = || ReadFault::NotAFile { path: path.to_owned() };
        let name = path.file_name().ok_or_else(not_a_file)?.as_bytes().to_vec();
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let patterns = if rotated.is_empty() {
            Pattern::defaults(&directory, &name)
        } else {
            rotated.iter().filter_map(|text| Pattern::parse(&directory, text)).collect()
        };
        Ok(Self { directory, name, patterns, entries_max })
    }

    /// The inode of the log's directory; none while it cannot be read.
    pub(super) fn directory_inode(&self) -> Option<u64> {
        fs::metadata(&self.directory).ok().map(|metadata| metadata.ino())
    }

    /// The marked file, or else its longest copy, at `offset`, which it must reach. `not` excludes files that are
    /// known to be others.
    pub(super) fn marked(
        &self,
        mark: &FileMark,
        offset: u64,
        not: impl Fn(&Tail) -> bool,
    ) -> Result<Option<Tail>, ReadFault> {
        let mut copy: Option<(bool, u64, Tail)> = None;
        for sibling in self.list()? {
            let Some(mut tail) = sibling.open()? else { continue };
            if not(&tail) || !(tail.is(mark) || tail.begins(mark)) {
                continue;
            }
            if tail.is(mark) && tail.reach(offset)? {
                return Ok(Some(tail));
            }
            // A plain copy can be read from any offset, and is never half written by a compressor.
            let better = copy
                .as_ref()
                .is_none_or(|(plain, size, _)| (!tail.is_compressed(), sibling.size) > (*plain, *size));
            if better && tail.begins(mark) && tail.reach(offset)? {
                copy = Some((!tail.is_compressed(), sibling.size, tail));
            }
        }
        Ok(copy.map(|(_, _, tail)| tail))
    }

    /// All files whose names fit a pattern or begin with the log's. Read until two readings agree, because a file
    /// that is renamed meanwhile can be missing from a reading.
    pub(super) fn list(&self) -> Result<Vec<Sibling>, ReadFault> {
        let places = |listed: &[Sibling]| -> Vec<_> {
            let mut places: Vec<_> = listed.iter().map(|s| (s.path.clone(), s.inode.number)).collect();
            places.sort_unstable();
            places
        };
        let mut before = places(&self.read()?);
        loop {
            let listed = self.read()?;
            let now = places(&listed);
            if now == before {
                return Ok(listed);
            }
            before = now;
        }
    }

    fn read(&self) -> Result<Vec<Sibling>, ReadFault> {
        let mut directories: Vec<&Path> = vec![&self.directory];
        for pattern in &self.patterns {
            if !directories.contains(&&*pattern.directory) {
                directories.push(&pattern.directory);
            }
        }
        let mut siblings = Vec::new();
        for directory in directories {
            self.list_one(directory, &mut siblings)?;
        }
        Ok(siblings)
    }

    fn list_one(&self, directory: &Path, siblings: &mut Vec<Sibling>) -> Result<(), ReadFault> {
        let failed = |error| ReadFault::unreadable(directory, &error);
        let entries = match fs::read_dir(directory) {
            // Nothing has been rotated to it yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != self.directory => {
                return Ok(());
            }
            entries => entries.map_err(failed)?,
        };
        for (seen, entry) in entries.enumerate() {
            if seen == self.entries_max {
                let (directory, limit) = (directory.to_owned(), self.entries_max);
                return Err(ReadFault::CrowdedDirectory { directory, limit });
            }
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.as_bytes();
            let own = directory == self.directory;
            if own && name == self.name {
                continue;
            }
            let (compression, bare) = Compression::of(name);
            let fitting = self.patterns.iter().filter(|pattern| pattern.directory == directory);
            let rank =
                fitting.into_iter().find_map(|pattern| pattern.rank(bare).or_else(|| pattern.rank(name)));
            if rank.is_none() && !(own && name.starts_with(&self.name)) {
                continue;
            }
            let metadata = match fs::metadata(entry.path()) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(ReadFault::unreadable(&entry.path(), &error)),
            };
            if metadata.is_file() {
                siblings.push(Sibling {
                    path: entry.path(),
                    inode: tail::inode(&metadata),
                    size: metadata.len(),
                    changed: (metadata.mtime(), metadata.mtime_nsec()),
                    compression,
                    rank,
                });
            }
        }
        Ok(())
    }
}

impl Sibling {
    /// Opens the file at its beginning; none if it is gone, cannot be decompressed, or fits no pattern and cannot be
    /// read.
    pub(super) fn open(&self) -> Result<Option<Tail>, ReadFault> {
        let opened = match self.compression {
            Compression::Plain => Tail::open(&self.path),
            Compression::Gzip | Compression::Zstd => match Tail::unpack(&self.path, self.compression) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                opened => opened.map_err(|error| ReadFault::unreadable(&self.path, &error)),
            },
            Compression::Other => Ok(None),
        };
        match opened {
            // A rotated file must be readable.
            Err(_) if self.rank.is_none() => Ok(None),
            opened => opened,
        }
    }

    /// Whether `other` is this file before compression: the compressor may still be running.
    pub(super) fn is_compressed_copy_of(&self, other: &Self) -> bool {
        let stem = self.path.as_os_str().as_bytes();
        self.compression != Compression::Plain
            && other.compression == Compression::Plain
            && Compression::of(stem).1 == other.path.as_os_str().as_bytes()
    }
}
