//! A producer onto the state topics, to the partition that it is told.

use std::{sync::Arc, time::Duration};

use rdkafka::producer::BaseRecord;

use super::{
    control_producer::ControlProducer,
    native_producer::{NativeProducer, Settings},
};
use crate::{
    fault::{ClusterFault, KafkaFault},
    follow::{AROUND_A_BODY, FollowOptions, StateRecord, StateTopic, StateWriter},
    produce::Deliveries,
};

/// How long records wait for company. A group commit's come together, so that little is won by more.
const LINGER: Duration = Duration::from_millis(1);
/// The bytes that a batch has at most: several group commits of outcomes.
const BATCH_BYTES: usize = 256 << 10;
/// The bytes of all records that wait for the cluster.
const BUFFER_BYTES: usize = 32 << 20;

/// A producer onto both topics.
pub(crate) struct StateProducer {
    native: Arc<NativeProducer>,
    ledger: String,
    waiting: String,
}

impl StateProducer {
    /// A producer for the topics of `options`. Connections are made in the background.
    ///
    /// # Errors
    /// [`KafkaFault::Settings`] if the client does not take them.
    pub(crate) fn new(options: &FollowOptions) -> Result<Self, KafkaFault> {
        let settings = Settings {
            linger: LINGER,
            batch_bytes: BATCH_BYTES,
            message_max: options.record_max + AROUND_A_BODY,
            buffer_bytes: BUFFER_BYTES,
            partitioner: None,
        };
        let native = Arc::new(NativeProducer::new(&options.cluster, &settings)?);
        let (ledger, waiting) = (options.ledger_topic.clone(), options.waiting_topic.clone());
        Ok(Self { native, ledger, waiting })
    }

    /// A producer onto the control topic, by the same client.
    pub(crate) fn control(&self, topic: &str) -> ControlProducer {
        ControlProducer::new(Arc::clone(&self.native), topic)
    }
}

impl StateWriter for StateProducer {
    fn offer(&self, record: &StateRecord, deliveries: &Arc<Deliveries>) -> Result<bool, ClusterFault> {
        let topic = match record.topic {
            StateTopic::Ledger => &self.ledger,
            StateTopic::Waiting => &self.waiting,
        };
        let mut next = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Arc::clone(deliveries));
        next.partition = Some(record.partition);
        (next.key, next.payload) = (record.key.as_deref(), record.value.as_deref());
        self.native.offer(next, deliveries)
    }

    fn trouble(&self) -> Option<ClusterFault> {
        self.native.trouble()
    }
}
