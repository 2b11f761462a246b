//! What stops the line: a fault of the state or the source, or a ticket nobody settled.

use std::sync::Arc;

use stages::models::Fault;
use state::StateFault;

use crate::source::SourceFault;

/// Why the line stopped before its input ended and without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum LineFault {
    /// The state directory failed.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceFault),
    /// Two partitions of one name at a time.
    #[error(
        "the source gives partition {partition} while it is being read: this is a defect of Loadline, please report it with the log; the next run reads it from its checkpoint"
    )]
    PartitionTwice {
        /// Its name.
        partition: Arc<str>,
    },
    /// A thread or its runtime could not be started.
    #[error("thread {name} cannot be started: {error}; raise the limits on threads and open files")]
    Thread {
        /// The thread's name.
        name: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// A record's ticket, or a share of one, was dropped unsettled.
    #[error(
        "{count} deliveries were dropped unsettled: this is a defect of Loadline, please report it with the log; the next run reads them again"
    )]
    Unsettled {
        /// How many.
        count: u64,
    },
    /// A shard ended without a report: it panicked.
    #[error(
        "shard {shard} ended unexpectedly: this is a defect of Loadline, please report it with the log; the next run reads its records again"
    )]
    ShardLost {
        /// Which.
        shard: usize,
    },
}

impl From<Fault> for LineFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::State(fault) => Self::State(fault),
        }
    }
}
