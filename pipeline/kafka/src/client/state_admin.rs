//! What is asked of a cluster about topics, and done to them, over librdkafka.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, ConfigResource, NewPartitions, NewTopic, ResourceSpecifier,
        TopicReplication,
    },
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::task::spawn_blocking;

use super::{
    config::client_config,
    errors::{by_code, cluster_fault, of_topic},
};
use crate::{
    fault::{ClusterFault, KafkaFault},
    follow::{StateAdmin, TopicFacts, TopicPlan},
    lease::GroupSession,
    options::ClusterOptions,
};

const WHAT: &str = "a state topic";
const SESSION: &str = "the group's session";

/// Knows and makes topics. A clone is the same.
#[derive(Clone)]
pub(crate) struct StateClusterAdmin {
    native: Arc<AdminClient<DefaultClientContext>>,
    timeout: Duration,
}

impl StateClusterAdmin {
    /// Asks this cluster.
    ///
    /// # Errors
    /// [`KafkaFault::Settings`].
    pub(crate) fn new(cluster: &ClusterOptions) -> Result<Self, KafkaFault> {
        let native = client_config(cluster).create();
        let native =
            native.map_err(|error: KafkaError| KafkaFault::Settings { detail: error.to_string() })?;
        Ok(Self { native: Arc::new(native), timeout: cluster.timeout })
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    fn fault(&self, error: &KafkaError) -> ClusterFault {
        cluster_fault(error, WHAT, self.timeout)
    }

    /// How many partitions a topic has; none if it does not exist.
    async fn partitions(&self, topic: &str) -> Result<Option<i32>, ClusterFault> {
        let (native, timeout, topic) = (Arc::clone(&self.native), self.timeout, topic.to_owned());
        // Of all topics: asked for one by name, a cluster may create it.
        let asked = spawn_blocking(move || {
            let metadata = native.inner().fetch_metadata(None, timeout);
            let metadata = metadata.map_err(|error| cluster_fault(&error, WHAT, timeout))?;
            let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
                return Ok(None);
            };
            match found.error().map(Into::into) {
                Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(None),
                Some(code) => Err(of_topic(code, &topic)),
                None => Ok(Some(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX))),
            }
        });
        asked.await.map_err(|error| ClusterFault::Refused { what: WHAT, detail: error.to_string() })?
    }
}

impl StateAdmin for StateClusterAdmin {
    async fn facts(&self, topic: &str) -> Result<Option<TopicFacts>, ClusterFault> {
        let Some(partitions) = self.partitions(topic).await? else { return Ok(None) };
        let asked = [ResourceSpecifier::Topic(topic)];
        let described = self.native.describe_configs(&asked, &self.options()).await;
        let described = described.map_err(|error| self.fault(&error))?;
        let found = match described.into_iter().next() {
            Some(Ok(found)) => found,
            Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) | None => return Ok(None),
            Some(Err(code)) => return Err(by_code(code, WHAT, format!("{topic}: {code}"))),
        };
        let value = |key: &str| found.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
        // -1 stands for no limit.
        let number = |key: &str| value(key).parse::<u64>().ok();
        Ok(Some(TopicFacts {
            partitions,
            cleanup_policy: value("cleanup.policy"),
            retention: number("retention.ms"),
            retention_bytes: number("retention.bytes"),
            message_max: number("max.message.bytes").unwrap_or_default(),
        }))
    }

    async fn create(&self, plan: &TopicPlan) -> Result<(), ClusterFault> {
        let mut topic =
            NewTopic::new(&plan.topic, plan.partitions, TopicReplication::Fixed(plan.replication));
        for (key, value) in &plan.settings {
            topic = topic.set(key, value);
        }
        let made = self.native.create_topics([&topic], &self.options()).await;
        let made = made.map_err(|error| self.fault(&error))?.into_iter().next();
        match made {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) => Ok(()),
            Some(Err((name, code))) => Err(by_code(code, WHAT, format!("{name} cannot be created: {code}"))),
            None => Err(ClusterFault::Refused { what: WHAT, detail: "nothing was said".to_owned() }),
        }
    }

    async fn grow(&self, topic: &str, partitions: i32) -> Result<(), ClusterFault> {
        let count = usize::try_from(partitions).unwrap_or_default();
        let more = NewPartitions::new(topic, count);
        let grown = self.native.create_partitions([&more], &self.options()).await;
        match grown.map_err(|error| self.fault(&error))?.into_iter().next() {
            // Another member may have been quicker: it is looked at again.
            Some(Ok(_) | Err((_, RDKafkaErrorCode::InvalidPartitions))) => Ok(()),
            Some(Err((name, code))) => Err(by_code(code, WHAT, format!("{name} cannot grow: {code}"))),
            None => Err(ClusterFault::Refused { what: WHAT, detail: "nothing was said".to_owned() }),
        }
    }

    async fn session(&self, group: &str) -> Result<Option<GroupSession>, ClusterFault> {
        let (native, timeout) = (Arc::clone(&self.native), self.timeout);
        let asked = spawn_blocking(move || native.inner().fetch_metadata(None, timeout)).await;
        let asked =
            asked.map_err(|error| ClusterFault::Refused { what: SESSION, detail: error.to_string() })?;
        let nodes = asked.map_err(|error| cluster_fault(&error, SESSION, self.timeout))?;
        let Some(node) = nodes.brokers().first().map(|node| node.id()) else { return Ok(None) };
        let asked = [ResourceSpecifier::Broker(node)];
        let described = self.native.describe_configs(&asked, &self.options()).await;
        let described = described.map_err(|error| cluster_fault(&error, SESSION, self.timeout))?;
        let found = match described.into_iter().next() {
            Some(Ok(found)) => found,
            Some(Err(RDKafkaErrorCode::ClusterAuthorizationFailed)) | None => return Ok(None),
            Some(Err(code)) => return Err(by_code(code, SESSION, code.to_string())),
        };
        // A group can have values of its own (Kafka 4). An older cluster, or one that does not tell this user, has none.
        let own = self.native.describe_configs(&[ResourceSpecifier::Group(group)], &self.options()).await;
        let own = own.ok().and_then(|described| described.into_iter().next()?.ok());
        let value = |of_group: &str| {
            let own = own.as_ref().and_then(|own| millis(own, of_group));
            own.or_else(|| millis(&found, &format!("group.{of_group}")))
        };
        let timeout = value("consumer.session.timeout.ms");
        let heartbeat = value("consumer.heartbeat.interval.ms");
        Ok(timeout.map(|timeout| GroupSession {
            timeout,
            heartbeat: heartbeat.unwrap_or(GroupSession::waiting(timeout).heartbeat),
        }))
    }
}

/// A number of milliseconds.
fn millis(config: &ConfigResource, key: &str) -> Option<Duration> {
    config.get(key)?.value.as_deref()?.parse().ok().map(Duration::from_millis)
}
