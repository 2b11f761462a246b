//! A producer for one topic, which says how many partitions that has.

use std::{fmt, sync::Arc, time::Duration};

use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig};
use tokio::task::spawn_blocking;

use super::{
    errors::{cluster_fault, of_topic},
    native_producer::{NativeProducer, Settings},
};
use crate::{
    fault::{ClusterFault, KafkaFault},
    produce::{BUFFER_BYTES, Deliveries, Outgoing, ProduceOptions, Topic},
};

/// How long records wait for company, so that a batch has more than one.
const LINGER: Duration = Duration::from_millis(5);
/// What a record has besides its value: its key and what the protocol adds.
const AROUND_A_RECORD: usize = 16 << 10;

/// A producer for one topic.
pub struct Producer {
    native: NativeProducer,
    topic: Arc<str>,
    timeout: Duration,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer for the topic of `options`. Connections are made in the background.
    ///
    /// # Errors
    /// [`KafkaFault::Settings`] if the client does not take them, as when a certificate cannot be read.
    pub fn new(options: &ProduceOptions) -> Result<Self, KafkaFault> {
        let settings = Settings {
            linger: LINGER,
            batch_bytes: options.batch_bytes,
            message_max: options.record_max + AROUND_A_RECORD,
            buffer_bytes: BUFFER_BYTES,
            partitioner: Some("murmur2_random"),
        };
        let native = NativeProducer::new(&options.cluster, &settings)?;
        Ok(Self { native, topic: Arc::from(options.topic.as_str()), timeout: options.cluster.timeout })
    }

    /// Sends nothing more of what it has; everything that waits is refused. Whoever goes on makes another.
    pub fn give_up(&self) {
        if let Ok(native) = self.native.get() {
            native.purge(PurgeConfig::default().queue().inflight());
        }
    }
}

impl Topic for Producer {
    async fn count(&self) -> Result<u32, ClusterFault> {
        const WHAT: &str = "the topic's partitions";
        let (native, topic, timeout) =
            (Arc::clone(self.native.get()?), Arc::clone(&self.topic), self.timeout);
        // Of all topics: asked for one by name, a cluster may create it.
        let asked = spawn_blocking(move || {
            let metadata = native.client().fetch_metadata(None, timeout);
            let metadata = metadata.map_err(|error| cluster_fault(&error, WHAT, timeout))?;
            let found = metadata.topics().iter().find(|found| found.name() == &*topic);
            let no_topic = || ClusterFault::NoTopic { topic: topic.to_string() };
            let found = found.ok_or_else(no_topic)?;
            match found.error() {
                Some(code) => Err(of_topic(code.into(), &topic)),
                None => Ok(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX)),
            }
        });
        let ended =
            |error: tokio::task::JoinError| ClusterFault::Refused { what: WHAT, detail: error.to_string() };
        asked.await.map_err(ended)?
    }

    fn offer(&self, record: &Outgoing, deliveries: &Arc<Deliveries>) -> Result<bool, ClusterFault> {
        let mut next =
            BaseRecord::<str, [u8], Arc<Deliveries>>::with_opaque_to(&self.topic, Arc::clone(deliveries));
        next.partition = record.partition.map(|partition| i32::try_from(partition).unwrap_or(i32::MAX));
        (next.key, next.payload) = (record.key.as_deref(), Some(&record.value[..]));
        self.native.offer(next, deliveries)
    }

    fn trouble(&self) -> Option<ClusterFault> {
        self.native.trouble()
    }
}
