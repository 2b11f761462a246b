//! The rotated files beside a log: the directories they stand in enter, the files leave with what their names say, and
//! the one a mark was taken of is found among them. Nothing is renamed, created or deleted. All calls block.
//!
//! Besides those whose names fit a pattern, a file whose name begins with the log's (`events.ndjson.bak`) is used if it
//! is, by its content, the very file that is looked for.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    SourceFault,
    mark::{FileMark, Inode},
    names::{Packing, Pattern, Rank},
    tail::{self, Tail},
};

/// Where rotated files are looked for.
#[derive(Debug)]
pub(super) struct Siblings {
    directory: PathBuf,
    /// The log's name.
    name: Vec<u8>,
    patterns: Vec<Pattern>,
    /// How many directory entries are looked at, see [`SourceFault::CrowdedDirectory`].
    entries_max: usize,
}

/// A file beside the log.
#[derive(Clone, Debug)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) inode: Inode,
    /// Its size on disk, in bytes.
    pub(super) size: u64,
    /// When it was last changed: seconds since 1970, and nanoseconds.
    pub(super) changed: (i64, i64),
    pub(super) packing: Packing,
    /// What its name says; none if no pattern fits it.
    pub(super) rank: Option<Rank>,
}

impl Siblings {
    /// The siblings of `path`, under the names that `rotated` gives or, if it is empty, that are known anyway.
    pub(super) fn of(path: &Path, rotated: &[String], entries_max: usize) -> Result<Self, SourceFault> {
        let not_a_file = || SourceFault::NotAFile { path: path.to_owned() };
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

    /// The inode of the log's directory; none while it cannot be asked.
    pub(super) fn directory_inode(&self) -> Option<u64> {
        fs::metadata(&self.directory).ok().map(|metadata| metadata.ino())
    }

    /// The file the mark was taken of, or else its longest copy, at `offset`; it must reach that far. `not` says which
    /// are other files for sure.
    pub(super) fn marked(
        &self,
        mark: &FileMark,
        offset: u64,
        not: impl Fn(&Tail) -> bool,
    ) -> Result<Option<Tail>, SourceFault> {
        let mut copy: Option<(bool, u64, Tail)> = None;
        for sibling in self.list()? {
            let Some(mut tail) = sibling.open()? else { continue };
            if not(&tail) || !(tail.is(mark) || tail.begins(mark)) {
                continue;
            }
            if tail.is(mark) && tail.reach(offset)? {
                return Ok(Some(tail));
            }
            // A plain copy can be read from anywhere, and is never half written by a compressor.
            let better = copy
                .as_ref()
                .is_none_or(|(plain, size, _)| (!tail.is_packed(), sibling.size) > (*plain, *size));
            if better && tail.begins(mark) && tail.reach(offset)? {
                copy = Some((!tail.is_packed(), sibling.size, tail));
            }
        }
        Ok(copy.map(|(_, _, tail)| tail))
    }

    /// All files whose names fit, and those whose names begin with the log's. Read until two readings agree: one that
    /// is renamed meanwhile can be missing from a reading.
    pub(super) fn list(&self) -> Result<Vec<Sibling>, SourceFault> {
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

    fn read(&self) -> Result<Vec<Sibling>, SourceFault> {
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

    fn list_one(&self, directory: &Path, siblings: &mut Vec<Sibling>) -> Result<(), SourceFault> {
        let failed = |error| SourceFault::unreadable(directory, &error);
        let entries = match fs::read_dir(directory) {
            // Where nothing has been rotated to as yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != self.directory => {
                return Ok(());
            }
            entries => entries.map_err(failed)?,
        };
        for (seen, entry) in entries.enumerate() {
            if seen == self.entries_max {
                let (directory, limit) = (directory.to_owned(), self.entries_max);
                return Err(SourceFault::CrowdedDirectory { directory, limit });
            }
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.as_bytes();
            let own = directory == self.directory;
            if own && name == self.name {
                continue;
            }
            let (packing, bare) = Packing::of(name);
            let fitting = self.patterns.iter().filter(|pattern| pattern.directory == directory);
            let rank =
                fitting.into_iter().find_map(|pattern| pattern.rank(bare).or_else(|| pattern.rank(name)));
            if rank.is_none() && !(own && name.starts_with(&self.name)) {
                continue;
            }
            let metadata = match fs::metadata(entry.path()) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(SourceFault::unreadable(&entry.path(), &error)),
            };
            if metadata.is_file() {
                siblings.push(Sibling {
                    path: entry.path(),
                    inode: tail::inode(&metadata),
                    size: metadata.len(),
                    changed: (metadata.mtime(), metadata.mtime_nsec()),
                    packing,
                    rank,
                });
            }
        }
        Ok(())
    }
}

impl Sibling {
    /// The file at its beginning; none if it is gone, cannot be decompressed, or is a stranger's that only shares the
    /// name.
    pub(super) fn open(&self) -> Result<Option<Tail>, SourceFault> {
        let opened = match self.packing {
            Packing::Plain => Tail::open(&self.path),
            Packing::Gzip | Packing::Zstd => match Tail::unpack(&self.path, self.packing) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                opened => opened.map_err(|error| SourceFault::unreadable(&self.path, &error)),
            },
            Packing::Other => Ok(None),
        };
        match opened {
            // A rotated one has to be readable.
            Err(_) if self.rank.is_none() => Ok(None),
            opened => opened,
        }
    }

    /// Whether `other` is this file before it was compressed: a compressor may still be at work.
    pub(super) fn is_packed_of(&self, other: &Self) -> bool {
        let stem = self.path.as_os_str().as_bytes();
        self.packing != Packing::Plain
            && other.packing == Packing::Plain
            && Packing::of(stem).1 == other.path.as_os_str().as_bytes()
    }
}
