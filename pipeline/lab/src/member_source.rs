//! What the members of a group read on a Kafka cluster, and where their state goes along, as keys of a config.

use std::{collections::BTreeMap, time::Duration};

use kafka_engine::{ClusterOptions, produce::ProduceOptions};

use crate::RunDir;

/// How long the cluster may take nothing of what is produced.
const PRODUCE_MAX: Duration = Duration::from_secs(30);

/// A topic of a cluster that is spoken to without encryption, and a group.
#[derive(Clone, Debug)]
pub struct MemberSource {
    /// Brokers to begin with, `HOST:PORT` with commas between them.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// After which silence the group gives a member's partitions to others.
    pub session_timeout: Duration,
    /// The nodes of the cluster, by which the state topics are replicated.
    pub nodes: usize,
}

impl MemberSource {
    /// A topic that nobody else has, and a group of its own.
    #[must_use]
    pub fn new(bootstrap: &str, name: &str, session_timeout: Duration, nodes: usize) -> Self {
        let topic = format!("loadline-{name}-{:08x}", rand::random::<u32>());
        let group = format!("{topic}-group");
        Self { bootstrap: bootstrap.to_owned(), topic, group, session_timeout, nodes }
    }

    /// What the names of the state topics begin with.
    #[must_use]
    pub fn state_topic(&self) -> String {
        format!("{}-state", self.topic)
    }

    /// All topics of a run: the source's and both of the state.
    #[must_use]
    pub fn topics(&self) -> [String; 3] {
        let state = self.state_topic();
        [self.topic.clone(), format!("{state}-ledger"), format!("{state}-waiting")]
    }

    /// Sets the keys of a member whose state follows its partitions.
    pub fn set_on(&self, dir: &mut RunDir) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        dir.set("source.kind", "kafka");
        dir.set("source.bootstrap", self.bootstrap.split(',').collect::<Vec<_>>());
        dir.set("source.topic", self.topic.as_str());
        dir.set("source.group", self.group.as_str());
        dir.set("source.session_timeout", humantime::format_duration(self.session_timeout).to_string());
        dir.set("source.commit_every", "200ms");
        dir.set("state.follow", "topic");
        dir.set("state.topic", self.state_topic());
        dir.set("state.create_topics", true);
        dir.set("state.replication", count(self.nodes.min(3)));
        dir.set("state.min_isr", count(self.nodes.min(2)));
        dir.set("state.durability", "process");
    }

    /// How to produce to the topic.
    #[must_use]
    pub fn produce_options(&self) -> ProduceOptions {
        ProduceOptions {
            cluster: ClusterOptions {
                bootstrap: self.bootstrap.split(',').map(str::to_owned).collect(),
                tls: None,
                sasl: None,
                timeout: Duration::from_secs(10),
                backoff_min: Duration::from_millis(100),
                backoff_max: Duration::from_secs(1),
                properties: BTreeMap::new(),
            },
            topic: self.topic.clone(),
            batch_bytes: kafka_engine::produce::BATCH_BYTES,
            record_max: 1 << 20,
            timeout: PRODUCE_MAX,
        }
    }
}
