//! The directory of a command that needs files of its own: it is made empty, and goes away at the end unless it is asked
//! to stay.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// A directory of a command's own; removed at the end unless it is to be kept.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    /// Whether it stays.
    pub(super) keep: bool,
}

impl Directory {
    /// A directory for `what`: `keep`, which `option` names and which must not exist or be empty, or one that goes away.
    pub(super) fn make(what: &str, keep: Option<&Path>, option: &str) -> anyhow::Result<Self> {
        let path = match keep {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("loadline-{what}-{}", std::process::id())),
        };
        if fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{} is not empty; give {option} a new directory", path.display());
        }
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, keep: keep.is_some() })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(directory = %self.path.display(), %error, "its files stay");
        }
    }
}
