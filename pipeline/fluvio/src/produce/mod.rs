//! Writes NDJSON events to a topic of a Fluvio cluster, keyed by load id, so that all events of a load are in one
//! partition, in the order of the input.
//!
//! At least once: a batch is sent until the leader has accepted it, one batch of a partition at a time, so that
//! nothing of a partition is reordered. If an answer is lost, the batch is sent again and is in the log twice; event
//! ids make that harmless. The client's own producer is not used: it spins a core when the cluster is unreachable,
//! refuses records while a leader changes, and cannot be given a timeout.
//!
//! Holds for each partition one batch being filled, one that waits and one being sent, each at most
//! [`ProduceOptions::batch_bytes`] and one record.

mod batch;
mod partitioner;
mod replica;
mod sender;

use line::{SourceFault, SourceRecord};
use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use serde::Serialize;
use stages::{Decode, Stage};
use state::Clock;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::TopicFault;
use crate::{ClusterFault, ClusterOptions, Controller, controller, within_timeout};
pub use batch::BatchBuilder;
pub use partitioner::partition_of;
pub use replica::Replica;
pub use sender::Sender;

pub use sender::Sent;

/// The default size at which a batch is sent, in bytes. Far below what a consumer fetches at once, because a batch
/// that does not fit there cannot be read.
pub const BATCH_BYTES: usize = 64 << 10;

/// How long records of a partition wait for further ones when the input is slow.
const LINGER: Duration = Duration::from_millis(50);

/// Why not all was produced.
#[derive(Debug, thiserror::Error)]
pub enum ProduceFault {
    /// The cluster cannot be used at all, or the input cannot be read.
    #[error(transparent)]
    Source(#[from] SourceFault),
    /// There is no such topic.
    #[error("the cluster at {endpoint}: {fault}; create it, or name another topic")]
    NoTopic {
        /// The controller's address.
        endpoint: String,
        /// The cluster's answer.
        fault: ClusterFault,
    },
    /// The cluster accepted nothing for too long.
    #[error(
        "the cluster at {endpoint} has taken nothing for {after:?}: {fault}; see to that, or give --timeout more"
    )]
    GaveUp {
        /// The controller's address.
        endpoint: String,
        /// The timeout.
        after: Duration,
        /// The last fault.
        fault: ClusterFault,
    },
    /// A sender ended unexpectedly.
    #[error("sending was interrupted: {0}")]
    Interrupted(String),
}

/// Where and how events are written.
#[derive(Clone, Debug)]
pub struct ProduceOptions {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// The topic; it must exist.
    pub topic: String,
    /// A batch is sent when it has this many bytes.
    pub batch_bytes: usize,
    /// How long the cluster may accept nothing before this gives up.
    pub timeout: Duration,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Produced {
    /// Records read.
    pub read: u64,
    /// Records the cluster has taken.
    pub taken: u64,
    /// Of those read, the ones without a load id: they went to partition 0.
    pub without_load: u64,
    /// Of those read, the ones longer than a record may be: they were not sent.
    pub too_long: u64,
    /// Batches that were sent again.
    pub sent_again: u64,
    /// The topic's partitions.
    pub partitions: u32,
}

impl From<TopicFault> for ProduceFault {
    fn from(fault: TopicFault) -> Self {
        Self::Source(fault.into())
    }
}

/// Produces `records`, counted in `sent`.
///
/// # Errors
/// [`ProduceFault`]; accepted records stay.
pub async fn produce(
    options: &ProduceOptions,
    decode: &Decode,
    records: impl Stream<Item = Result<SourceRecord, impl Into<SourceFault>>>,
    sent: Arc<Sent>,
) -> Result<Produced, ProduceFault> {
    let all = senders(options, &sent).await?;
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let mut produced = Produced { partitions: count, ..Produced::default() };
    let mut senders = JoinSet::new();
    let mut lanes: Vec<Lane> = all
        .into_iter()
        .map(|sender| {
            let (give, take) = mpsc::channel(1);
            senders.spawn(sender.run(take));
            Lane { filling: BatchBuilder::default(), give }
        })
        .collect();
    let mut records = Box::pin(records);
    let mut linger = Box::pin(sleep(LINGER));
    loop {
        tokio::select! {
            record = records.next() => {
                let Some(record) = record else { break };
                produced.read += 1;
                let raw = record.map_err(Into::into)?.raw;
                if raw.is_cut() {
                    produced.too_long += 1;
                    continue;
                }
                let bytes = raw.bytes.clone();
                let key = decode.run(raw).await.ok().map(|event| event.load_id);
                produced.without_load += u64::from(key.is_none());
                let to = key.as_deref().map_or(0, |key| partition_of(key.as_bytes(), count));
                let lane = &mut lanes[to as usize];
                lane.filling.push(key, &bytes);
                if lane.filling.has(options.batch_bytes) && !lane.send().await {
                    break;
                }
            }
            () = &mut linger => {
                for lane in &mut lanes {
                    if !lane.send().await {
                        break;
                    }
                }
                linger.as_mut().reset(Instant::now() + LINGER);
            }
            Some(ended) = senders.join_next() => failed(ended)?,
        }
    }
    for lane in &mut lanes {
        // A sender that has ended reports why.
        let _gone = lane.send().await;
    }
    drop(lanes);
    while let Some(ended) = senders.join_next().await {
        failed(ended)?;
    }
    Ok(Produced { taken: sent.taken(), sent_again: sent.again(), ..produced })
}

fn failed(ended: Result<Result<(), ProduceFault>, tokio::task::JoinError>) -> Result<(), ProduceFault> {
    ended.map_err(|error| ProduceFault::Interrupted(error.to_string()))?
}

/// One partition's batch, and the channel to its sender.
struct Lane {
    filling: BatchBuilder,
    give: mpsc::Sender<BatchBuilder>,
}

impl Lane {
    /// Sends the batch to the sender, if it is not empty; false if the sender has ended.
    async fn send(&mut self) -> bool {
        self.filling.is_empty() || self.give.send(std::mem::take(&mut self.filling)).await.is_ok()
    }
}

/// A sender for each partition of the topic, in their order; a cluster that is away is waited for. Connects to the
/// controller only.
///
/// # Errors
/// [`ProduceFault`].
pub async fn senders(options: &ProduceOptions, sent: &Arc<Sent>) -> Result<Vec<Sender>, ProduceFault> {
    let cluster = options.cluster.clone().answering_within(options.timeout.min(sender::ANSWER));
    let controller = controller(&cluster)?;
    let count = partitions(options, &controller).await?;
    let sender = |number| Sender::new(options.clone(), controller.clone(), number, Arc::clone(sent));
    Ok((0..count).map(sender).collect())
}

/// How many partitions the topic has; a cluster that is away is waited for.
async fn partitions(options: &ProduceOptions, controller: &Controller) -> Result<u32, ProduceFault> {
    let began = Instant::now();
    loop {
        let asked =
            within_timeout(options.timeout, "the topic's partitions", controller.count(&options.topic));
        let fault = match asked.await {
            Ok(count) => return Ok(count),
            Err(fault) => fault,
        };
        let endpoint = options.cluster.endpoint.clone();
        if matches!(fault, ClusterFault::NoTopic { .. }) {
            return Err(ProduceFault::NoTopic { endpoint, fault });
        }
        if began.elapsed() >= options.timeout {
            return Err(ProduceFault::GaveUp { endpoint, after: began.elapsed(), fault });
        }
        sleep(sender::PAUSE).await;
    }
}

/// The clock batches are stamped with.
const CLOCK: Clock = Clock::System;
