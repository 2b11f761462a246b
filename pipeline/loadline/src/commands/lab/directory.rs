//! A directory for a command's own files: created empty and for its owner alone, and removed at the end unless it is
//! to be kept. An existing one must be empty and belong to this user.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// For its owner alone.
const MODE: u32 = 0o700;

/// A directory for a command's own files; removed at the end unless it is to be kept.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    /// Whether it is kept.
    pub(super) keep: bool,
}

impl Directory {
    /// A directory for `what`: `keep`, given by `option`, which must not exist or be empty; or a temporary one.
    pub(super) fn make(what: &str, keep: Option<&Path>, option: &str) -> anyhow::Result<Self> {
        let path = match keep {
            Some(path) => {
                kept(path, option)?;
                path.to_owned()
            }
            None => {
                // Its name is random, so nobody can have prepared it.
                let permissions = Permissions::from_mode(MODE);
                let prefix = format!("loadline-{what}-");
                let made = tempfile::Builder::new().prefix(&prefix).permissions(permissions).tempdir();
                made.context("a temporary directory")?.keep()
            }
        };
        Ok(Self { path, keep: keep.is_some() })
    }
}

/// Creates `path`, or uses it if it is empty and belongs to this user.
fn kept(path: &Path, option: &str) -> anyhow::Result<()> {
    let shown = path.display();
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    match DirBuilder::new().mode(MODE).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| shown.to_string()),
    }
    let found = fs::metadata(path).with_context(|| shown.to_string())?;
    if found.uid() != rustix::process::geteuid().as_raw() || found.permissions().mode() & 0o022 != 0 {
        bail!("{shown} belongs to another user or can be written by others; give {option} a new directory");
    }
    if fs::read_dir(path).with_context(|| shown.to_string())?.next().is_some() {
        bail!("{shown} is not empty; give {option} a new directory");
    }
    Ok(())
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(directory = %self.path.display(), %error, "temporary files could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_directory_has_a_name_nobody_knows_and_is_its_owners() {
        let (one, other) = (Directory::make("test", None, "--keep"), Directory::make("test", None, "--keep"));
        let (one, other) = (one.unwrap(), other.unwrap());
        let name = one.path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            name.starts_with("loadline-test-") && !name.contains(&std::process::id().to_string()),
            "{name}"
        );
        assert_ne!(one.path, other.path);
        assert_eq!(mode(&one.path), 0o700);
        let path = one.path.clone();
        drop(one);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_is_there_is_taken_only_if_it_is_empty_and_nobody_else_can_write_there() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("a/b");
        let kept = Directory::make("test", Some(&made), "--keep").unwrap();
        drop(kept);
        assert_eq!((made.exists(), mode(&made)), (true, 0o700));
        assert!(Directory::make("test", Some(&made), "--keep").is_ok(), "it is empty and ours");
        fs::set_permissions(&made, Permissions::from_mode(0o777)).unwrap();
        let refusal = |path: &Path| Directory::make("test", Some(path), "--keep").err().unwrap().to_string();
        assert!(refusal(&made).contains("another user"), "{}", refusal(&made));
        fs::set_permissions(&made, Permissions::from_mode(0o755)).unwrap();
        fs::write(made.join("file"), "").unwrap();
        assert!(refusal(&made).contains("not empty; give --keep"), "{}", refusal(&made));
        assert!(refusal(&made.join("file")).contains("file"), "a file is no directory");
    }
}
