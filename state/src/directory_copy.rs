//! A temporary copy of a state directory for a reader that must not change the original: readable by its owner alone,
//! and removed when it is dropped.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::fault::{StateFault, io_fault};

/// The database's directory within a state directory.
const DATABASE: &str = "sled";

/// A temporary copy of a state directory.
#[derive(Debug)]
pub(crate) struct DirectoryCopy {
    of: PathBuf,
    path: PathBuf,
}

impl DirectoryCopy {
    /// Copies the state directory `of` to `path`, which must not exist.
    pub(crate) fn of(of: &Path, path: &Path) -> Result<Self, StateFault> {
        let made = [path, &path.join(DATABASE)].map(|dir| DirBuilder::new().mode(0o700).create(dir));
        made.into_iter().collect::<io::Result<()>>().map_err(|error| io_fault(path, &error))?;
        let copy = Self { of: of.to_owned(), path: path.to_owned() };
        copy.make().map_err(|error| io_fault(path, &error))?;
        Ok(copy)
    }

    fn make(&self) -> io::Result<()> {
        copy_files(&self.of, &self.path)?;
        copy_files(&self.of.join(DATABASE), &self.database())?;
        let blobs = self.of.join(DATABASE).join("blobs");
        if blobs.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(self.database().join("blobs"))?;
            copy_files(&blobs, &self.database().join("blobs"))?;
        }
        Ok(())
    }

    /// Copies again, without the database's files whose names begin with one of `names`.
    pub(crate) fn again_without(&self, names: &[&str]) -> Result<(), StateFault> {
        let again = self.make().and_then(|()| {
            for entry in fs::read_dir(self.database())? {
                let entry = entry?;
                let name = entry.file_name();
                if names.iter().any(|begin| name.to_string_lossy().starts_with(begin)) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        });
        again.map_err(|error| io_fault(&self.path, &error))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

impl Drop for DirectoryCopy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the copy could not be removed");
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
