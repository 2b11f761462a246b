//! Replaces the client in a build without the feature `client`. None of it can be constructed: a config that names a
//! cluster is refused before, see [`HAS_CLIENT`](crate::HAS_CLIENT).

use std::convert::Infallible;

use futures::stream::Pending;
use state::UnixMillis;

use super::{
    options::{ClusterOptions, FluvioOptions},
    partition::{Bounds, Cluster, ClusterFault, LogRecord, Partition},
    produce::BatchBuilder,
};
use crate::TopicFault;

/// A cluster.
#[derive(Clone)]
pub struct ClusterClient(Infallible);

/// A partition of a cluster.
pub struct PartitionClient(Infallible);

/// A cluster's controller.
#[derive(Clone)]
pub struct Controller(Infallible);

/// A partition's leader.
pub struct Leader(Infallible);

/// The controller of a cluster.
///
/// # Errors
/// Always [`TopicFault::NoClient`].
pub fn controller(_: &ClusterOptions) -> Result<Controller, TopicFault> {
    Err(TopicFault::NoClient)
}

impl ClusterClient {
    /// A client of a cluster.
    ///
    /// # Errors
    /// Always [`TopicFault::NoClient`].
    pub fn new(_: &FluvioOptions) -> Result<Self, TopicFault> {
        Err(TopicFault::NoClient)
    }
}

impl Cluster for ClusterClient {
    type Partition = PartitionClient;

    async fn count(&self, _: &str) -> Result<u32, ClusterFault> {
        match self.0 {}
    }

    fn partition(&self, _: u32) -> PartitionClient {
        match self.0 {}
    }
}

impl Partition for PartitionClient {
    type Records = Pending<Result<LogRecord, ClusterFault>>;

    async fn connect(&self) -> Result<Bounds, ClusterFault> {
        match self.0 {}
    }

    async fn open(&self, _: u64) -> Result<Self::Records, ClusterFault> {
        match self.0 {}
    }

    async fn bounds(&self) -> Result<Bounds, ClusterFault> {
        match self.0 {}
    }

    async fn mirror(&self, _: u64) -> Result<bool, ClusterFault> {
        match self.0 {}
    }
}

impl Controller {
    /// How many partitions a topic has.
    ///
    /// # Errors
    /// It is never asked.
    pub async fn count(&self, _: &str) -> Result<u32, ClusterFault> {
        match self.0 {}
    }

    /// A connection to whoever leads a partition.
    ///
    /// # Errors
    /// It is never asked.
    pub async fn leader_of(&self, _: &str, _: u32) -> Result<Leader, ClusterFault> {
        match self.0 {}
    }
}

impl Leader {
    /// Adds a batch to the log.
    ///
    /// # Errors
    /// It is never asked.
    pub async fn produce(&self, _: &BatchBuilder, _: UnixMillis) -> Result<(), ClusterFault> {
        match self.0 {}
    }
}
