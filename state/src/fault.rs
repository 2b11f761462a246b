//! Faults of the state directory. Each names the thing, the value and the way out.

use std::{
    any::Any,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinError;

/// A failure of the state directory. The line stops; nothing that was recorded is lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateFault {
    /// Another process owns the directory.
    #[error(
        "state directory {path} is in use by another process: ask that process with `loadline status`, or stop it first: only one may run over a `state.dir`"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be read or written.
    #[error("state directory {path}: {detail}; {}", remedy(*kind, detail))]
    Io {
        /// The directory or the file in it.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The system's words.
        detail: String,
    },
    /// The store is damaged.
    #[error(
        "state directory {path} is damaged: {detail}; nothing is delivered from it: keep a copy, let `loadline state check` say what is damaged, then save what is whole with `loadline state repair --to NEW-DIRECTORY`, or restore a backup"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The store was written by a newer version.
    #[error(
        "state directory {path} has format {found}, this version knows formats up to {known}: run the newer version, or give this one its own `state.dir`"
    )]
    TooNew {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A value in the store cannot be read.
    #[error(
        "the state directory is damaged: a value in {tree} cannot be read: {detail}; nothing is delivered from it: keep a copy, let `loadline state check` say what is damaged, then save what is whole with `loadline state repair --to NEW-DIRECTORY`, or restore a backup"
    )]
    Undecodable {
        /// The tree the value stands in.
        tree: &'static str,
        /// What was found.
        detail: String,
    },
    /// More records wait for the ledger than deliveries can be in flight: a bound is broken inside Loadline.
    #[error("more than {bound} records wait for the ledger: this is a defect of Loadline, please report it")]
    Overrun {
        /// The bound.
        bound: usize,
    },
    /// The disk does not answer.
    #[error(
        "state directory {path}: the ledger thread has been writing for {limit:?}: the disk does not answer; check the disk and what it is mounted from, or raise `state.commit_timeout` if it is only slow"
    )]
    Stuck {
        /// The directory.
        path: PathBuf,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A thread that the state needs has panicked.
    #[error(
        "{thread} ended unexpectedly: {detail}; nothing that was recorded is lost: run again, and if it happens again report it with the log"
    )]
    Panicked {
        /// Which thread, in words.
        thread: String,
        /// What it said.
        detail: String,
    },
    /// The log to which the state of partitions also goes has failed.
    #[error("the log of partition states failed: {detail}")]
    PartitionLog {
        /// What went wrong, and the way out.
        detail: Arc<str>,
    },
    /// The ledger thread has ended, after an earlier fault that was reported.
    #[error("the ledger is closed: an earlier fault ended it, or the line is stopping")]
    Closed,
}

impl StateFault {
    /// A panic's payload as the fault of `thread`.
    #[must_use]
    pub fn panicked(thread: impl Into<String>, payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let detail = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Self::Panicked { thread: thread.into(), detail: detail.to_owned() }
    }

    /// A read of the store on a thread of its own that did not come to its end.
    #[must_use]
    pub fn interrupted(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(payload) => Self::panicked("a read of the state directory", &*payload),
            // The runtime is going.
            Err(_) => Self::Closed,
        }
    }

    /// Whether the store may wait for ever when it is closed after this: a write has failed or does not end.
    #[must_use]
    pub fn keeps_open(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Stuck { .. } | Self::Panicked { .. })
    }
}

/// The way out of a failed read or write.
fn remedy(kind: io::ErrorKind, detail: &str) -> &'static str {
    // The kind of these two has no stable name.
    let no_descriptor = detail.contains("(os error 24)") || detail.contains("(os error 23)");
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "the disk is full: make room on it and run again; nothing that was recorded is lost"
        }
        _ if no_descriptor => {
            "no file descriptor is left: raise the limit (`ulimit -n`, or `LimitNOFILE=` of the service) and run again"
        }
        io::ErrorKind::PermissionDenied => "run this as its owner, or give it to who runs this",
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "something that is no directory has this name: name another `state.dir`"
        }
        io::ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only",
        _ => "check its owner, its permissions and the free space of its disk",
    }
}

/// An I/O error as a fault of the state directory at `path`.
pub(crate) fn io_fault(path: &Path, error: &io::Error) -> StateFault {
    StateFault::Io { path: path.to_owned(), kind: error.kind(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_failed_write_names_the_way_out_of_its_own_cause() {
        let told = |errno| io_fault(Path::new("/s"), &io::Error::from_raw_os_error(errno)).to_string();
        for (errno, words) in [
            (28, "disk is full"),
            (27, "disk is full"),
            (24, "ulimit -n"),
            (13, "as its owner"),
            (17, "no directory"),
        ] {
            assert!(told(errno).contains(words) && told(errno).contains("/s"), "{}", told(errno));
        }
    }

    #[test]
    fn a_panic_says_what_it_said_and_who_it_was() {
        for payload in [Box::new("broken") as Box<dyn Any + Send>, Box::new("broken".to_owned())] {
            let fault = StateFault::panicked("the ledger thread", &*payload);
            assert!(
                fault.keeps_open()
                    && fault.to_string().contains("the ledger thread ended unexpectedly: broken")
            );
        }
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_told_once_and_with_the_way_out() {
        let told = |error: io::Error| {
            let (kind, detail) = (error.kind(), error.to_string());
            StateFault::Io { path: "state".into(), kind, detail }.to_string()
        };
        let denied = told(io::Error::from_raw_os_error(13));
        assert_eq!(denied.to_lowercase().matches("permission denied").count(), 1, "{denied}");
        assert!(denied.contains("as its owner"), "{denied}");
        let file = told(io::Error::from_raw_os_error(17));
        assert!(file.contains("no directory") && !file.contains("free space"), "{file}");
    }
}
