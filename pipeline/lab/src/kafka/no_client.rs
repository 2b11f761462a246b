//! Stands for the client in a build without it. Nothing of it can be made.

use std::{convert::Infallible, time::Duration};

use super::{ConsumerOptions, KafkaFault};

/// A cluster.
#[derive(Debug)]
pub struct Cluster(Infallible);
/// The offsets of a group.
#[derive(Debug)]
pub struct GroupOffsets(Infallible);
/// A consumer.
#[derive(Debug)]
pub struct Consumer(Infallible);
/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its value.
    pub value: bytes::Bytes,
}

#[allow(missing_docs, reason = "as the client's")]
impl Cluster {
    pub fn new(_: &str) -> Result<Self, KafkaFault> {
        Err(KafkaFault::NoClient)
    }

    pub fn nodes(&self) -> Result<usize, KafkaFault> {
        match self.0 {}
    }

    pub async fn create(&self, _: &str, _: u32) -> Result<(), KafkaFault> {
        match self.0 {}
    }

    pub async fn remove(&self, _: &[&str], _: &str) {
        match self.0 {}
    }

    pub fn is_stable(&self, _: &str, _: usize) -> bool {
        match self.0 {}
    }
}

#[allow(missing_docs, reason = "as the client's")]
impl GroupOffsets {
    pub fn new(_: &str, _: &str, _: &str, _: u32) -> Result<Self, KafkaFault> {
        Err(KafkaFault::NoClient)
    }

    pub fn committed(&self) -> Result<Vec<u64>, KafkaFault> {
        match self.0 {}
    }
}

#[allow(missing_docs, reason = "as the client's")]
impl Consumer {
    pub fn join(_: &ConsumerOptions) -> Result<Self, KafkaFault> {
        Err(KafkaFault::NoClient)
    }

    pub fn poll(&self, _: Duration) -> Option<Message> {
        match self.0 {}
    }

    pub fn handled(&self, _: &Message) {
        match self.0 {}
    }
}
