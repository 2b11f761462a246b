//! A cluster as the source sees it: the port between what decides (places, ownership, commits) and what talks to a
//! cluster. The tests put a scripted consumer behind it.

use std::sync::Arc;

use bytes::Bytes;
use state::UnixMillis;
use topics::RecordMark;

use crate::{fault::ClusterFault, headers::Headers};

/// A record of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogRecord {
    /// Its offset, its time and the digest of its whole value.
    pub(crate) mark: RecordMark,
    /// The value, or its beginning if it is longer than it may be; none for a tombstone.
    pub(crate) value: Option<Bytes>,
    /// How long the value is.
    pub(crate) full_len: u64,
    /// Its headers, of those that are used.
    pub(crate) headers: Headers,
    /// Its key, where keys are asked for.
    pub(crate) key: Option<Bytes>,
}

impl LogRecord {
    /// Where it stands.
    pub(crate) fn offset(&self) -> u64 {
        self.mark.offset
    }

    /// When it was produced or appended, if that is told.
    pub(crate) fn at(&self) -> Option<UnixMillis> {
        self.mark.at
    }
}

/// What a partition's queue holds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    /// A record.
    Record(LogRecord),
    /// All that is in the log has been given.
    End,
    /// The place is not in the log; nothing more comes.
    OutOfRange,
    /// Something else is in the way; the client tries on.
    Trouble(ClusterFault),
}

/// What of a record is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The longest value that is copied whole, in bytes.
    pub(crate) record_max: usize,
    /// The header that is the event's id, besides those that Loadline always uses.
    pub(crate) id_header: Option<Arc<str>>,
}

impl Wanted {
    /// Values of any length.
    pub(crate) const WHOLE: Self = Self { record_max: usize::MAX, id_header: None };
}

/// A partition's own queue, which the client fills up to its bound, whoever reads it or not.
pub(crate) trait PartitionQueue: Send + 'static {
    /// What is next, at once; none if there is nothing. Of a value longer than is wanted only the beginning is
    /// copied.
    fn next(&mut self, wanted: &Wanted) -> Option<Queued>;
}

/// What a partition's log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The first offset that is still there.
    pub(crate) start: u64,
    /// The first offset that is not there yet; of what is committed, if only that is given.
    pub(crate) end: u64,
}

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadFrom {
    /// This offset.
    Offset(u64),
    /// The oldest record, as soon as the leader says which.
    Oldest,
    /// Behind the newest record, likewise.
    Newest,
}

/// An offset of the group, with what was written beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    /// The partition.
    pub(crate) partition: i32,
    /// The offset of the next record to be read.
    pub(crate) offset: u64,
    /// A text of whoever committed it.
    pub(crate) metadata: String,
}

/// A consumer of one topic. What is asked of the cluster ends within the client's timeout, and may fail.
pub(crate) trait Consumer: Send + Sync + 'static {
    /// A partition's queue.
    type Queue: PartitionQueue;

    /// Makes the queue of `partition`, to be done before it is assigned; `wake` is called whenever it was empty and is
    /// not any more. The queue before it must be gone.
    fn queue(
        &self,
        partition: i32,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self::Queue, ClusterFault>;

    /// Reads these partitions from now on too.
    fn assign(&self, places: &[(i32, ReadFrom)]) -> Result<(), ClusterFault>;

    /// Reads these partitions no more.
    fn unassign(&self, partitions: &[i32]) -> Result<(), ClusterFault>;

    /// Commits these offsets to the group.
    fn commit(&self, offsets: Vec<Offset>) -> impl Future<Output = Result<(), ClusterFault>> + Send;

    /// What the group has committed of these partitions; those without are left out.
    fn committed(
        &self,
        partitions: Vec<i32>,
    ) -> impl Future<Output = Result<Vec<Offset>, ClusterFault>> + Send;

    /// What the log of `partition` holds.
    fn bounds(&self, partition: i32) -> impl Future<Output = Result<Bounds, ClusterFault>> + Send;

    /// How many partitions the topic has.
    fn count(&self) -> impl Future<Output = Result<i32, ClusterFault>> + Send;
}
