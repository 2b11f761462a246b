//! One partition's own queue in the client.

use std::time::Duration;

use rdkafka::{
    consumer::base_consumer::PartitionQueue as NativeQueue, error::KafkaError, types::RDKafkaErrorCode,
};

use super::{context::Context, errors::cluster_fault, record::record};
use crate::consumer::{PartitionQueue, Queued, Wanted};

/// One partition's queue. It keeps the client alive.
pub(crate) struct ClusterQueue {
    native: NativeQueue<Context>,
    timeout: Duration,
    keys: bool,
}

impl ClusterQueue {
    pub(super) fn new(native: NativeQueue<Context>, timeout: Duration, keys: bool) -> Self {
        Self { native, timeout, keys }
    }
}

impl PartitionQueue for ClusterQueue {
    fn next(&mut self, wanted: &Wanted) -> Option<Queued> {
        Some(match self.native.poll(Duration::ZERO)? {
            Ok(message) => Queued::Record(record(&message, wanted, self.keys)),
            Err(KafkaError::PartitionEOF(_)) => Queued::End,
            Err(error) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                    Queued::OutOfRange
                }
                _ => Queued::Trouble(cluster_fault(&error, "reading the partition", self.timeout)),
            },
        })
    }
}
