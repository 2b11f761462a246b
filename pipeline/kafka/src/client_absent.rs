//! Stands for the client in a build without the feature `client`. Nothing of it can be made, so none of it is ever used:
//! a config that names a cluster is refused before, see [`HAS_CLIENT`](crate::HAS_CLIENT).

use std::{convert::Infallible, sync::Arc};

use crate::{
    consumer::{Bounds, Consumer, Offset, PartitionQueue, Queued, ReadFrom, Wanted},
    events::Events,
    fault::{ClusterFault, KafkaFault},
    follow::{FollowOptions, StateAdmin, StateRecord, StateWriter, TopicFacts, TopicPlan},
    lease::GroupSession,
    options::{ClusterOptions, KafkaOptions},
    produce::{Deliveries, Outgoing, ProduceOptions, Topic},
};

/// A consumer.
#[derive(Clone)]
pub(crate) struct ClusterConsumer(Infallible);

/// A producer.
#[derive(Debug)]
pub struct Producer(Infallible);

/// A producer onto the state topics.
pub(crate) struct StateProducer(Infallible);

/// A producer onto a group's control topic.
#[derive(Clone)]
pub(crate) struct ControlProducer(Infallible);

/// Knows and makes topics.
#[derive(Clone)]
pub(crate) struct StateClusterAdmin(Infallible);

/// A partition's queue.
pub(crate) struct ClusterQueue(Infallible);

/// The thread that polls.
pub(crate) struct PollThread(Infallible);

impl ClusterConsumer {
    pub(crate) fn new(_: &KafkaOptions) -> Result<Self, KafkaFault> {
        Err(KafkaFault::NoClient)
    }

    pub(crate) fn join(&self) -> Result<(), ClusterFault> {
        match self.0 {}
    }

    pub(crate) fn with_keys(self) -> Self {
        match self.0 {}
    }
}

impl PollThread {
    pub(crate) fn start(consumer: &ClusterConsumer, _: &Arc<dyn Events>) -> Result<Self, KafkaFault> {
        match consumer.0 {}
    }

    pub(crate) async fn end(self) {
        match self.0 {}
    }
}

impl PartitionQueue for ClusterQueue {
    fn next(&mut self, _: &Wanted) -> Option<Queued> {
        match self.0 {}
    }
}

impl Consumer for ClusterConsumer {
    type Queue = ClusterQueue;

    fn queue(&self, _: i32, _: impl Fn() + Send + Sync + 'static) -> Result<ClusterQueue, ClusterFault> {
        match self.0 {}
    }

    fn assign(&self, _: &[(i32, ReadFrom)]) -> Result<(), ClusterFault> {
        match self.0 {}
    }

    fn unassign(&self, _: &[i32]) -> Result<(), ClusterFault> {
        match self.0 {}
    }

    async fn commit(&self, _: Vec<Offset>) -> Result<(), ClusterFault> {
        match self.0 {}
    }

    async fn committed(&self, _: Vec<i32>) -> Result<Vec<Offset>, ClusterFault> {
        match self.0 {}
    }

    async fn bounds(&self, _: i32) -> Result<Bounds, ClusterFault> {
        match self.0 {}
    }

    async fn count(&self) -> Result<i32, ClusterFault> {
        match self.0 {}
    }
}

impl Producer {
    /// A producer for a topic.
    ///
    /// # Errors
    /// Always [`KafkaFault::NoClient`].
    pub fn new(_: &ProduceOptions) -> Result<Self, KafkaFault> {
        Err(KafkaFault::NoClient)
    }

    /// Sends nothing more of what it has.
    pub fn give_up(&self) {
        match self.0 {}
    }
}

impl Topic for Producer {
    async fn count(&self) -> Result<u32, ClusterFault> {
        match self.0 {}
    }

    fn offer(&self, _: &Outgoing, _: &Arc<Deliveries>) -> Result<bool, ClusterFault> {
        match self.0 {}
    }

    fn trouble(&self) -> Option<ClusterFault> {
        match self.0 {}
    }
}

impl StateProducer {
    pub(crate) fn new(_: &FollowOptions) -> Result<Self, KafkaFault> {
        Err(KafkaFault::NoClient)
    }

    pub(crate) fn control(&self, _: &str) -> ControlProducer {
        match self.0 {}
    }
}

impl ControlProducer {
    pub(crate) fn send(&self, _: i32, _: &[u8], _: Option<&[u8]>) -> Result<Arc<Deliveries>, ClusterFault> {
        match self.0 {}
    }
}

impl StateWriter for StateProducer {
    fn offer(&self, _: &StateRecord, _: &Arc<Deliveries>) -> Result<bool, ClusterFault> {
        match self.0 {}
    }

    fn trouble(&self) -> Option<ClusterFault> {
        match self.0 {}
    }
}

impl StateClusterAdmin {
    pub(crate) fn new(_: &ClusterOptions) -> Result<Self, KafkaFault> {
        Err(KafkaFault::NoClient)
    }
}

impl StateAdmin for StateClusterAdmin {
    async fn facts(&self, _: &str) -> Result<Option<TopicFacts>, ClusterFault> {
        match self.0 {}
    }

    async fn create(&self, _: &TopicPlan) -> Result<(), ClusterFault> {
        match self.0 {}
    }

    async fn grow(&self, _: &str, _: i32) -> Result<(), ClusterFault> {
        match self.0 {}
    }

    async fn session(&self, _: &str) -> Result<Option<GroupSession>, ClusterFault> {
        match self.0 {}
    }
}
