//! The `fluvio` source: reads a topic of a Fluvio cluster, with one source and one stream for each partition. Each is
//! contiguous and in order, or the line stops: a record that the cluster or its client skips is read again, and one
//! that the cluster no longer has is a fault that names it.
//!
//! One stream never reads several partitions, although the client can: after a reconnect it would start all of them
//! at one offset. This crate requests the stream itself, not through the client's consumer, so that exactly what was
//! decoded is acknowledged and no retry is hidden.
//!
//! A source holds one response and the next one, each at most `max_bytes`, and one batch of the first decompressed,
//! at most 16 times that. While it is not polled the cluster waits.
//!
//! Two halves: `client` talks to a cluster; everything else decides, behind the traits in `partition`, and is tested
//! without a cluster.

#[cfg_attr(not(feature = "client"), path = "client_absent.rs")]
mod client;
mod cluster_wait;
mod connect;
mod continuity;
mod fault;
mod mirror;
mod monitor;
mod opening;
mod options;
mod outage_log;
mod ownership;
mod partition;
pub mod produce;
mod read_options;
mod reader;
#[cfg(test)]
mod scripted;
mod start_position;
#[cfg(test)]
mod tests;
mod timeout;
mod tls;
mod watchdog;

use std::sync::Arc;

use futures::{FutureExt, TryFutureExt, future::BoxFuture, stream};
use state::Clock;
use tokio::task::JoinSet;
use tokio_stream::Stream;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use client::fuzzing;
pub use client::{ClusterClient, PartitionClient};
pub use client::{Controller, Leader, controller};
pub use connect::{Connected, connect};
pub use fault::TopicFault;
pub use options::{
    ClientCertificate, ClusterOptions, FluvioOptions, Isolation, Partitions, Start, TlsOptions,
};
pub use ownership::check_ownership;
pub use partition::ClusterFault;
pub use tls::TlsFault;

use line::{SourcePartition, SourceRecord};
use mirror::{Mirror, SettledOffset};
use partition::Partition;
use read_options::ReadOptions;
use reader::PartitionReader;
pub use timeout::within_timeout;
use topics::Mark;
pub use topics::{Backoff, Checkpoints, PartitionCounts, is_of, mark};

/// Whether this build has a client, without which no cluster can be read.
pub const HAS_CLIENT: bool = cfg!(feature = "client");

/// How far the horizon is moved ahead, in records: as far as for a broker's deliveries on disk.
const HORIZON_STEP: u64 = 1024;

/// One partition of a topic.
pub struct FluvioSource<P = PartitionClient> {
    name: Arc<str>,
    mark: Mark,
    partition: Arc<P>,
    begins: BoxFuture<'static, Result<(), TopicFault>>,
    options: ReadOptions,
    counts: Arc<PartitionCounts>,
    mirror: Option<Arc<Mirror<P>>>,
    clock: Clock,
}

/// The name of the source that reads a partition: `fluvio:TOPIC/PARTITION`.
#[must_use]
pub fn name_of(topic: &str, partition: u32) -> Arc<str> {
    Arc::from(format!("fluvio:{topic}/{partition}"))
}

/// The checkpoint name of a topic's partition count: `fluvio:TOPIC`.
fn topic_name(topic: &str) -> Arc<str> {
    Arc::from(format!("fluvio:{topic}"))
}

/// Whether a checkpoint of this name holds a topic's partition count, not a source's place.
pub fn is_partition_count_name(name: &str) -> bool {
    name.strip_prefix("fluvio:").is_some_and(|rest| !rest.contains('/'))
}

/// The topic and the partition that a source of this name reads; none if it reads no topic.
pub fn partition_of_name(name: &str) -> Option<(&str, u32)> {
    let (topic, partition) = name.strip_prefix("fluvio:")?.rsplit_once('/')?;
    Some((topic, partition.parse().ok()?))
}

impl<P> FluvioSource<P> {
    /// Reads `partition` once `begins` has ended, from the offset that is in `counts` then; `mark` is its
    /// checkpoint's.
    fn new(
        options: &FluvioOptions,
        mark: Mark,
        (partition, begins): (Arc<P>, impl Future<Output = Result<(), TopicFault>> + Send + 'static),
        counts: Arc<PartitionCounts>,
        settled: Option<SettledOffset>,
        clock: Clock,
    ) -> Self {
        let options = ReadOptions {
            stall_after: options.stall_after,
            timeout: options.connect_timeout,
            backoff_min: options.backoff_min,
            backoff_max: options.backoff_max,
            record_max: options.record_max,
            committed: options.isolation == Isolation::Committed,
        };
        let name = Arc::clone(counts.source());
        let mirror = settled.map(|settled| {
            Arc::new(Mirror::new(Arc::clone(&name), Arc::clone(&partition), settled, options.timeout))
        });
        Self { name, mark, partition, begins: begins.boxed(), options, counts, mirror, clock }
    }

    /// The counts of this partition; they are updated while its stream runs.
    #[must_use]
    pub fn counts(&self) -> Arc<PartitionCounts> {
        Arc::clone(&self.counts)
    }
}

impl FluvioSource {
    /// The partition for the line.
    #[must_use]
    pub fn into_partition(
        self,
    ) -> SourcePartition<impl Stream<Item = Result<SourceRecord, TopicFault>> + Send + 'static> {
        SourcePartition::new(self.name.clone(), self.into_stream()).with_horizon_step(HORIZON_STEP)
    }

    /// Reports the settled offset to the cluster once more, within two seconds; to be awaited when the run has ended.
    /// None if offsets are not mirrored.
    pub fn final_offset_report(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let mirror = self.mirror.clone()?;
        Some(async move { mirror.report_last().await })
    }
}

#[allow(private_bounds, reason = "the traits of a cluster are private to this crate")]
impl<P: Partition> FluvioSource<P> {
    /// The records, from the place it was opened at.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<SourceRecord, TopicFault>> + Send + 'static {
        let Self { name, mark, partition, begins, options, counts, mirror, clock } = self;
        let records = async move {
            // In a task of its own: its timeouts are about the cluster, not about how often a full line polls for a
            // record.
            let mut task = JoinSet::new();
            task.spawn(begins);
            match task.join_next().await {
                Some(Ok(begun)) => begun?,
                Some(Err(_)) | None => return Err(TopicFault::Unbegun { source_name: name }),
            }
            // Boxed, because the stream moves it once a record.
            let feed =
                Box::new(PartitionReader::new((name, mark), partition, options, counts, mirror, clock));
            Ok(stream::try_unfold(feed, |mut feed| async move { Ok(Some((feed.next().await?, feed))) }))
        };
        records.try_flatten_stream()
    }
}
