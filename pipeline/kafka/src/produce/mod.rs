//! Puts events onto a Kafka topic, keyed by load id, so that all events of a load are in one partition, in the order of
//! the input, whichever client produces the others.
//!
//! The producer is idempotent and waits for all in-sync replicas: what is sent again because an answer was lost stands
//! there once. It never gives a record up by itself, because a later one of its load could then stand there without it;
//! whoever waits gives up, and with the producer everything goes that was still to be sent.
//!
//! What is held: at most [`BUFFER_BYTES`] of records, and one more.

mod deliveries;
mod partitioner;
mod sender;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use line::{SourceFault, SourceRecord};
use stages::{Decode, Stage};

pub use self::{deliveries::Deliveries, partitioner::partition_of, sender::Sender};
use crate::{ClusterFault, ClusterOptions, KafkaFault, client::Producer};

/// The bytes that a batch has at most, unless told otherwise.
pub const BATCH_BYTES: usize = 64 << 10;
/// The bytes of all records that wait for the cluster.
pub const BUFFER_BYTES: usize = 16 << 20;

/// Why not all was produced.
#[derive(Debug, thiserror::Error)]
pub enum ProduceFault {
    /// The cluster cannot be used at all, or the input cannot be read.
    #[error(transparent)]
    Source(#[from] SourceFault),
    /// There is no such topic.
    #[error("the cluster at {bootstrap}: {fault}; create it, or name another topic")]
    NoTopic {
        /// The brokers to begin with.
        bootstrap: String,
        /// The cluster's answer.
        fault: ClusterFault,
    },
    /// It does not take a record.
    #[error("the cluster at {bootstrap} does not take what is produced: {fault}")]
    Refused {
        /// The brokers to begin with.
        bootstrap: String,
        /// Its answer.
        fault: ClusterFault,
    },
    /// It did not take anything for too long.
    #[error(
        "the cluster at {bootstrap} has taken nothing for {after:?}: {fault}; see to that, or give --timeout more"
    )]
    GaveUp {
        /// The brokers to begin with.
        bootstrap: String,
        /// How long was waited.
        after: Duration,
        /// What went wrong last.
        fault: ClusterFault,
    },
}

impl From<KafkaFault> for ProduceFault {
    fn from(fault: KafkaFault) -> Self {
        Self::Source(fault.into())
    }
}

/// Where events go.
#[derive(Clone, Debug)]
pub struct ProduceOptions {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// The topic; it must exist.
    pub topic: String,
    /// A batch is sent when it has so many bytes.
    pub batch_bytes: usize,
    /// The longest record, in bytes; the topic may take less.
    pub record_max: usize,
    /// How long the cluster may take nothing before this gives up.
    pub timeout: Duration,
}

impl ProduceOptions {
    /// The brokers to begin with, for messages.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap.join(",")
    }
}

/// A record to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes; none for where its key says.
    pub partition: Option<u32>,
    /// Its key, the load.
    pub key: Option<String>,
    /// Its value.
    pub value: Bytes,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Produced {
    /// Records read.
    pub read: u64,
    /// Records the cluster has taken.
    pub taken: u64,
    /// Of those read, the ones without a load id: they went to partition 0.
    pub without_load: u64,
    /// Of those read, the ones longer than a record may be: they were not sent.
    pub too_long: u64,
    /// The topic's partitions.
    pub partitions: u32,
}

/// What takes records for a topic: the port to a cluster.
pub trait Topic {
    /// How many partitions the topic has.
    fn count(&self) -> impl Future<Output = Result<u32, ClusterFault>> + Send;

    /// Takes a record on its way, which `deliveries` tell of; false if there is no room now.
    fn offer(&self, record: &Outgoing, deliveries: &Arc<Deliveries>) -> Result<bool, ClusterFault>;

    /// What is in the way of those that wait, if that is known.
    fn trouble(&self) -> Option<ClusterFault>;
}

/// Produces `records`; `deliveries` count along.
///
/// # Errors
/// [`ProduceFault`]; what was taken until then stays.
pub async fn produce(
    options: &ProduceOptions,
    decode: &Decode,
    records: impl Stream<Item = Result<SourceRecord, impl Into<SourceFault>>>,
    deliveries: Arc<Deliveries>,
) -> Result<Produced, ProduceFault> {
    let producer = Producer::new(options)?;
    produce_to(&producer, options, decode, records, deliveries).await
}

async fn produce_to(
    topic: &impl Topic,
    options: &ProduceOptions,
    decode: &Decode,
    records: impl Stream<Item = Result<SourceRecord, impl Into<SourceFault>>>,
    deliveries: Arc<Deliveries>,
) -> Result<Produced, ProduceFault> {
    let sender = Sender::new(options, topic, &deliveries);
    let partitions = sender.count().await?;
    let mut produced = Produced { partitions, ..Produced::default() };
    let mut records = Box::pin(records);
    loop {
        let record = tokio::select! {
            record = records.next() => record,
            fault = deliveries.refused() => return Err(sender.refused(fault)),
        };
        let Some(record) = record else { break };
        produced.read += 1;
        let raw = record.map_err(Into::into)?.raw;
        if raw.is_cut() {
            produced.too_long += 1;
            continue;
        }
        let value = raw.bytes.clone();
        let key = decode.run(raw).await.ok().map(|event| event.load_id);
        produced.without_load += u64::from(key.is_none());
        let partition = key.is_none().then_some(0);
        sender.send(&Outgoing { partition, key, value }).await?;
    }
    sender.settled().await?;
    Ok(Produced { taken: deliveries.taken(), ..produced })
}
