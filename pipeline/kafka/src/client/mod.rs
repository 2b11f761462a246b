//! The client of a cluster, over librdkafka: one consumer, one thread that polls it, and a queue for each partition.
//!
//! The thread serves what is not a record: rebalances, commits, errors. It polls on however full the line is, which
//! keeps the membership. A partition's records come through a queue of its own, which librdkafka fills up to
//! `queued.max.messages.kbytes` and then fetches no more: backpressure is not reading that queue.

mod config;
mod context;
mod control_producer;
mod errors;
mod native_producer;
mod producer;
mod queue;
mod record;
mod state_admin;
mod state_producer;
mod thread;

use std::{sync::Arc, time::Duration};

use rdkafka::{
    TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, KafkaResult},
    topic_partition_list::Offset as NativeOffset,
};

pub(crate) use self::control_producer::ControlProducer;
pub use self::producer::Producer;
pub(crate) use self::queue::ClusterQueue;
pub(crate) use self::state_admin::StateClusterAdmin;
pub(crate) use self::state_producer::StateProducer;
pub(crate) use self::thread::PollThread;
use self::{
    config::consumer_config,
    context::{Context, NativeConsumer},
    errors::cluster_fault,
};
use crate::{
    consumer::{Bounds, Consumer, Offset, ReadFrom},
    fault::{ClusterFault, KafkaFault},
    options::{KafkaOptions, Reading},
};

/// A consumer of one topic on a cluster. A clone is the same consumer.
#[derive(Clone)]
pub(crate) struct ClusterConsumer {
    native: Arc<NativeConsumer>,
    topic: Arc<str>,
    timeout: Duration,
    in_group: bool,
    keys: bool,
}

impl ClusterConsumer {
    /// A consumer that has not joined its group yet. Connections are made in the background.
    ///
    /// # Errors
    /// [`KafkaFault::Settings`].
    pub(crate) fn new(options: &KafkaOptions) -> Result<Self, KafkaFault> {
        let config = consumer_config(options);
        let native = NativeConsumer::from_config_and_context(&config, Context::default())
            .map_err(|error| KafkaFault::Settings { detail: error.to_string() })?;
        Ok(Self {
            native: Arc::new(native),
            topic: Arc::from(&*options.topic),
            timeout: options.cluster.timeout,
            in_group: matches!(options.reading, Reading::Group(_)),
            keys: false,
        })
    }

    /// The same, whose records come with their keys.
    pub(crate) fn with_keys(self) -> Self {
        Self { keys: true, ..self }
    }

    /// Joins the group: partitions come by events.
    pub(crate) fn join(&self) -> Result<(), ClusterFault> {
        self.native.subscribe(&[&self.topic]).map_err(|error| self.fault(&error, "joining the group"))
    }

    fn fault(&self, error: &KafkaError, what: &'static str) -> ClusterFault {
        cluster_fault(error, what, self.timeout)
    }

    /// What `ask` answers, on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        ask: impl FnOnce(&NativeConsumer, &str, Duration) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, ClusterFault> {
        let Self { native, topic, timeout, .. } = self.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&native, &topic, timeout)).await;
        let answer = answer.map_err(|error| ClusterFault::Refused { what, detail: error.to_string() })?;
        answer.map_err(|error| self.fault(&error, what))
    }

    fn offsets(&self, offsets: &[Offset]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for Offset { partition, offset, metadata } in offsets {
            let mut element = list.add_partition(&self.topic, *partition);
            element.set_offset(native(*offset))?;
            element.set_metadata(metadata);
        }
        Ok(list)
    }
}

fn native(offset: u64) -> NativeOffset {
    NativeOffset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}

impl Consumer for ClusterConsumer {
    type Queue = ClusterQueue;

    fn queue(
        &self,
        partition: i32,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<ClusterQueue, ClusterFault> {
        let queue = self.native.split_partition_queue(&self.topic, partition);
        let mut queue = queue.ok_or_else(|| ClusterFault::Refused {
            what: "a partition's queue",
            detail: format!("partition {partition} of {}", self.topic),
        })?;
        queue.set_nonempty_callback(wake);
        Ok(ClusterQueue::new(queue, self.timeout, self.keys))
    }

    fn assign(&self, places: &[(i32, ReadFrom)]) -> Result<(), ClusterFault> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        let assigned = places.iter().try_for_each(|(partition, from)| {
            let offset = match from {
                ReadFrom::Offset(offset) => native(*offset),
                ReadFrom::Oldest => NativeOffset::Beginning,
                ReadFrom::Newest => NativeOffset::End,
            };
            list.add_partition_offset(&self.topic, *partition, offset)
        });
        let assigned = assigned.and_then(|()| self.native.incremental_assign(&list));
        assigned.map_err(|error| self.fault(&error, "an assignment"))
    }

    fn unassign(&self, partitions: &[i32]) -> Result<(), ClusterFault> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let _element = list.add_partition(&self.topic, *partition);
        }
        let given_up = self.native.incremental_unassign(&list);
        given_up.map_err(|error| self.fault(&error, "an assignment"))
    }

    async fn commit(&self, offsets: Vec<Offset>) -> Result<(), ClusterFault> {
        let list = self.offsets(&offsets).map_err(|error| self.fault(&error, "a commit"))?;
        self.ask("a commit", move |consumer, _, _| {
            consumer.commit(&list, CommitMode::Sync)?;
            list.elements().iter().try_for_each(|element| element.error())
        })
        .await
    }

    async fn committed(&self, partitions: Vec<i32>) -> Result<Vec<Offset>, ClusterFault> {
        if !self.in_group {
            return Ok(Vec::new());
        }
        self.ask("the group's offsets", move |consumer, topic, timeout| {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for partition in partitions {
                let _element = list.add_partition(topic, partition);
            }
            let list = consumer.committed_offsets(list, timeout)?;
            let elements = list.elements();
            let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
                let NativeOffset::Offset(offset) = element.offset() else { return None };
                let (partition, offset) = (element.partition(), u64::try_from(offset).ok()?);
                Some(Offset { partition, offset, metadata: element.metadata().to_owned() })
            };
            elements
                .iter()
                .map(|element| element.error().map(|()| offset(element)))
                .filter_map(Result::transpose)
                .collect()
        })
        .await
    }

    async fn bounds(&self, partition: i32) -> Result<Bounds, ClusterFault> {
        let answer = self.ask("what the log holds", move |consumer, topic, timeout| {
            consumer.fetch_watermarks(topic, partition, timeout)
        });
        let (start, end) = answer.await?;
        let number = |offset: i64| u64::try_from(offset).unwrap_or_default();
        Ok(Bounds { start: number(start), end: number(end) })
    }

    async fn count(&self) -> Result<i32, ClusterFault> {
        let answer = self.ask("the topic's partitions", |consumer, topic, timeout| {
            let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            Ok(found.map(|found| (found.partitions().len(), found.error().map(Into::into))))
        });
        let no_topic = || ClusterFault::NoTopic { topic: self.topic.to_string() };
        match answer.await?.ok_or_else(no_topic)? {
            (_, Some(error)) => Err(errors::of_topic(error, &self.topic)),
            // It is just being made.
            (0, None) => Err(no_topic()),
            (count, None) => Ok(i32::try_from(count).unwrap_or(i32::MAX)),
        }
    }
}
