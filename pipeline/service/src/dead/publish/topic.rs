//! The topic as publishing uses it. Tests implement it with a scripted topic.

use std::{mem::Discriminant, time::Duration};

use fluvio_engine::produce::BatchBuilder;

/// A topic.
pub(super) trait Topic: Send + Sync + 'static {
    /// One of its partitions.
    type PartitionWriter: PartitionWriter;

    /// How many partitions it has. May hang for ever.
    fn count(&self) -> impl Future<Output = Result<u32, PublishFault>> + Send;

    /// Which of `count` partitions has the letters of load `key`: the one where clients of this kind of cluster look for
    /// it.
    fn partition_of(&self, key: &str, count: u32) -> u32;

    /// A partition, not connected yet.
    fn writer(&self, partition: u32) -> Self::PartitionWriter;
}

/// A partition that is written to.
pub(super) trait PartitionWriter: Send + 'static {
    /// Adds `batch` to the log, once; has a timeout of its own. After a fault the batch may be there all the same.
    fn add(&mut self, batch: &BatchBuilder) -> impl Future<Output = Result<(), PublishFault>> + Send;
}

/// Why a cluster did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum PublishFault {
    /// A Fluvio cluster's answer.
    #[error(transparent)]
    Fluvio(#[from] fluvio_engine::ClusterFault),
    /// A Kafka cluster's answer.
    #[error(transparent)]
    Kafka(#[from] kafka_engine::ClusterFault),
    /// The client is not made: its settings changed under it.
    #[error(transparent)]
    Client(#[from] kafka_engine::KafkaFault),
    /// There was no answer.
    #[error("no answer to the topic's partitions within {0:?}")]
    Silent(Duration),
}

/// What sort of fault it is: one is told in the log once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Fluvio(Discriminant<fluvio_engine::ClusterFault>),
    Kafka(Discriminant<kafka_engine::ClusterFault>),
    Client,
    Silent,
}

impl PublishFault {
    /// What sort of fault it is.
    pub(super) fn kind(&self) -> FaultKind {
        match self {
            Self::Fluvio(fault) => FaultKind::Fluvio(std::mem::discriminant(fault)),
            Self::Kafka(fault) => FaultKind::Kafka(std::mem::discriminant(fault)),
            Self::Client(_) => FaultKind::Client,
            Self::Silent(_) => FaultKind::Silent,
        }
    }
}
