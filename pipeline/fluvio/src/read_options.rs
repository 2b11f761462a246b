//! The options of one partition's reader.

use std::time::Duration;

/// How a partition is read.
#[derive(Clone, Debug)]
pub(super) struct ReadOptions {
    pub(super) stall_after: Duration,
    pub(super) timeout: Duration,
    pub(super) backoff_min: Duration,
    pub(super) backoff_max: Duration,
    pub(super) record_max: usize,
    /// Whether only what is committed is given.
    pub(super) committed: bool,
}
