//! A member of a consumer group as most services have one: offsets are committed on a timer, of messages that have been
//! handled to their end. It is an eager group: at a rebalance everyone gives up everything.

use std::{fmt, time::Duration};

use bytes::Bytes;
use rdkafka::{
    Message as _,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{
    ConsumerOptions, KafkaFault,
    cluster::{config, fault},
};

/// A member.
pub struct Consumer {
    topic: String,
    consumer: BaseConsumer,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its value.
    pub value: Bytes,
}

impl Consumer {
    /// Joins the group.
    ///
    /// # Errors
    /// There is no client, or it takes no such options.
    pub fn join(options: &ConsumerOptions) -> Result<Self, KafkaFault> {
        let ConsumerOptions { bootstrap, topic, group, .. } = options;
        let millis = |time: Duration| time.as_millis().to_string();
        let mut config = config(bootstrap);
        config
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", millis(options.commit_interval))
            // Stored once a message is handled, as kafkajs resolves it: at least once.
            .set("enable.auto.offset.store", "false")
            .set("partition.assignment.strategy", "roundrobin")
            .set("heartbeat.interval.ms", millis(options.heartbeat))
            .set("session.timeout.ms", millis(options.session_timeout))
            .set("max.poll.interval.ms", millis(options.rebalance_timeout))
            .set("fetch.wait.max.ms", "20");
        let consumer: BaseConsumer = config.create().map_err(|error| fault(bootstrap, "a client", error))?;
        let joined = consumer.subscribe(&[topic]);
        joined.map_err(|error| fault(bootstrap, format!("joining the group {group}"), error))?;
        Ok(Self { topic: topic.clone(), consumer })
    }

    /// The next message, if one comes within `time`. What goes wrong is the client's to mend, and tried again.
    #[must_use]
    pub fn poll(&self, time: Duration) -> Option<Message> {
        match self.consumer.poll(time)? {
            Ok(message) => Some(Message {
                partition: message.partition(),
                offset: message.offset(),
                value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
            }),
            Err(error) => {
                tracing::debug!(%error, "the consumer");
                None
            }
        }
    }

    /// The message has been handled: its offset goes along with the next commit, if its partition is still this member's.
    pub fn handled(&self, message: &Message) {
        if let Err(error) = self.consumer.store_offset(&self.topic, message.partition, message.offset) {
            tracing::debug!(%error, "the partition has gone meanwhile");
        }
    }
}
