//! Restricts the files of a state directory to their owner, whatever mode the directory itself has. The database
//! holds events, and whoever can write the lock or the commit counter could have the directory refused.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

/// The permission bits of everyone but the owner.
const OTHERS: u32 = 0o077;

/// Creates the directory at `path` and its parents for the owner alone. An existing one keeps its mode.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes the permissions of others from `path`. A file of another owner is not changed: its owner decides who may
/// open it.
pub(crate) fn close_to_others(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), mode = format!("{mode:04o}"), "others may read this file: it belongs to another user, so its mode is not changed");
            Ok(())
        }
        closed => closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Durability, Store, StoreOptions};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_in_a_state_directory_is_its_owners_also_if_the_directory_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        for was in ["new", "an earlier release's"] {
            let options = StoreOptions {
                durability: Durability::Process,
                dedupe_window: 1_000,
                cache: 8 << 20,
                clock: Clock::System,
            };
            drop(Store::open(&path, options).unwrap());
            for name in ["lock", "sled", "commits"] {
                assert_eq!(mode(&path.join(name)) & OTHERS, 0, "{name} of a directory that was {was}");
                fs::set_permissions(path.join(name), Permissions::from_mode(0o755)).unwrap();
            }
            if was == "new" {
                assert_eq!(mode(&path), 0o700);
            }
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
    }
}
