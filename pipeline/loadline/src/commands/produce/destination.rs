//! Where `loadline produce` puts events: the topic of the config or of the command line, on the kind of cluster that the
//! config's source reads. Without a config it is a Fluvio cluster.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::bail;
use fluvio_engine::produce as fluvio;
use futures::Stream;
use kafka_engine::produce as kafka;
use line::{SourceFault, SourceRecord};
use serde::Serialize;
use service::config::{Config, SourceKind, is_endpoint, is_fluvio_topic, is_kafka_topic};
use sources::FileOptions;
use stages::Decode;

use crate::cli::ProduceArgs;

/// A topic, and how it is written to.
pub(super) enum Destination {
    /// On a Fluvio cluster.
    Fluvio(fluvio::ProduceOptions),
    /// On a Kafka cluster.
    Kafka(kafka::ProduceOptions),
}

/// What was done.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Told {
    pub(super) read: u64,
    pub(super) taken: u64,
    pub(super) without_load: u64,
    pub(super) too_long: u64,
    /// Batches; always 0 for Kafka, whose producer is idempotent.
    pub(super) sent_again: u64,
    pub(super) partitions: u32,
}

/// What has been sent so far.
#[derive(Default)]
pub(super) struct Progress {
    fluvio: Arc<fluvio::Sent>,
    kafka: Arc<kafka::Deliveries>,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (taken, again) = (self.fluvio.taken() + self.kafka.taken(), self.fluvio.again());
        write!(f, "{taken} records taken, {again} batches sent again")
    }
}

impl Destination {
    /// The one that `args` and the config mean.
    ///
    /// # Errors
    /// The config reads no topic, or an address or a name cannot be one.
    pub(super) fn of(args: &ProduceArgs, config: Option<&Config>) -> anyhow::Result<Self> {
        let mut destination = config.map_or_else(|| Ok(Self::usual()), Self::of_source)?;
        match &mut destination {
            Self::Fluvio(options) => {
                (options.batch_bytes, options.timeout) = (args.batch, args.timeout);
                options.cluster.endpoint = args.endpoint.clone().unwrap_or(options.cluster.endpoint.clone());
                options.topic = args.topic.clone().unwrap_or(options.topic.clone());
                let (endpoint, topic) = (&options.cluster.endpoint, &options.topic);
                if !is_endpoint(endpoint) {
                    bail!("--endpoint {endpoint} is not a host and a port; give it like 127.0.0.1:9003");
                }
                if !is_fluvio_topic(topic) {
                    bail!("--topic {topic} is not a topic's name; give 1 to 63 of a to z, 0 to 9 and -");
                }
            }
            Self::Kafka(options) => {
                (options.batch_bytes, options.timeout) = (args.batch, args.timeout);
                if let Some(brokers) = &args.endpoint {
                    options.cluster.bootstrap = brokers.split(',').map(str::to_owned).collect();
                }
                options.topic = args.topic.clone().unwrap_or(options.topic.clone());
                if let Some(broker) = options.cluster.bootstrap.iter().find(|broker| !is_endpoint(broker)) {
                    bail!("--endpoint {broker} is not a host and a port; give it like 127.0.0.1:9092");
                }
                let topic = &options.topic;
                if !is_kafka_topic(topic) {
                    bail!(
                        "--topic {topic} is not a topic's name; give 1 to 249 of a to z, A to Z, 0 to 9, . _ and -"
                    );
                }
            }
        }
        Ok(destination)
    }

    fn usual() -> Self {
        Self::Fluvio(fluvio::ProduceOptions {
            cluster: fluvio_engine::ClusterOptions { endpoint: "127.0.0.1:9003".to_owned(), tls: None },
            topic: "shipment-events".to_owned(),
            batch_bytes: fluvio::BATCH_BYTES,
            timeout: Duration::ZERO,
        })
    }

    fn of_source(config: &Config) -> anyhow::Result<Self> {
        match &config.source.kind {
            SourceKind::Fluvio(source) => Ok(Self::Fluvio(fluvio::ProduceOptions {
                cluster: source.cluster.clone(),
                topic: source.topic.clone(),
                batch_bytes: fluvio::BATCH_BYTES,
                timeout: Duration::ZERO,
            })),
            SourceKind::Kafka(source) => Ok(Self::Kafka(kafka::ProduceOptions {
                cluster: source.cluster.clone(),
                topic: source.topic.clone(),
                batch_bytes: kafka::BATCH_BYTES,
                record_max: FileOptions::default().limits.record_bytes_max,
                timeout: Duration::ZERO,
            })),
            SourceKind::File { .. } | SourceKind::Stdin | SourceKind::Http(_) => bail!(
                "the config reads no topic: give one with source.kind = \"fluvio\" or \"kafka\", or --endpoint and --topic for a Fluvio cluster without a config"
            ),
        }
    }

    /// The topic.
    pub(super) fn topic(&self) -> &str {
        match self {
            Self::Fluvio(options) => &options.topic,
            Self::Kafka(options) => &options.topic,
        }
    }

    /// Produces `records`; `progress` counts along.
    ///
    /// # Errors
    /// What the cluster or the input says; what was taken until then stays.
    pub(super) async fn produce(
        &self,
        decode: &Decode,
        records: impl Stream<Item = Result<SourceRecord, impl Into<SourceFault>>>,
        progress: &Progress,
    ) -> anyhow::Result<Told> {
        match self {
            Self::Fluvio(options) => {
                let sent = Arc::clone(&progress.fluvio);
                let done = Box::pin(fluvio::produce(options, decode, records, sent)).await?;
                let fluvio::Produced { read, taken, without_load, too_long, sent_again, partitions } = done;
                Ok(Told { read, taken, without_load, too_long, sent_again, partitions })
            }
            Self::Kafka(options) => {
                let deliveries = Arc::clone(&progress.kafka);
                let done = Box::pin(kafka::produce(options, decode, records, deliveries)).await?;
                let kafka::Produced { read, taken, without_load, too_long, partitions } = done;
                Ok(Told { read, taken, without_load, too_long, sent_again: 0, partitions })
            }
        }
    }
}
