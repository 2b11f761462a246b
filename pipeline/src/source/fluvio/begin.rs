//! Where a partition is taken up: what is on record of it and what the cluster has of it enter; the offset to read from
//! leaves, and is itself on record by then. So a run that ends before anything is settled, or a log that loses its
//! beginning meanwhile, changes nothing about what is still to be read.
//!
//! Each partition finds its own place, when it is first polled: one whose leader is away holds no other.

use std::sync::Arc;

use state::{Checkpoint, Ledger, Record, StateFault};

use super::{
    counts::PartitionCounts,
    look::answered,
    mark::Mark,
    options::{FluvioOptions, Start},
    partition::{Bounds, Partition},
    patience::Patience,
};
use crate::source::SourceFault;

/// What is on record of partitions and topics, and goes there.
pub trait Checkpoints: Clone + Send + Sync + 'static {
    /// Where `source` resumes.
    ///
    /// # Errors
    /// A fault of the state.
    fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, StateFault>;

    /// Puts on record that `source` resumes at `at`; returns once that is durable.
    fn begin(&self, source: Arc<str>, at: Checkpoint) -> impl Future<Output = Result<(), StateFault>> + Send;
}

impl Checkpoints for Ledger {
    fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, StateFault> {
        self.store().sources().checkpoint(source)
    }

    async fn begin(&self, source: Arc<str>, at: Checkpoint) -> Result<(), StateFault> {
        let _proof = self.record(Record::Checkpoint(source, at)).await?;
        Ok(())
    }
}

/// Where a partition is taken up, as far as that can be said without asking the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At its checkpoint.
    Checkpoint(u64),
    /// There is none: at the oldest record.
    Oldest,
    /// There is none: behind the newest record.
    Newest,
    /// There is none: at this offset.
    Offset(u64),
}

impl Begin {
    /// Looks up what is on record of partition `number`, its identity and the last record taken included. `grown` is
    /// whether the topic did not have it before: then all of it is still to be read.
    ///
    /// # Errors
    /// [`SourceFault::ForeignMark`], [`SourceFault::NoCheckpoint`], or a fault of the state.
    pub(super) fn look_up(
        options: &FluvioOptions,
        checkpoints: &impl Checkpoints,
        name: &Arc<str>,
        number: u32,
        grown: bool,
    ) -> Result<(Self, Mark), SourceFault> {
        let mark = Mark::new(&options.topic, number);
        if let Some(Checkpoint { offset, mark: found, .. }) =
            checkpoints.checkpoint(name).map_err(SourceFault::State)?
        {
            let foreign = || SourceFault::ForeignMark { source_name: Arc::clone(name), len: found.len() };
            return Ok((Self::Checkpoint(offset), mark.decode(&found).ok_or_else(foreign)?));
        }
        let begin = match options.start {
            Start::Beginning => Self::Oldest,
            _ if grown => {
                tracing::warn!(source = %name, "the topic has this partition since this process last ran: it is read from its beginning");
                Self::Oldest
            }
            Start::End => Self::Newest,
            Start::Offset(offset) => Self::Offset(offset),
            Start::Checkpoint => {
                return Err(SourceFault::NoCheckpoint { source_name: Arc::clone(name) });
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

/// A partition that is to be taken up.
pub(super) struct Beginning<P, C> {
    pub(super) partition: Arc<P>,
    pub(super) begin: Begin,
    pub(super) mark: Mark,
    pub(super) counts: Arc<PartitionCounts>,
    pub(super) checkpoints: C,
    pub(super) patience: Patience,
}

impl<P: Partition, C: Checkpoints> Beginning<P, C> {
    /// Waits for the partition's leader, and puts the place to begin at on record and into the counts.
    ///
    /// # Errors
    /// [`SourceFault::Lost`], or a fault of the state.
    pub(super) async fn reach(self) -> Result<(), SourceFault> {
        let Self { partition, begin, mark, counts, checkpoints, mut patience } = self;
        let timeout = patience.timeout();
        let bounds = patience.wait(|| answered(timeout, "a connection", partition.connect())).await?;
        let (at, name) = (begin.at(bounds), counts.source());
        if at < bounds.start {
            let (source_name, partition) = (Arc::clone(name), counts.partition());
            return Err(SourceFault::Lost { source_name, partition, from: at, to: bounds.start - 1 });
        }
        if at > bounds.end {
            tracing::warn!(source = %name, position = at, end = bounds.end, "the place to begin at lies beyond the log's end: nothing is read until the log gets there");
        }
        if !matches!(begin, Begin::Checkpoint(_)) {
            let checkpoint = Checkpoint { epoch: 0, offset: at, mark: mark.encode().to_vec() };
            checkpoints.begin(Arc::clone(name), checkpoint).await.map_err(SourceFault::State)?;
        }
        counts.begins(at, bounds.end);
        tracing::info!(source = %name, position = at, start = bounds.start, end = bounds.end, "the partition is read");
        Ok(())
    }
}
