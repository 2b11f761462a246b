//! The topic on a Kafka cluster. All partitions share one producer. When a batch is not taken in time, the producer is
//! given up with everything it still had to send, so that nothing of it comes behind what is sent again.

use std::{sync::Arc, time::Duration};

use kafka_engine::{
    ClusterFault, ClusterOptions, KafkaFault, Producer,
    produce::{BATCH_BYTES, Deliveries, Outgoing, ProduceOptions, Topic as _, partition_of},
};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::topic::{PartitionWriter, PublishFault, Topic};
use crate::config::DeadTopicConfig;
use fluvio_engine::produce::BatchBuilder;

/// The pause between two looks at a full buffer.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A topic on a cluster.
pub(super) struct KafkaTopic(Arc<Shared>);

/// One of its partitions.
pub(super) struct KafkaPartition {
    shared: Arc<Shared>,
    partition: u32,
}

struct Shared {
    options: ProduceOptions,
    /// None after a batch was not taken: the next one makes another.
    producer: Mutex<Option<Arc<Producer>>>,
}

impl KafkaTopic {
    /// Reads the certificates; connections are made in the background.
    ///
    /// # Errors
    /// [`KafkaFault::Settings`] if the client does not take its settings, such as a certificate.
    pub(super) fn new(cluster: &ClusterOptions, config: &DeadTopicConfig) -> Result<Self, KafkaFault> {
        let options = ProduceOptions {
            cluster: cluster.clone(),
            topic: config.topic.clone(),
            batch_bytes: BATCH_BYTES,
            record_max: config.value_max,
            timeout: config.timeout,
        };
        let producer = Mutex::new(Some(Arc::new(Producer::new(&options)?)));
        Ok(Self(Arc::new(Shared { options, producer })))
    }
}

impl Shared {
    fn producer(&self) -> Result<Arc<Producer>, KafkaFault> {
        let mut producer = self.producer.lock();
        if let Some(producer) = &*producer {
            return Ok(Arc::clone(producer));
        }
        Ok(Arc::clone(producer.insert(Arc::new(Producer::new(&self.options)?))))
    }

    /// Sends nothing more of what `failed` has.
    fn give_up(&self, failed: &Arc<Producer>) {
        failed.give_up();
        let _another = self.producer.lock().take_if(|now| Arc::ptr_eq(now, failed));
    }
}

impl Topic for KafkaTopic {
    type PartitionWriter = KafkaPartition;

    async fn count(&self) -> Result<u32, PublishFault> {
        let producer = self.0.producer()?;
        let count = producer.count().await;
        // That it cannot be reached says less than what the client has found out about that.
        let better = |fault| match fault {
            ClusterFault::Unreachable { .. } | ClusterFault::Silent { .. } => {
                producer.trouble().unwrap_or(fault)
            }
            fault => fault,
        };
        Ok(count.map_err(better)?)
    }

    fn partition_of(&self, key: &str, count: u32) -> u32 {
        partition_of(key.as_bytes(), count)
    }

    fn writer(&self, partition: u32) -> KafkaPartition {
        KafkaPartition { shared: Arc::clone(&self.0), partition }
    }
}

impl PartitionWriter for KafkaPartition {
    async fn add(&mut self, batch: &BatchBuilder) -> Result<(), PublishFault> {
        let (producer, after) = (self.shared.producer()?, self.shared.options.timeout);
        let sent = timeout(after, send(&producer, self.partition, batch)).await;
        let silent = |_| Err(producer.trouble().unwrap_or(ClusterFault::Silent { what: "a batch", after }));
        let sent = sent.unwrap_or_else(silent);
        if sent.is_err() {
            self.shared.give_up(&producer);
        }
        Ok(sent?)
    }
}

/// Sends `batch`; returns when the cluster has all of it.
async fn send(producer: &Producer, partition: u32, batch: &BatchBuilder) -> Result<(), ClusterFault> {
    let deliveries = Arc::new(Deliveries::default());
    for (key, value) in batch.records() {
        let record = Outgoing { partition: Some(partition), key: key.clone(), value: value.clone() };
        while !producer.offer(&record, &deliveries)? {
            sleep(LOOK_AGAIN).await;
        }
    }
    deliveries.settled().await
}
