//! Opens a partition's stream at an offset, and verifies that it is the log that was read before.
//!
//! A topic that is deleted and recreated has the same name, and may have grown beyond the offset. So the stream is
//! opened one record earlier, and that record must be the last one read. What follows on the same stream is of the
//! same log.
//!
//! Runs in a task of its own: its timeouts are about the cluster, not about how often a full line polls for a record.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use tokio::time::sleep;
use topics::RecordMark;

use super::{
    partition::{Bounds, ClusterFault, LogRecord, Partition, mark_of},
    read_options::ReadOptions,
    timeout::within_timeout,
};

/// A stream to be opened.
pub(super) struct Opening<P> {
    pub(super) partition: Arc<P>,
    /// The offset of the next record.
    pub(super) expected: u64,
    /// The record before it, if it is known.
    pub(super) last: Option<RecordMark>,
    /// The pause before.
    pub(super) pause: Duration,
    pub(super) options: ReadOptions,
}

/// The result.
pub(super) struct Opened<Records> {
    pub(super) bounds: Bounds,
    pub(super) found: Found<Records>,
}

/// What was found at the offset.
pub(super) enum Found<Records> {
    /// The log ends before the offset, or begins after it.
    Nothing,
    /// A stream whose next record is the expected one.
    Stream(Records),
    /// A stream that should begin at the first offset and began at the second.
    Gap(u64, u64),
    /// Another record than the last one read.
    Other {
        /// The one that was read.
        taken: RecordMark,
        /// The one that is there.
        found: RecordMark,
    },
}

impl<P: Partition> Opening<P> {
    /// Opens the stream. Takes at most the pause, four times the timeout, and the time after which a silent stream
    /// has stalled.
    pub(super) async fn run(self) -> Result<Opened<P::Records>, ClusterFault> {
        sleep(self.pause).await;
        let bounds = within_timeout(self.options.timeout, "a connection", self.partition.connect()).await?;
        // Checked first: a stream beyond the end of a log is silent for ever.
        if bounds.end < self.expected || bounds.start > self.expected {
            return Ok(Opened { bounds, found: Found::Nothing });
        }
        // Retention may have removed it since.
        let Some(taken) = self.last.filter(|last| last.offset >= bounds.start) else {
            return Ok(Opened { bounds, found: Found::Stream(self.stream(self.expected).await?) });
        };
        let mut records = self.stream(taken.offset).await?;
        let first = first(&mut records, taken.offset);
        let first = within_timeout(self.options.stall_after, "a read of the last record taken", first).await;
        let why = match first {
            Ok(found) if found.offset > self.expected => {
                return Ok(Opened { bounds, found: Found::Gap(taken.offset, found.offset) });
            }
            Ok(found) if found.offset > taken.offset => "the log no longer has it",
            Ok(found) if mark_of(&found) == taken => {
                return Ok(Opened { bounds, found: Found::Stream(records) });
            }
            Ok(found) if found.unreadable.is_some() => "its batch cannot be read any more",
            Ok(found) => {
                let found = Found::Other { taken, found: mark_of(&found) };
                return Ok(Opened { bounds, found });
            }
            Err(ClusterFault::BatchTooLong { .. }) => "its batch is longer than source.max_bytes by now",
            Err(fault) => return Err(fault),
        };
        // It was settled, so failing to read it again must not block what follows.
        tracing::warn!(
            offset = taken.offset,
            why,
            "the last record read cannot be compared with the one at its offset; reading continues after it"
        );
        drop(records);
        let bounds = within_timeout(self.options.timeout, "a connection", self.partition.connect()).await?;
        Ok(Opened { bounds, found: Found::Stream(self.stream(self.expected).await?) })
    }

    async fn stream(&self, at: u64) -> Result<P::Records, ClusterFault> {
        within_timeout(self.options.timeout, "a stream", self.partition.open(at)).await
    }
}

/// The record at `at`, or the first one after it.
async fn first<Records>(records: &mut Records, at: u64) -> Result<LogRecord, ClusterFault>
where
    Records: Stream<Item = Result<LogRecord, ClusterFault>> + Unpin,
{
    loop {
        let record = records.next().await.ok_or(ClusterFault::Ended)??;
        if record.last >= at {
            return Ok(record);
        }
    }
}
