//! The port through which a partition's state leaves this process: what the ledger thread records of a partition is also
//! appended to a log outside, from which whoever reads the partition next restores it.
//!
//! Guarantee asked of a log: changes of one partition are kept in the order in which they were appended.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{checkpoint::Horizon, outcome::LedgerEntry, position::Position, spilled::SpilledDelivery};

/// A change of a partition's state. Times are wall-clock times, because another process has another monotonic time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionChange {
    /// An event of the partition has an outcome at a broker.
    Outcome {
        /// The broker.
        broker: Arc<str>,
        /// The event.
        event_id: Arc<str>,
        /// The outcome, as the ledger keeps it.
        entry: LedgerEntry,
    },
    /// A delivery of the partition waits on disk, or is replaced there. Its name is its broker and its position: the number
    /// it has on disk is this process's own.
    Waiting(Box<SpilledDelivery>),
    /// A delivery of the partition waits no longer.
    Done {
        /// The broker.
        broker: Arc<str>,
        /// The position of its event.
        position: Position,
    },
    /// The partition may be read up to here; none after a clean end.
    Horizon(Option<Horizon>),
}

/// What is restored of a partition: first every outcome, then what the one before has left open, then what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// An event of the partition has an outcome at a broker.
    Outcome {
        /// The broker.
        broker: Arc<str>,
        /// The event.
        event_id: Arc<str>,
        /// The outcome, by the wall clock.
        entry: LedgerEntry,
    },
    /// All outcomes have been given. None if whoever had the partition before has ended in good order; otherwise up to where
    /// it may have read, and what waits may have been sent, too.
    Left(Option<Horizon>),
    /// A delivery waits. Its number is the one that its next broker queue gives it.
    Waiting(Box<SpilledDelivery>),
}

/// A log outside this process for the changes of partitions.
pub trait PartitionLog: fmt::Debug + Send + Sync {
    /// Appends changes of the partition `source`, in this order, which is that of the calls. Resolves once all of them are
    /// durable there. A second call may be made before the first has resolved; its changes come after.
    ///
    /// # Errors
    /// [`PartitionLogFault`]: the log will not take them; nothing of the partition may be settled any more.
    fn append(&self, source: &Arc<str>, changes: Vec<PartitionChange>) -> Appended;
}

/// Changes that are on their way to a [`PartitionLog`].
pub type Appended = Pin<Box<dyn Future<Output = Result<(), PartitionLogFault>> + Send>>;

/// Why a [`PartitionLog`] has not taken changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionLogFault {
    /// Somebody else has the partition.
    #[error("partition {source_name} belongs to another member since its epoch {epoch}")]
    Superseded {
        /// The partition's source name.
        source_name: Arc<str>,
        /// The epoch of the other member's claim.
        epoch: u64,
    },
    /// The log failed for good.
    #[error("the log of partition states failed: {detail}")]
    Failed {
        /// What went wrong, and the way out.
        detail: Arc<str>,
    },
}
