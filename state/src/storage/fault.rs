//! sled's errors as faults of the state directory.

use std::path::{Path, PathBuf};

use super::Error;
use crate::fault::{StateFault, io_fault};

/// A sled error as a fault of the state directory at `path`.
pub(crate) fn database_fault(path: &Path, error: Error) -> StateFault {
    let path = PathBuf::from(path);
    match error {
        Error::Io(error) => io_fault(&path, &error),
        Error::Corruption { .. }
        | Error::ReportableBug(_)
        | Error::Unsupported(_)
        | Error::CollectionNotFound(_) => {
            let detail = error.to_string().trim_end_matches(" backtrace ()").to_owned();
            StateFault::Damaged { path, detail }
        }
    }
}
