//! The controller: a topic enters, the number of its partitions leaves; a partition enters, how to connect to its leader
//! leaves. A new connection each time: a client that has outlived its controller no longer answers for new topics.

use fluvio::{
    Fluvio, FluvioAdmin, FluvioClusterConfig,
    metadata::{partition::PartitionSpec, spu::SpuSpec, topic::TopicSpec},
};
use fluvio_future::net::DomainConnector;
use fluvio_protocol::record::ReplicaKey;
use fluvio_socket::ClientConfig;

use super::super::partition::ClusterFault;

/// A cluster's controller.
#[derive(Clone)]
pub(crate) struct Controller {
    endpoint: String,
    connector: DomainConnector,
}

impl Controller {
    pub(super) fn new(endpoint: String, connector: DomainConnector) -> Self {
        Self { endpoint, connector }
    }

    /// How many partitions a topic has.
    pub(crate) async fn count(&self, topic: &str) -> Result<u32, ClusterFault> {
        let client = self.client().await?;
        let topics = client.admin().await.list::<TopicSpec, _>(vec![topic.to_owned()]).await;
        let topics = topics.map_err(|error| self.unreachable(&error))?;
        // The filter may be taken as a part of a name.
        let found = topics.into_iter().find(|found| found.name == topic);
        found
            .map(|found| found.spec.partitions())
            .ok_or_else(|| ClusterFault::NoTopic { topic: topic.to_owned() })
    }

    /// How to connect to whoever leads a partition now.
    pub(crate) async fn leader_of(&self, replica: &ReplicaKey) -> Result<ClientConfig, ClusterFault> {
        let client = self.client().await?;
        let admin = client.admin().await;
        let spu = self.leader_id(&admin, replica).await?;
        let spus = admin.all::<SpuSpec>().await.map_err(|error| self.unreachable(&error))?;
        let Some(leader) = spus.into_iter().find(|found| found.spec.id == spu) else {
            let (topic, partition) = (replica.topic.clone(), replica.partition);
            return Err(ClusterFault::NoLeader { topic, partition, spu });
        };
        let mut config = ClientConfig::new(&self.endpoint, self.connector.clone(), false)
            .with_prefix_sni_domain(&leader.name);
        config.set_addr(leader.spec.public_endpoint.addr());
        Ok(config)
    }

    async fn leader_id(&self, admin: &FluvioAdmin, replica: &ReplicaKey) -> Result<i32, ClusterFault> {
        let partitions = admin.all::<PartitionSpec>().await.map_err(|error| self.unreachable(&error))?;
        let name = format!("{}-{}", replica.topic, replica.partition);
        let of_topic = |found: &str| found.rsplit_once('-').is_some_and(|(topic, _)| topic == replica.topic);
        let count = partitions.iter().filter(|found| of_topic(&found.name)).count();
        match partitions.into_iter().find(|found| found.name == name) {
            Some(found) => Ok(found.spec.leader),
            None if count == 0 => Err(ClusterFault::NoTopic { topic: replica.topic.clone() }),
            None => Err(ClusterFault::NoPartition {
                topic: replica.topic.clone(),
                partition: replica.partition,
                count: u32::try_from(count).unwrap_or(u32::MAX),
            }),
        }
    }

    async fn client(&self) -> Result<Fluvio, ClusterFault> {
        let config = FluvioClusterConfig::new(&self.endpoint);
        let connected = Fluvio::connect_with_connector(self.connector.clone(), &config).await;
        connected.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> ClusterFault {
        ClusterFault::Unreachable {
            who: format!("the controller at {}", self.endpoint),
            // With its causes: the outermost alone says little.
            detail: format!("{error:#}"),
        }
    }
}
