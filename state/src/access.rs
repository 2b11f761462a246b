//! What is in a state directory is its owner's alone, whatever mode the directory itself has: the events in the database
//! are nobody else's business, and nobody else may hold the lock or change what says how much was written.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

/// What others may do.
const OTHERS: u32 = 0o077;

/// Makes the directory at `path`, with those above it, for its owner alone. One that is there keeps its mode.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Takes from `path` what others may do with it. A file of another owner stays as it is: who may open it decides its owner.
pub(crate) fn close_to_others(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), mode = format!("{mode:04o}"), "others may look into this: it is not this user's");
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
