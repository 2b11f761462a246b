//! The topics that keep the state of a topic's partitions.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kafka_engine::{ClusterOptions, follow::FollowOptions};

use super::{KafkaTopic, Listener};

impl KafkaTopic<'_> {
    /// How the member number `seed` keeps the state of this topic's partitions: on topics that it makes, on all nodes.
    #[must_use]
    pub fn follow_options(&self, seed: u64) -> FollowOptions {
        let bootstrap: Vec<_> =
            self.cluster().bootstrap(Listener::Plain).split(',').map(str::to_owned).collect();
        let replication = i32::try_from(bootstrap.len()).expect("a handful of nodes");
        FollowOptions {
            cluster: ClusterOptions {
                bootstrap,
                tls: None,
                sasl: None,
                timeout: Duration::from_secs(10),
                backoff_min: Duration::from_millis(100),
                backoff_max: Duration::from_secs(1),
                properties: BTreeMap::new(),
            },
            group: format!("of-{}", self.name()),
            source_topic: self.name().to_owned(),
            ledger_topic: format!("{}-ledger", self.name()),
            waiting_topic: format!("{}-waiting", self.name()),
            control_topic: format!("{}-control", self.name()),
            create: true,
            replication,
            min_isr: replication.min(2),
            dedupe_window: Duration::from_secs(24 * 3_600),
            record_max: 1 << 20,
            member: Arc::from(format!("member-{seed}")),
            seed,
        }
    }
}
