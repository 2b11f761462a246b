//! Notes about a valid config that will cause trouble on this machine as it is now: checks what its paths lead to.

use std::{fs, io, path::Path};

use super::{Config, SourceKind};
use kafka_engine::{GroupOptions, Reading};

/// What to know before a run. Changes nothing.
#[must_use]
pub fn notes(config: &Config) -> Vec<String> {
    let source = match &config.source.kind {
        SourceKind::File { path, follow, .. } => source_file(path, *follow),
        SourceKind::Kafka(kafka) => group(&kafka.reading),
        SourceKind::Stdin | SourceKind::Http(_) | SourceKind::Fluvio(_) => None,
    };
    source.into_iter().chain(state_dir(&config.state.dir)).collect()
}

/// What a group means whose members share nothing but committed offsets.
fn group(reading: &Reading) -> Option<String> {
    let Reading::Group(GroupOptions { id, .. }) = reading else { return None };
    Some(format!(
        "source.group {id}: a partition that moves takes its committed offset along, and not what this directory knows: \
         what waits on disk here is delivered from here, so later events of its loads may come before it from another \
         member; and after a crash another member repeats what was delivered and not committed, under the same webhook-id"
    ))
}

fn source_file(path: &Path, follow: bool) -> Option<String> {
    let shown = path.display();
    match (fs::File::open(path).and_then(|file| file.metadata()), follow) {
        (Ok(found), _) if found.is_dir() => {
            Some(format!("source.path {shown} is a directory: no run can read it"))
        }
        (Ok(_), _) => None,
        (Err(error), true) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("source.path {shown} is not there: a run waits until it is"))
        }
        (Err(error), false) if error.kind() == io::ErrorKind::NotFound => Some(format!(
            "source.path {shown} is not there and not followed: a run would fail; make the file, or set source.follow"
        )),
        (Err(error), _) => Some(format!("source.path {shown} cannot be read here: {error}")),
    }
}

fn state_dir(path: &Path) -> Option<String> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Some(format!("state.dir {shown} is no directory: no run can use it")),
        Ok(_) => rustix::fs::access(path, rustix::fs::Access::WRITE_OK)
            .is_err()
            .then(|| format!("state.dir {shown} cannot be written by this user")),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_is_told_and_what_that_means_for_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.ndjson");
        let told = |follow| source_file(&path, follow).unwrap_or_default();
        assert!(told(false).contains("not there and not followed: a run would fail"), "{}", told(false));
        assert!(told(true).contains("a run waits"), "{}", told(true));
        fs::write(&path, "").unwrap();
        assert_eq!((told(false), told(true)), (String::new(), String::new()));
        assert!(source_file(dir.path(), false).unwrap().contains("is a directory"));
        assert!(state_dir(&path).unwrap().contains("is no directory"));
        assert_eq!((state_dir(dir.path()), state_dir(&dir.path().join("new"))), (None, None));
    }
}
