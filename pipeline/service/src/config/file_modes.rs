//! What a file's mode lets others than its owner do.

use std::{
    fs::Metadata,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

/// What others than the owner may do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposure {
    /// Nothing relevant.
    None,
    /// Others may read it, by this mode.
    Readable(u32),
    /// Everyone on this machine may change it, by this mode.
    Writable(u32),
}

/// What others may do with a file that holds a secret. The group counts only if the file is this process's own:
/// otherwise reading by the group may be intended. A pipe or a device has no content that others could read.
pub(super) fn exposure(file: &Metadata) -> Exposure {
    let mode = file.permissions().mode() & 0o7777;
    let own = file.uid() == rustix::process::geteuid().as_raw();
    match mode {
        _ if !file.is_file() => Exposure::None,
        mode if mode & 0o002 != 0 => Exposure::Writable(mode),
        mode if mode & 0o004 != 0 || (own && mode & 0o060 != 0) => Exposure::Readable(mode),
        _ => Exposure::None,
    }
}

/// The mode of a directory that others than its owner may read or change.
pub(super) fn open_directory(directory: &Metadata) -> Option<u32> {
    let mode = directory.permissions().mode() & 0o7777;
    (directory.is_dir() && mode & 0o077 != 0).then_some(mode)
}
