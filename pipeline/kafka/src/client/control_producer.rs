//! A producer onto a group's control topic: that of the state topics, which it shares.

use std::sync::Arc;

use rdkafka::producer::BaseRecord;

use super::native_producer::NativeProducer;
use crate::{fault::ClusterFault, produce::Deliveries};

/// A producer onto one topic, to the partition that it is told. A clone is the same.
#[derive(Clone)]
pub(crate) struct ControlProducer {
    native: Arc<NativeProducer>,
    topic: Arc<str>,
}

impl ControlProducer {
    pub(super) fn new(native: Arc<NativeProducer>, topic: &str) -> Self {
        Self { native, topic: Arc::from(topic) }
    }

    /// Takes a record on its way; none removes what has the key.
    ///
    /// # Errors
    /// A record that is refused at once, or for which there is no room.
    pub(crate) fn send(
        &self,
        partition: i32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Arc<Deliveries>, ClusterFault> {
        let deliveries = Arc::new(Deliveries::default());
        let mut next = BaseRecord::<[u8], [u8], _>::with_opaque_to(&self.topic, Arc::clone(&deliveries));
        next.partition = Some(partition);
        (next.key, next.payload) = (Some(key), value);
        if self.native.offer(next, &deliveries)? {
            return Ok(deliveries);
        }
        let detail = "the records that wait for the cluster leave no room".to_owned();
        Err(ClusterFault::Refused { what: "a record", detail })
    }
}
