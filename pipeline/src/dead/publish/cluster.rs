//! The topic on a real cluster: the config enters, partitions that can be written to leave.

use std::time::Duration;

use super::topic::{Lane, Topic};
use crate::{
    config::DeadTopicConfig,
    produce::{Filling, Replica},
    source::{
        ClusterFault, SourceFault,
        cluster::{Controller, controller},
    },
};

/// A topic on a cluster.
pub(super) struct ClusterTopic {
    controller: Controller,
    topic: String,
    timeout: Duration,
}

impl ClusterTopic {
    /// Reads the certificates, and connects to no one yet.
    ///
    /// # Errors
    /// [`SourceFault::Tls`] if a certificate or a key cannot be used.
    pub(super) fn new(config: &DeadTopicConfig) -> Result<Self, SourceFault> {
        let controller = controller(&config.cluster)?;
        Ok(Self { controller, topic: config.topic.clone(), timeout: config.timeout })
    }
}

impl Topic for ClusterTopic {
    type Lane = Replica;

    async fn count(&self) -> Result<u32, ClusterFault> {
        self.controller.count(&self.topic).await
    }

    fn lane(&self, partition: u32) -> Replica {
        Replica::new(self.controller.clone(), &self.topic, partition, self.timeout)
    }
}

impl Lane for Replica {
    async fn add(&mut self, batch: &Filling) -> Result<(), ClusterFault> {
        Self::add(self, batch, &mut None).await
    }
}
