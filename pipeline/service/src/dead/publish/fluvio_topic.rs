//! A topic on a Fluvio cluster, with a writer for each partition.

use std::time::Duration;

use super::topic::{PartitionWriter, PublishFault, Topic};
use crate::config::DeadTopicConfig;
use fluvio_engine::TopicFault;
use fluvio_engine::{
    ClusterOptions, Controller, controller,
    produce::{BatchBuilder, Replica, partition_of},
};

/// A topic on a cluster.
pub(super) struct FluvioTopic {
    controller: Controller,
    topic: String,
    timeout: Duration,
}

impl FluvioTopic {
    /// Reads the certificates, and connects to no one yet.
    ///
    /// # Errors
    /// [`TopicFault::Tls`] if a certificate or a key cannot be used.
    pub(super) fn new(cluster: &ClusterOptions, config: &DeadTopicConfig) -> Result<Self, TopicFault> {
        let controller = controller(cluster)?;
        Ok(Self { controller, topic: config.topic.clone(), timeout: config.timeout })
    }
}

impl Topic for FluvioTopic {
    type PartitionWriter = Replica;

    async fn count(&self) -> Result<u32, PublishFault> {
        Ok(self.controller.count(&self.topic).await?)
    }

    fn partition_of(&self, key: &str, count: u32) -> u32 {
        partition_of(key.as_bytes(), count)
    }

    fn writer(&self, partition: u32) -> Replica {
        Replica::new(self.controller.clone(), &self.topic, partition, self.timeout)
    }
}

impl PartitionWriter for Replica {
    async fn add(&mut self, batch: &BatchBuilder) -> Result<(), PublishFault> {
        Ok(Self::add(self, batch, &mut None).await?)
    }
}
