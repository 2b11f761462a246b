//! The rotated siblings of a followed file: a directory enters; the file a checkpoint was in, and the file that came
//! after a given one, leave. Nothing is renamed, created or deleted. All calls block.
//!
//! A sibling is a file of the same directory whose name is the configured file's and then some. Of these,
//! `events.ndjson.1`, `events.ndjson-20260101` and the like (digits and separators only) count as rotated; those
//! with the ending of a compressor cannot be read and are reported; any other (`events.ndjson.bak`) is used only if
//! it is, by its content, the very file that is looked for.

use std::{
    cmp::Reverse,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    SourceFault,
    mark::{FileMark, Inode},
    tail::{self, Tail},
};

/// Where rotated files are looked for.
#[derive(Debug)]
pub(super) struct Siblings {
    directory: PathBuf,
    /// The configured file's name.
    name: OsString,
    /// How many directory entries are looked at, see [`SourceFault::CrowdedDirectory`].
    entries_max: usize,
}

/// What comes after a file.
#[derive(Debug)]
pub(super) enum Successor {
    /// Nothing yet.
    None,
    /// A file that has itself been rotated, at its beginning. `skipped` lie between, compressed.
    Rotated { tail: Tail, skipped: Vec<PathBuf> },
    /// The file at the configured path, at its beginning. `skipped` lie between, compressed.
    Current { tail: Tail, skipped: Vec<PathBuf> },
    /// The directory changed under the search: ask again.
    Unsettled,
}

#[derive(Debug)]
struct Sibling {
    path: PathBuf,
    inode: Inode,
    size: u64,
    kind: Kind,
    age: Age,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rotated,
    Compressed,
    Other,
}

/// The order in which files were written: by their last change; where clocks are too coarse, `.2` is older than
/// `.1`, and dates are in their own order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    changed: (i64, i64),
    number: Reverse<u64>,
    name: OsString,
}

impl Siblings {
    /// The siblings of `path`.
    pub(super) fn of(path: &Path, entries_max: usize) -> Result<Self, SourceFault> {
        let name = path.file_name().ok_or_else(|| SourceFault::NotAFile { path: path.to_owned() })?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self { directory, name: name.to_owned(), entries_max })
    }

    /// The file the mark was taken of, or else its longest copy, at `offset`; it must reach that far.
    pub(super) fn marked(&self, mark: &FileMark, offset: u64) -> Result<Option<Tail>, SourceFault> {
        let mut copy: Option<(u64, Tail)> = None;
        for sibling in self.list()?.into_iter().filter(|s| s.kind != Kind::Compressed && s.size >= offset) {
            let mut tail = match Tail::open(&sibling.path) {
                Ok(Some(tail)) => tail,
                Ok(None) => continue,
                // A stranger's file that happens to share the name; a rotated one has to be readable.
                Err(_) if sibling.kind == Kind::Other => continue,
                Err(fault) => return Err(fault),
            };
            tail.position = offset;
            if tail.is(mark, offset)? {
                return Ok(Some(tail));
            }
            if tail.continues(mark, offset)? && copy.as_ref().is_none_or(|(size, _)| sibling.size > *size) {
                copy = Some((sibling.size, tail));
            }
        }
        Ok(copy.map(|(_, tail)| tail))
    }

    /// The oldest rotated file that is younger than `last`, or else the file at `path`.
    ///
    /// Empty files are passed over: nothing is in them, and a writer may not have found the new one yet.
    pub(super) fn after(&self, last: &Tail, path: &Path) -> Result<Successor, SourceFault> {
        // Opened before the directory is read: whatever is renamed in between is then seen as rotated, not missed.
        let current = Tail::open(path)?.filter(|current| current.inode != last.inode);
        let siblings = self.list()?;
        let listed = siblings.iter().find(|sibling| sibling.inode == last.inode);
        let last_age = match listed {
            Some(sibling) => sibling.age.clone(),
            None => Age::of(&last.metadata()?, OsStr::new("")),
        };
        let oldest = siblings
            .iter()
            .filter(|s| s.kind == Kind::Rotated && s.size > 0 && s.age > last_age && s.inode != last.inode)
            .filter(|s| current.as_ref().is_none_or(|current| current.inode != s.inode))
            .min_by(|a, b| a.age.cmp(&b.age));
        // A compressor gives its output the time of its input: `last`, compressed, is not younger than itself.
        let skipped = siblings
            .iter()
            .filter(|s| s.kind == Kind::Compressed && s.age.changed > last_age.changed)
            .filter(|s| oldest.is_none_or(|oldest| s.age.changed < oldest.age.changed))
            .map(|s| s.path.clone())
            .collect();
        let Some(oldest) = oldest else {
            let current = match current {
                Some(current) if current.metadata()?.len() > 0 => current,
                _ => return Ok(Successor::None),
            };
            return Ok(Successor::Current { tail: current, skipped });
        };
        match Tail::open(&oldest.path)? {
            Some(tail) if tail.inode == oldest.inode => Ok(Successor::Rotated { tail, skipped }),
            _ => Ok(Successor::Unsettled),
        }
    }

    fn list(&self) -> Result<Vec<Sibling>, SourceFault> {
        let failed = |error| SourceFault::unreadable(&self.directory, &error);
        let mut siblings = Vec::new();
        for (seen, entry) in fs::read_dir(&self.directory).map_err(failed)?.enumerate() {
            if seen == self.entries_max {
                return Err(SourceFault::CrowdedDirectory {
                    directory: self.directory.clone(),
                    limit: self.entries_max,
                });
            }
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some(suffix) = name.as_bytes().strip_prefix(self.name.as_bytes()) else { continue };
            if suffix.is_empty() {
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
                    kind: Kind::of(suffix),
                    age: Age::of(&metadata, OsStr::from_bytes(suffix)),
                });
            }
        }
        Ok(siblings)
    }
}

impl Kind {
    fn of(suffix: &[u8]) -> Self {
        const COMPRESSED: [&[u8]; 8] = [b".gz", b".zst", b".bz2", b".xz", b".lz4", b".lzma", b".zip", b".Z"];
        const SEPARATORS: &[u8] = b".-_:+TZ";
        if COMPRESSED.iter().any(|ending| suffix.ends_with(ending)) {
            return Self::Compressed;
        }
        let rotated = suffix.iter().all(|byte| byte.is_ascii_digit() || SEPARATORS.contains(byte))
            && SEPARATORS[..3].contains(&suffix[0])
            && suffix.iter().any(u8::is_ascii_digit);
        if rotated { Self::Rotated } else { Self::Other }
    }
}

impl Age {
    fn of(metadata: &Metadata, suffix: &OsStr) -> Self {
        // A count of rotations has few digits; a longer number is a date, which grows with time.
        let number = suffix.to_str().and_then(|suffix| suffix.strip_prefix('.')).filter(|s| s.len() <= 5);
        Self {
            changed: (metadata.mtime(), metadata.mtime_nsec()),
            number: Reverse(number.and_then(|number| number.parse().ok()).unwrap_or(0)),
            name: suffix.to_owned(),
        }
    }
}
