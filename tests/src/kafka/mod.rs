//! A real Apache Kafka for scenarios: one or three nodes, each a process of its own that can be killed, stopped and
//! started again. Everything ends with the test process, however that ends.
//!
//! It needs Java 17 and Maven. Where they are missing, [`KafkaCluster::start`] says that the test is skipped, unless
//! `LOADLINE_TEST_KAFKA` is `required`.

mod client;
mod cluster;
mod distribution;
mod follow_options;
mod guard;
mod node;
mod properties;
mod topic;

pub use cluster::{KafkaCluster, Listener};
pub(crate) use guard::Guard;
pub use topic::{KafkaRecord, KafkaTopic, Transaction};
