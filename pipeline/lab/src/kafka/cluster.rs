//! What a run asks of a cluster: a topic of its own, and how far a group has committed.

use std::{fmt, time::Duration};

use rdkafka::{
    ClientConfig, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::time::{Instant, sleep};

use super::{ANSWER_MAX, KafkaFault};

/// How often it is looked whether a topic is there.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What can be asked of a cluster.
pub struct Cluster {
    bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

/// The committed offsets of one group.
pub struct GroupOffsets {
    bootstrap: String,
    consumer: BaseConsumer,
    asked: TopicPartitionList,
}

impl fmt::Debug for GroupOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupOffsets").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

/// A client's config, quiet about nodes that come and go.
pub(super) fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("log_level", "2");
    config
}

pub(super) fn fault(bootstrap: &str, what: impl Into<String>, detail: impl fmt::Display) -> KafkaFault {
    KafkaFault::Cluster { bootstrap: bootstrap.to_owned(), what: what.into(), detail: detail.to_string() }
}

impl Cluster {
    /// The cluster that `bootstrap`, `HOST:PORT` with commas between them, belongs to.
    ///
    /// # Errors
    /// It cannot be one.
    pub fn new(bootstrap: &str) -> Result<Self, KafkaFault> {
        let admin = config(bootstrap).create().map_err(|error| fault(bootstrap, "a client", error))?;
        Ok(Self { bootstrap: bootstrap.to_owned(), admin })
    }

    /// How many nodes it has. Blocks for at most [`ANSWER_MAX`].
    ///
    /// # Errors
    /// It does not answer.
    pub fn nodes(&self) -> Result<usize, KafkaFault> {
        let metadata = self.admin.inner().fetch_metadata(None, ANSWER_MAX);
        let metadata = metadata.map_err(|error| fault(&self.bootstrap, "its nodes", error))?;
        Ok(metadata.brokers().len())
    }

    /// Makes a topic with as many replicas as the cluster gives by itself, and waits until it can be used.
    ///
    /// # Errors
    /// It is not made.
    pub async fn create(&self, topic: &str, partitions: u32) -> Result<(), KafkaFault> {
        let what = || format!("making the topic {topic}");
        let count = i32::try_from(partitions).unwrap_or(i32::MAX);
        let new = NewTopic::new(topic, count, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_MAX));
        let made = self.admin.create_topics([&new], &options).await;
        let made = made.map_err(|error| fault(&self.bootstrap, what(), error))?;
        if let Some(Err((_, code))) = made.into_iter().next() {
            return Err(fault(&self.bootstrap, what(), code));
        }
        let end = Instant::now() + ANSWER_MAX;
        while !self.is_led(topic, partitions as usize) {
            if Instant::now() > end {
                return Err(fault(&self.bootstrap, what(), "its partitions have no leaders"));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn is_led(&self, topic: &str, partitions: usize) -> bool {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), ANSWER_MAX);
        metadata.is_ok_and(|metadata| {
            metadata.topics().iter().any(|topic| {
                topic.partitions().len() == partitions
                    && topic.partitions().iter().all(|partition| partition.leader() >= 0)
            })
        })
    }

    /// Removes what a run has made; what cannot be removed stays, and its name says where it is from.
    pub async fn remove(&self, topics: &[&str], group: &str) {
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_MAX));
        let topics = self.admin.delete_topics(topics, &options).await;
        let group = self.admin.delete_groups(&[group], &options).await;
        tracing::debug!(?topics, ?group, "what the run has made was removed");
    }

    /// Whether `group` has so many members, and all of them know their partitions. Blocks for at most [`ANSWER_MAX`].
    #[must_use]
    pub fn is_stable(&self, group: &str, members: usize) -> bool {
        let list = self.admin.inner().fetch_group_list(Some(group), ANSWER_MAX);
        list.is_ok_and(|list| {
            list.groups().iter().any(|found| found.state() == "Stable" && found.members().len() == members)
        })
    }
}

impl GroupOffsets {
    /// Those of `group` for the `partitions` of `topic`.
    ///
    /// # Errors
    /// There is no client.
    pub fn new(bootstrap: &str, group: &str, topic: &str, partitions: u32) -> Result<Self, KafkaFault> {
        let consumer = config(bootstrap).set("group.id", group).create();
        let consumer = consumer.map_err(|error| fault(bootstrap, "a client", error))?;
        let mut asked = TopicPartitionList::new();
        (0..partitions.cast_signed()).for_each(|partition| _ = asked.add_partition(topic, partition));
        Ok(Self { bootstrap: bootstrap.to_owned(), consumer, asked })
    }

    /// The next offset that the group would read of each partition; 0 where it has committed nothing. Blocks for at most
    /// [`ANSWER_MAX`].
    ///
    /// # Errors
    /// The group's coordinator does not answer.
    pub fn committed(&self) -> Result<Vec<u64>, KafkaFault> {
        let told = self.consumer.committed_offsets(self.asked.clone(), ANSWER_MAX);
        let told = told.map_err(|error| fault(&self.bootstrap, "the group's offsets", error))?;
        let offset = |at: Option<i64>| at.and_then(|at| u64::try_from(at).ok()).unwrap_or(0);
        Ok(told.elements().iter().map(|partition| offset(partition.offset().to_raw())).collect())
    }
}
