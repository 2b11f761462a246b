//! Opens a partition's stream: the place to go on at and the last record taken enter; a stream that stands at that place,
//! of the log that was read before, leaves, or what stands in its way.
//!
//! A topic that is deleted and made anew has the same name, and may have grown beyond the place by now. So the stream is
//! opened one record earlier, and that record must be the one that was taken. What comes over the same stream behind it
//! is of the same log.
//!
//! Runs in a task of its own: its timeouts are about the cluster, not about how often a full line asks for a record.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use tokio::time::sleep;

use super::{
    feed::Pace,
    look::answered,
    mark::Taken,
    partition::{Bounds, ClusterFault, LogRecord, Partition},
};

/// What is to be opened.
pub(super) struct Opening<P> {
    pub(super) partition: Arc<P>,
    /// The offset of the next record.
    pub(super) expected: u64,
    /// The record before it, if it is known.
    pub(super) last: Option<Taken>,
    /// How long to wait before.
    pub(super) pause: Duration,
    pub(super) pace: Pace,
}

/// What has come of it.
pub(super) struct Opened<Records> {
    pub(super) bounds: Bounds,
    pub(super) found: Found<Records>,
}

/// What was found at the place.
pub(super) enum Found<Records> {
    /// The log does not reach it, or begins behind it.
    Nothing,
    /// A stream whose next record is the expected one.
    Stream(Records),
    /// A stream that was to begin at the first and began at the second.
    Gap(u64, u64),
    /// Another record than the one that was taken.
    Other {
        /// The one that was taken.
        taken: Taken,
        /// The one that is there.
        found: Taken,
    },
}

impl<P: Partition> Opening<P> {
    /// Opens it. Takes at most the pause, four times the timeout, and as long as a stream may be silent.
    pub(super) async fn run(self) -> Result<Opened<P::Records>, ClusterFault> {
        sleep(self.pause).await;
        let bounds = answered(self.pace.timeout, "a connection", self.partition.connect()).await?;
        // Asked first: beyond its end, a log is silent for ever.
        if bounds.end < self.expected || bounds.start > self.expected {
            return Ok(Opened { bounds, found: Found::Nothing });
        }
        // Retention may have removed it since.
        let Some(taken) = self.last.filter(|last| last.offset >= bounds.start) else {
            return Ok(Opened { bounds, found: Found::Stream(self.stream(self.expected).await?) });
        };
        let mut records = self.stream(taken.offset).await?;
        let first = first(&mut records, taken.offset);
        let first = answered(self.pace.stall_after, "a read of the last record taken", first).await;
        let why = match first {
            Ok(found) if found.offset > self.expected => {
                return Ok(Opened { bounds, found: Found::Gap(taken.offset, found.offset) });
            }
            Ok(found) if found.offset > taken.offset => "the log no longer has it",
            Ok(found) if Taken::new(&found) == taken => {
                return Ok(Opened { bounds, found: Found::Stream(records) });
            }
            Ok(found) if found.unreadable.is_some() => "its batch cannot be read any more",
            Ok(found) => {
                let found = Found::Other { taken, found: Taken::new(&found) };
                return Ok(Opened { bounds, found });
            }
            Err(ClusterFault::BatchTooLong { .. }) => "its batch is longer than source.max_bytes by now",
            Err(fault) => return Err(fault),
        };
        // It was settled: what cannot be read of it holds up nothing behind it.
        tracing::warn!(
            offset = taken.offset,
            why,
            "the last record taken cannot be compared with the one that is there; the partition is read on behind it"
        );
        drop(records);
        let bounds = answered(self.pace.timeout, "a connection", self.partition.connect()).await?;
        Ok(Opened { bounds, found: Found::Stream(self.stream(self.expected).await?) })
    }

    async fn stream(&self, at: u64) -> Result<P::Records, ClusterFault> {
        answered(self.pace.timeout, "a stream", self.partition.open(at)).await
    }
}

/// The record at `at`, or the first behind it.
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
