//! Where the state of partitions is kept: plain data, checked by the config.

use std::{sync::Arc, time::Duration};

use crate::options::ClusterOptions;

/// The topics beside a source's topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowOptions {
    /// The cluster, the source's own.
    pub cluster: ClusterOptions,
    /// The consumer group whose members share it.
    pub group: String,
    /// The topic whose partitions' state is kept.
    pub source_topic: String,
    /// The topic of outcomes, horizons and claims.
    pub ledger_topic: String,
    /// The topic of deliveries that wait.
    pub waiting_topic: String,
    /// The topic of what all members are to know of brokers, and of each other.
    pub control_topic: String,
    /// Whether they are created, and grow with the source, by this process.
    pub create: bool,
    /// How many replicas a topic that is created has.
    pub replication: i32,
    /// How many of them must have a record before it counts as written.
    pub min_isr: i32,
    /// For how long outcomes count.
    pub dedupe_window: Duration,
    /// The longest record of the source, in bytes.
    pub record_max: usize,
    /// This member's name, for people.
    pub member: Arc<str>,
    /// Tells this run's claims from all others: from the system's randomness.
    pub seed: u64,
}
