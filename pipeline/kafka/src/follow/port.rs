//! A cluster as the state topics see it: what takes records, and what knows topics. Reading is [`Consumer`]'s. The tests
//! put a scripted cluster behind it.
//!
//! [`Consumer`]: crate::consumer::Consumer

use std::sync::Arc;

use super::plan::{TopicFacts, TopicPlan};
use crate::{fault::ClusterFault, lease::GroupSession, produce::Deliveries};

/// One of both topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateTopic {
    /// Outcomes, horizons, claims.
    Ledger,
    /// Deliveries that wait, with their bodies.
    Waiting,
}

/// A record to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateRecord {
    pub(crate) topic: StateTopic,
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    /// None removes what has the key.
    pub(crate) value: Option<Vec<u8>>,
}

/// What takes records: in the order in which they come for each partition, each once, acknowledged by all in-sync
/// replicas, and as long as it takes.
pub(crate) trait StateWriter: Send + Sync + 'static {
    /// Takes a record on its way, which `deliveries` tell of; false if there is no room now.
    fn offer(&self, record: &StateRecord, deliveries: &Arc<Deliveries>) -> Result<bool, ClusterFault>;

    /// What is in the way of those that wait, if that is known.
    fn trouble(&self) -> Option<ClusterFault>;
}

/// What knows and makes topics. Each answer comes within the client's timeout.
pub(crate) trait StateAdmin: Send + Sync + 'static {
    /// What the cluster says of a topic; none if it does not exist.
    fn facts(&self, topic: &str) -> impl Future<Output = Result<Option<TopicFacts>, ClusterFault>> + Send;

    /// Makes a topic. That it exists by now is no fault.
    fn create(&self, plan: &TopicPlan) -> impl Future<Output = Result<(), ClusterFault>> + Send;

    /// Adds partitions, so that there are `partitions`.
    fn grow(&self, topic: &str, partitions: i32) -> impl Future<Output = Result<(), ClusterFault>> + Send;

    /// The session of a group of the `consumer` protocol; none if this user may not know it.
    fn session(&self, group: &str)
    -> impl Future<Output = Result<Option<GroupSession>, ClusterFault>> + Send;
}
