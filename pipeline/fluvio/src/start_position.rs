//! Finds the offset at which reading a partition starts, from its checkpoint and the cluster's log, and records it
//! before anything is read. So a run that ends before anything is settled, or a log that loses its beginning
//! meanwhile, changes nothing about what is still to be read.
//!
//! Each partition finds its own offset when it is first polled: one whose leader cannot be reached holds no other.

use std::sync::Arc;

use state::Checkpoint;
use topics::{Checkpoints, Mark, PartitionCounts};

use super::{
    cluster_wait::ClusterWait,
    options::{FluvioOptions, Start},
    partition::{Bounds, Partition},
    timeout::within_timeout,
};
use crate::TopicFault;

/// Where reading a partition starts, as far as known without the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartPosition {
    /// At its checkpoint.
    Checkpoint(u64),
    /// No checkpoint: at the oldest record.
    Oldest,
    /// No checkpoint: behind the newest record.
    Newest,
    /// No checkpoint: at this offset.
    Offset(u64),
}

impl StartPosition {
    /// Looks up the checkpoint of partition `number`, with its identity and the last record read. `grown` says that
    /// the partition was added to the topic: then it is read from its beginning.
    ///
    /// # Errors
    /// [`TopicFault::ForeignMark`], [`TopicFault::NoCheckpoint`], or a fault of the state.
    pub(super) fn look_up(
        options: &FluvioOptions,
        checkpoints: &impl Checkpoints,
        name: &Arc<str>,
        number: u32,
        grown: bool,
    ) -> Result<(Self, Mark), TopicFault> {
        let mark = Mark::new(&options.topic, number);
        if let Some(Checkpoint { offset, mark: found, .. }) =
            checkpoints.checkpoint(name).map_err(TopicFault::State)?
        {
            let foreign = || TopicFault::ForeignMark { source_name: Arc::clone(name), len: found.len() };
            return Ok((Self::Checkpoint(offset), mark.decode(&found).ok_or_else(foreign)?));
        }
        let begin = match options.start {
            Start::Beginning => Self::Oldest,
            _ if grown => {
                tracing::warn!(source = %name, "the partition was added to the topic after this process last ran: reading it from its beginning");
                Self::Oldest
            }
            Start::End => Self::Newest,
            Start::Offset(offset) => Self::Offset(offset),
            Start::Checkpoint => {
                return Err(TopicFault::NoCheckpoint { source_name: Arc::clone(name) });
            }
        };
        Ok((begin, mark))
    }

    /// The offset that is known without the cluster.
    pub(super) fn known(self) -> u64 {
        match self {
            Self::Checkpoint(offset) | Self::Offset(offset) => offset,
            Self::Oldest | Self::Newest => 0,
        }
    }

    fn at(self, Bounds { start, end }: Bounds) -> u64 {
        match self {
            Self::Checkpoint(offset) | Self::Offset(offset) => offset,
            Self::Oldest => start,
            Self::Newest => end,
        }
    }
}

/// A partition whose start offset is to be found.
pub(super) struct Startup<P, C> {
    pub(super) partition: Arc<P>,
    pub(super) begin: StartPosition,
    pub(super) mark: Mark,
    pub(super) counts: Arc<PartitionCounts>,
    pub(super) checkpoints: C,
    pub(super) cluster_wait: ClusterWait,
}

impl<P: Partition, C: Checkpoints> Startup<P, C> {
    /// Waits for the partition's leader, then records the start offset and sets it in the counts.
    ///
    /// # Errors
    /// [`TopicFault::Lost`], or a fault of the state.
    pub(super) async fn run(self) -> Result<(), TopicFault> {
        let Self { partition, begin, mark, counts, checkpoints, mut cluster_wait } = self;
        let timeout = cluster_wait.timeout();
        let bounds =
            cluster_wait.wait(|| within_timeout(timeout, "a connection", partition.connect())).await?;
        let (at, name) = (begin.at(bounds), counts.source());
        if at < bounds.start {
            let (source_name, partition) = (Arc::clone(name), counts.partition());
            return Err(TopicFault::Lost { source_name, partition, from: at, to: bounds.start - 1 });
        }
        if at > bounds.end {
            tracing::warn!(source = %name, position = at, end = bounds.end, "the start offset is beyond the log's end: nothing is read until the log reaches it");
        }
        if !matches!(begin, StartPosition::Checkpoint(_)) {
            let checkpoint = Checkpoint { epoch: 0, offset: at, mark: mark.encode().to_vec() };
            checkpoints.begin(Arc::clone(name), checkpoint).await.map_err(TopicFault::State)?;
        }
        counts.begins(at, bounds.end);
        tracing::info!(source = %name, position = at, start = bounds.start, end = bounds.end, "reading the partition");
        Ok(())
    }
}
