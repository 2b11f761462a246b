//! The `fluvio` source: a topic on a Fluvio cluster enters, its records leave, one source and one stream for each
//! partition. Each is contiguous and in order, or the line stops: a record that the cluster or its client passes over is
//! read again, and one that the cluster no longer has is a fault that names it.
//!
//! One stream never reads several partitions, although the client can: after a reconnect it would begin all of them at
//! one offset. The stream is asked for by this module, not by the client's consumer, so that what is acknowledged is
//! what was decoded, and so that no retry happens unseen.
//!
//! What a source holds: one response and one more on its way, each at most `max_bytes`, and of the first one batch
//! decompressed, at most 16 times that. While it is not polled the cluster waits.
//!
//! Two halves: [`client`] talks to a cluster; everything else decides, against the seam in [`partition`], and is tested
//! without a cluster.

mod backoff;
mod begin;
mod client;
mod connect;
mod counts;
mod feed;
mod guard;
mod link;
mod look;
mod mark;
mod mirror;
mod opening;
mod options;
mod partition;
mod patience;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
mod tls;
mod trouble;
mod waiting;
mod watchdog;

use std::sync::Arc;

use futures::{FutureExt, Stream, TryFutureExt, future::BoxFuture, stream};
use state::Clock;
use tokio::task::JoinSet;

pub(crate) use backoff::Backoff;
pub use begin::Checkpoints;
pub use client::{ClusterClient, PartitionClient};
pub(crate) use client::{Controller, Leader, controller};
pub use connect::{Connected, connect};
pub use counts::PartitionCounts;
pub use options::{
    ClientCertificate, ClusterOptions, FluvioOptions, Isolation, Partitions, Start, TlsOptions,
};
pub use partition::ClusterFault;
pub use tls::TlsFault;

use super::{Source, SourceFault, SourceRecord};
use feed::{Feed, Pace};
use look::Settled;
pub(crate) use look::answered;
use mark::Mark;
pub(crate) use mark::is_of;
pub use mark::mark;
use mirror::Mirror;
use partition::Partition;

/// How far ahead the horizon is promised, in records: as many as a broker's deliveries on disk.
const HORIZON_STEP: u64 = 1024;

/// One partition of a topic.
pub struct FluvioSource<P = PartitionClient> {
    name: Arc<str>,
    mark: Mark,
    partition: Arc<P>,
    begins: BoxFuture<'static, Result<(), SourceFault>>,
    pace: Pace,
    counts: Arc<PartitionCounts>,
    mirror: Option<Arc<Mirror<P>>>,
    clock: Clock,
}

/// The name of the source that reads a partition: `fluvio:TOPIC/PARTITION`.
#[must_use]
pub fn name_of(topic: &str, partition: u32) -> Arc<str> {
    Arc::from(format!("fluvio:{topic}/{partition}"))
}

/// The name under which it is on record how many partitions a topic had: `fluvio:TOPIC`.
fn topic_name(topic: &str) -> Arc<str> {
    Arc::from(format!("fluvio:{topic}"))
}

/// Whether a checkpoint of this name is not a source's.
pub(crate) fn is_topic_name(name: &str) -> bool {
    name.strip_prefix("fluvio:").is_some_and(|rest| !rest.contains('/'))
}

/// The topic and the partition that a source of this name reads; none if it reads no topic.
pub(crate) fn partition_of_name(name: &str) -> Option<(&str, u32)> {
    let (topic, partition) = name.strip_prefix("fluvio:")?.rsplit_once('/')?;
    Some((topic, partition.parse().ok()?))
}

impl<P> FluvioSource<P> {
    /// Reads `partition` when `begins` has ended, from the place on that is in `counts` by then; `mark` is what its
    /// checkpoint has.
    fn new(
        options: &FluvioOptions,
        mark: Mark,
        (partition, begins): (Arc<P>, impl Future<Output = Result<(), SourceFault>> + Send + 'static),
        counts: Arc<PartitionCounts>,
        settled: Option<Settled>,
        clock: Clock,
    ) -> Self {
        let pace = Pace {
            stall_after: options.stall_after,
            timeout: options.connect_timeout,
            backoff_min: options.backoff_min,
            backoff_max: options.backoff_max,
            record_max: options.record_max,
            committed: options.isolation == Isolation::Committed,
        };
        let name = Arc::clone(counts.source());
        let mirror = settled.map(|settled| {
            Arc::new(Mirror::new(Arc::clone(&name), Arc::clone(&partition), settled, pace.timeout))
        });
        Self { name, mark, partition, begins: begins.boxed(), pace, counts, mirror, clock }
    }

    /// The places and counts of this partition; they go on while its stream runs.
    #[must_use]
    pub fn counts(&self) -> Arc<PartitionCounts> {
        Arc::clone(&self.counts)
    }
}

impl FluvioSource {
    /// What is to be awaited when the run has ended: the cluster is told once more how far this partition is settled,
    /// within two seconds. None if it is not to be told.
    pub(crate) fn last_word(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let mirror = self.mirror.clone()?;
        Some(async move { mirror.last().await })
    }
}

impl<P: Partition> Source for FluvioSource<P> {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn horizon_step(&self) -> u64 {
        HORIZON_STEP
    }

    fn into_stream(self) -> impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static {
        let Self { name, mark, partition, begins, pace, counts, mirror, clock } = self;
        let records = async move {
            // In a task of its own: its timeouts are about the cluster, not about how often a full line asks for a record.
            let mut task = JoinSet::new();
            task.spawn(begins);
            match task.join_next().await {
                Some(Ok(begun)) => begun?,
                Some(Err(_)) | None => return Err(SourceFault::Unbegun { source_name: name }),
            }
            // Boxed, because the stream moves it once a record.
            let feed = Box::new(Feed::new((name, mark), partition, pace, counts, mirror, clock));
            Ok(stream::try_unfold(feed, |mut feed| async move { Ok(Some((feed.next().await?, feed))) }))
        };
        records.try_flatten_stream()
    }
}
