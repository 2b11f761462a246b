//! Kafka as librdkafka sees it, for what scenarios do to a cluster. None of it is Loadline's code.

use std::{fmt, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::BaseConsumer,
    producer::{BaseProducer, Producer},
};

use crate::{PATIENCE, until};

/// How long one answer may take before it is asked for again.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// What can be asked of a cluster at an address.
pub(super) struct Client {
    bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(bootstrap: &str) -> Self {
        let admin = config(bootstrap).create().expect("an admin client");
        Self { bootstrap: bootstrap.to_owned(), admin }
    }

    pub(super) fn admin(&self) -> (&AdminClient<DefaultClientContext>, AdminOptions) {
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(PATIENCE));
        (&self.admin, options)
    }

    /// How many nodes answer for the cluster.
    pub(super) fn nodes(&self) -> usize {
        let metadata = self.admin.inner().fetch_metadata(None, Duration::from_secs(1));
        metadata.map_or(0, |metadata| metadata.brokers().len())
    }

    /// The leaders of the partitions of `topic`, by number, as node ids; a topic that is not there has none.
    pub(super) fn leaders(&self, topic: &str) -> Vec<i32> {
        let Ok(metadata) = self.admin.inner().fetch_metadata(Some(topic), ANSWER) else { return Vec::new() };
        let mut partitions: Vec<(i32, i32)> = metadata
            .topics()
            .iter()
            .filter(|found| found.error().is_none())
            .flat_map(|found| found.partitions().iter().map(|partition| (partition.id(), partition.leader())))
            .collect();
        partitions.sort_unstable();
        partitions.into_iter().map(|(_, leader)| leader).collect()
    }

    /// Whether the leader of a partition answers for it.
    pub(super) fn leads(&self, topic: &str, partition: i32) -> bool {
        self.admin.inner().fetch_watermarks(topic, partition, Duration::from_secs(2)).is_ok()
    }

    /// The first and the next offset of a partition.
    pub(super) fn offsets(&self, topic: &str, partition: i32) -> (i64, i64) {
        let mut told = None;
        until("a partition's leader answers", || {
            told = self.admin.inner().fetch_watermarks(topic, partition, ANSWER).ok();
            told.is_some()
        });
        told.expect("waited for")
    }

    /// A consumer that belongs to `group` in name only: it can ask for committed offsets and read assigned partitions.
    pub(super) fn consumer(&self, group: &str) -> BaseConsumer {
        let mut config = config(&self.bootstrap);
        config.set("group.id", group).set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        config.set("isolation.level", "read_committed").set("auto.offset.reset", "error");
        config.create().expect("a consumer")
    }

    /// A producer that keeps a load in the partition where Java's puts it; `settings` come last.
    pub(super) fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = config(&self.bootstrap);
        config.set("enable.idempotence", "true").set("partitioner", "murmur2_random").set("linger.ms", "5");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config.create().expect("a producer")
    }
}

/// Waits until everything has been taken.
pub(super) fn flush(producer: &BaseProducer) {
    producer.flush(PATIENCE).expect("the cluster takes it");
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("reconnect.backoff.max.ms", "500");
    // A cluster that comes up or has lost a node is not worth a word.
    config.set("log_level", "2");
    config
}
