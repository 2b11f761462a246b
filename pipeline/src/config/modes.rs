//! Who else may look into a file or change it: its metadata enter, what its mode gives to others leaves.

use std::{
    fs::Metadata,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

/// What others than the owner may do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposure {
    /// Nothing that matters.
    None,
    /// Read it, by this mode.
    Readable(u32),
    /// Change it, everyone on this machine, by this mode.
    Writable(u32),
}

/// What others may do with a file that holds a secret. A group counts if the file is this process's own: who reads a file
/// of another owner by its group has no other way. A pipe, or a device, has no content to be read by others.
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

/// The mode of a directory, if others than its owner may look into it or change it.
pub(super) fn open_directory(directory: &Metadata) -> Option<u32> {
    let mode = directory.permissions().mode() & 0o7777;
    (directory.is_dir() && mode & 0o077 != 0).then_some(mode)
}
