//! The controller: the number of a topic's partitions, and connections to their leaders. Each question uses a new
//! connection, because a client that has outlived its controller no longer answers for new topics.

use fluvio::{
    Fluvio, FluvioAdmin, FluvioClusterConfig,
    metadata::{partition::PartitionSpec, spu::SpuSpec, topic::TopicSpec},
};
use fluvio_protocol::record::ReplicaKey;
use fluvio_socket::ClientConfig;

use super::{
    super::partition::ClusterFault,
    close_on_drop::CloseOnDrop,
    connector::Connector,
    errors::{self, Protection},
    leader::Leader,
};

/// A cluster's controller.
#[derive(Clone)]
pub struct Controller {
    endpoint: String,
    connector: Connector,
    protection: Protection,
}

impl Controller {
    pub(super) fn new(endpoint: String, connector: Connector, protection: Protection) -> Self {
        Self { endpoint, connector, protection }
    }

    /// How many partitions a topic has.
    pub async fn count(&self, topic: &str) -> Result<u32, ClusterFault> {
        let (client, _hang_up) = self.client().await?;
        let topics = client.admin().await.list::<TopicSpec, _>(vec![topic.to_owned()]).await;
        let topics = topics.map_err(|error| self.unreachable(&error))?;
        // The cluster may match the filter as a part of a name.
        let found = topics.into_iter().find(|found| found.name == topic);
        found
            .map(|found| found.spec.partitions())
            .ok_or_else(|| ClusterFault::NoTopic { topic: topic.to_owned() })
    }

    /// A connection to a partition's current leader.
    pub async fn leader_of(&self, topic: &str, partition: u32) -> Result<Leader, ClusterFault> {
        let replica = ReplicaKey::new(topic.to_owned(), partition);
        let hang_up = CloseOnDrop::default();
        let config = self.way_to_leader(&replica, &hang_up).await?;
        Leader::connect((config, hang_up), replica, self.protection).await
    }

    async fn way_to_leader(
        &self,
        replica: &ReplicaKey,
        hang_up: &CloseOnDrop,
    ) -> Result<ClientConfig, ClusterFault> {
        let (client, _hang_up) = self.client().await?;
        let admin = client.admin().await;
        let spu = self.leader_id(&admin, replica).await?;
        let spus = admin.all::<SpuSpec>().await.map_err(|error| self.unreachable(&error))?;
        let Some(leader) = spus.into_iter().find(|found| found.spec.id == spu) else {
            let (topic, partition) = (replica.topic.clone(), replica.partition);
            return Err(ClusterFault::NoLeader { topic, partition, spu });
        };
        let connector = Box::new(self.connector.storing_in(hang_up.made()));
        let mut config =
            ClientConfig::new(&self.endpoint, connector, false).with_prefix_sni_domain(&leader.name);
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

    /// A client, and the guard that closes its connection.
    async fn client(&self) -> Result<(Fluvio, CloseOnDrop), ClusterFault> {
        let hang_up = CloseOnDrop::default();
        let connector = Box::new(self.connector.storing_in(hang_up.made()));
        let config = FluvioClusterConfig::new(&self.endpoint);
        let connected = Fluvio::connect_with_connector(connector, &config).await;
        let client =
            connected.map_err(|error| errors::unopened(self.who(), error.as_ref(), self.protection))?;
        Ok((client, hang_up))
    }

    fn unreachable(&self, error: &anyhow::Error) -> ClusterFault {
        errors::lost(self.who(), error.as_ref())
    }

    fn who(&self) -> String {
        format!("the controller at {}", self.endpoint)
    }
}
