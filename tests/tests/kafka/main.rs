//! A real Apache Kafka: what Loadline promises over a consumer group, with brokers killed, partitions moved and records
//! gone.
//!
//! The clusters are started from Maven artifacts, see [`tests::KafkaCluster`]. Scenarios that do nothing to the nodes share
//! one of one node; those that kill some use one of three in turn.

// What a scenario needs fails as the scenario does.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod dead_topic;
mod following;
mod harness;
mod members;
mod no_cluster;
mod nodes;
mod producing;
mod reading;
mod retention;
mod scaling;
mod scaling_group;
mod scene;
mod security;
mod site;
mod stalls;
mod state_topics;
mod subscriptions;
mod surge;
mod volume;
