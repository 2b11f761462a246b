//! Topics of a Kafka cluster: the partitions that a consumer group assigns, each a source of its own, and a producer.
//!
//! Guarantees: a partition's records come in rising order, each once per assignment; its offsets are committed only over
//! what is settled, by number, while it is this process's; what the cluster no longer has is named as a range and never
//! passed in silence. A partition that is given up in good order has nothing on its way when the next member gets it.
//!
//! What is held: for each partition librdkafka keeps at most `fetch.queue_max` and one response's part beside it,
//! `fetch.partition_max` times what it decompresses to; this crate holds one record. While the line is full, partitions
//! are not read and nothing is fetched for them; the thread that polls keeps the membership.
//!
//! Two halves: `client` talks to a cluster; everything else decides, against the port in `consumer` and `events`, and is
//! tested without a cluster.

#![cfg_attr(
    not(feature = "client"),
    allow(dead_code, reason = "what decides is all there, and nobody asks it without a client")
)]

mod assignment;
#[cfg_attr(not(feature = "client"), path = "client_absent.rs")]
mod client;
mod cluster_wait;
mod commit_mark;
mod connect;
mod consumer;
mod counted;
mod drain;
mod events;
mod fault;
pub mod follow;
mod given;
mod group_counts;
mod headers;
mod lease;
mod lease_renewal;
mod look;
mod loss;
mod loss_search;
mod member;
mod options;
mod outage_log;
mod place;
pub mod produce;
mod properties;
mod reader;
mod rebalance;
#[cfg(test)]
mod scripted;
#[cfg(feature = "testing")]
pub mod simulated;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

pub use client::Producer;
pub use connect::{Connected, Following, Membership, connect};
pub use counted::OnCounted;
pub use drain::{Drained, PartitionDrain};
pub use fault::{ClusterFault, KafkaFault};
pub use given::{AssignedPartitions, RecordStream};
pub use group_counts::GroupCounts;
pub use options::{
    ClientCertificate, ClusterOptions, FetchOptions, Framing, GroupOptions, GroupProtocol, Isolation,
    KafkaOptions, OnLoss, Password, Reading, SaslMechanism, SaslOptions, Start, TlsOptions,
};
pub use properties::{invalid_properties, refused_property};
pub use topics::{Checkpoints, PartitionCounts};

/// Whether this build has a client: without one no cluster can be connected.
pub const HAS_CLIENT: bool = cfg!(feature = "client");

/// The name of the source that reads a partition: `kafka:TOPIC/PARTITION`.
#[must_use]
pub fn name_of(topic: &str, partition: i32) -> Arc<str> {
    Arc::from(format!("kafka:{topic}/{partition}"))
}

/// The topic and the partition that a source of this name reads; none if it reads no topic of Kafka.
#[must_use]
pub fn partition_of_name(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.strip_prefix("kafka:")?.rsplit_once('/')?;
    Some((topic, partition.parse().ok()?))
}
