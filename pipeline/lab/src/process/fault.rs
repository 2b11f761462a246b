//! Why a process is of no use any more: each fault names it, and what it said last.

use std::io;

/// A process did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProcessFault {
    /// It cannot be started.
    #[error("{what} cannot be started: {error}")]
    Start {
        /// The process.
        what: String,
        /// The system's words.
        error: io::Error,
    },
    /// It ended by itself, or its streams broke off.
    #[error("{what} ended unexpectedly; what it said last: {said}")]
    Gone {
        /// The process.
        what: String,
        /// The end of its log.
        said: String,
    },
    /// It takes too long.
    #[error("{what} stands still {until}, for {seconds} s now; what it said last: {said}")]
    Stalled {
        /// The process.
        what: String,
        /// What was waited for.
        until: String,
        /// How long.
        seconds: u64,
        /// The end of its log.
        said: String,
    },
}
