//! A Kafka cluster as the simulator and the legacy model see it: by way of librdkafka, without any of Loadline's code. It
//! is spoken to without encryption. A build without the feature `kafka` has nothing of it but the fault that says so.

use std::time::Duration;

#[cfg(feature = "kafka")]
mod cluster;
#[cfg(feature = "kafka")]
mod consumer;
#[cfg(not(feature = "kafka"))]
mod no_client;

#[cfg(feature = "kafka")]
pub use self::{
    cluster::{Cluster, GroupOffsets},
    consumer::{Consumer, Message},
};
#[cfg(not(feature = "kafka"))]
pub use no_client::{Cluster, Consumer, GroupOffsets, Message};

/// How long one answer of the cluster may take.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KafkaFault {
    /// It does not answer as it should.
    #[error("the Kafka cluster at {bootstrap}: {what}: {detail}")]
    Cluster {
        /// The brokers to begin with.
        bootstrap: String,
        /// What was asked of it.
        what: String,
        /// The client's words.
        detail: String,
    },
    /// The build has no client.
    #[error(
        "this build has no client for Kafka clusters: build it with the feature \"kafka\", as by default"
    )]
    NoClient,
}

/// What a consumer of a group is told.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Brokers to begin with, with commas between them.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// How often the offsets of handled messages are committed.
    pub commit_interval: Duration,
    /// How often it tells the group that it is there, and so how late it hears of a rebalance.
    pub heartbeat: Duration,
    /// After which silence the group gives its partitions to others.
    pub session_timeout: Duration,
    /// How long a message may take until the group goes on without its consumer; at least the session's.
    pub rebalance_timeout: Duration,
}
