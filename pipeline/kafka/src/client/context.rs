//! Passes librdkafka's events on. All come on the thread that polls, because the event interface is used; what a
//! rebalance asks for is done before that call returns.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};

use super::errors::by_code;
use crate::events::Events;

/// The consumer as the client has it.
pub(super) type NativeConsumer = BaseConsumer<Context>;

/// Follows one client's events.
#[derive(Default)]
pub(super) struct Context {
    events: OnceLock<Weak<dyn Events>>,
    /// The run is over: partitions are given back at once.
    pub(super) closing: AtomicBool,
}

impl Context {
    /// Tells `events` of everything from now on.
    pub(super) fn follow(&self, events: &Arc<dyn Events>) {
        let _first = self.events.set(Arc::downgrade(events)).is_ok();
    }

    pub(super) fn events(&self) -> Option<Arc<dyn Events>> {
        self.events.get()?.upgrade().filter(|_| !self.closing.load(Ordering::Acquire))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters of it is told in this crate's own words, once, by `error`; the rest repeats with each try.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, "{message}");
            }
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        // A partition tells it by its own queue.
        let of_a_partition =
            [RDKafkaErrorCode::PartitionEOF, RDKafkaErrorCode::AutoOffsetReset, RDKafkaErrorCode::NoError];
        if let Some(code) = code.filter(|code| !of_a_partition.contains(code))
            && let Some(events) = self.events()
        {
            events.trouble(by_code(code, "an exchange with the cluster", reason.to_owned()));
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &NativeConsumer,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let numbers: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        let is_assign = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done = match (self.events(), is_assign) {
            (Some(events), true) => return events.assigned(numbers),
            (Some(events), false) => return events.revoked(numbers, consumer.assignment_lost()),
            (None, true) => consumer.incremental_assign(partitions),
            (None, false) => consumer.incremental_unassign(partitions),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "a rebalance while the run ends");
        }
    }
}
