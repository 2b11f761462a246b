//! A producer of librdkafka, as both kinds here use it: idempotent, acknowledged by all in-sync replicas. It never gives a
//! record up by itself; when it is dropped, what was not sent yet is not sent any more.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    error::KafkaError,
    message::ToBytes,
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use tokio::runtime::Handle;

use super::{config::client_config, errors::by_code};
use crate::{
    fault::{ClusterFault, KafkaFault},
    options::ClusterOptions,
    produce::Deliveries,
};

/// How long nodes may say that a topic does not exist before its records are refused. The topic was there when it was looked
/// at first; a node that has come back does not know it until it has caught up.
const UNKNOWN_TOPIC_MAX: Duration = Duration::from_mins(5);

/// What one of them is set to.
pub(super) struct Settings {
    /// How long records wait for company, so that a batch has more than one.
    pub(super) linger: Duration,
    /// The bytes that a batch has at most.
    pub(super) batch_bytes: usize,
    /// The longest record, with its key and what the protocol adds, in bytes.
    pub(super) message_max: usize,
    /// The bytes of all records that wait for the cluster.
    pub(super) buffer_bytes: usize,
    /// How records without a partition are spread, by its name; none if each has one.
    pub(super) partitioner: Option<&'static str>,
}

/// A producer; none only while it is dropped.
pub(super) struct NativeProducer(Option<Arc<ThreadedProducer<Context>>>);

impl NativeProducer {
    /// Connections are made in the background.
    ///
    /// # Errors
    /// [`KafkaFault::Settings`] if the client does not take them, as when a certificate cannot be read.
    pub(super) fn new(cluster: &ClusterOptions, settings: &Settings) -> Result<Self, KafkaFault> {
        let mut config = client_config(cluster);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // A record that the client gave up would leave a hole before later ones.
            .set("message.timeout.ms", "0")
            .set("topic.metadata.propagation.max.ms", UNKNOWN_TOPIC_MAX.as_millis().to_string())
            .set("linger.ms", settings.linger.as_millis().to_string())
            .set("batch.size", settings.batch_bytes.to_string())
            .set("message.max.bytes", settings.message_max.to_string())
            .set("queue.buffering.max.kbytes", (settings.buffer_bytes >> 10).to_string());
        if let Some(partitioner) = settings.partitioner {
            config.set("partitioner", partitioner);
        }
        let native = ThreadedProducer::from_config_and_context(&config, Context::default());
        let native = native.map_err(|error| KafkaFault::Settings { detail: error.to_string() })?;
        Ok(Self(Some(Arc::new(native))))
    }

    /// The client.
    pub(super) fn get(&self) -> Result<&Arc<ThreadedProducer<Context>>, ClusterFault> {
        let ended =
            || ClusterFault::Refused { what: "a record", detail: "the producer has ended".to_owned() };
        self.0.as_ref().ok_or_else(ended)
    }

    /// Takes a record on its way, which `deliveries` tell of; false if there is no room now.
    pub(super) fn offer<K: ToBytes + ?Sized>(
        &self,
        record: BaseRecord<'_, K, [u8], Arc<Deliveries>>,
        deliveries: &Deliveries,
    ) -> Result<bool, ClusterFault> {
        let native = self.get()?;
        deliveries.begin();
        let Err((error, _)) = native.send(record) else { return Ok(true) };
        deliveries.withdraw();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Ok(false),
            _ => Err(of_record(&error)),
        }
    }

    /// What is in the way of what waits, if that is known.
    pub(super) fn trouble(&self) -> Option<ClusterFault> {
        self.0.as_ref()?.context().trouble()
    }
}

impl Drop for NativeProducer {
    fn drop(&mut self) {
        // Its end waits for its thread, for half a second if something was still to be sent.
        if let (Some(native), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            let _detached = runtime.spawn_blocking(move || drop(native));
        }
    }
}

/// Why a record was not taken.
fn of_record(error: &KafkaError) -> ClusterFault {
    const WHAT: &str = "a record";
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => ClusterFault::Refused {
            what: WHAT,
            detail: "it is longer than the topic takes: raise the topic's max.message.bytes".to_owned(),
        },
        Some(code) => by_code(code, WHAT, error.to_string()),
        None => ClusterFault::Refused { what: WHAT, detail: error.to_string() },
    }
}

/// Follows what the client tells by itself.
#[derive(Default)]
pub(super) struct Context {
    /// What went wrong last; none once something was taken after it.
    trouble: Mutex<Option<ClusterFault>>,
}

impl Context {
    /// What is in the way of what waits, if that is known.
    pub(super) fn trouble(&self) -> Option<ClusterFault> {
        self.trouble.lock().clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters of it is told in this crate's own words by whoever waits.
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut trouble = self.trouble.lock();
        // That all brokers are down is said after what is wrong with each of them.
        if code != RDKafkaErrorCode::AllBrokersDown || trouble.is_none() {
            *trouble = Some(by_code(code, "an exchange with the cluster", reason.to_owned()));
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Deliveries>;

    fn delivery(&self, result: &DeliveryResult<'_>, deliveries: Arc<Deliveries>) {
        match result {
            Ok(_) => {
                *self.trouble.lock() = None;
                deliveries.end(Ok(()));
            }
            Err((error, _)) => deliveries.end(Err(of_record(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{
        mocking::MockCluster,
        types::{RDKafkaApiKey, RDKafkaRespErr},
    };
    use tokio::time::sleep;

    use super::*;
    use crate::{options::Reading, testing::options};

    const UNKNOWN: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;

    /// A record for partition 0 of `topic`, on its way.
    fn send(cluster: &MockCluster<'_, impl ClientContext>, topic: &str) -> (NativeProducer, Arc<Deliveries>) {
        let mut options = options(Reading::Partitions(vec![0])).cluster;
        options.bootstrap = cluster.bootstrap_servers().split(',').map(str::to_owned).collect();
        let settings = Settings {
            linger: Duration::ZERO,
            batch_bytes: 1 << 16,
            message_max: 1 << 16,
            buffer_bytes: 1 << 20,
            partitioner: None,
        };
        // Whatever a site has set: so short that it has passed when the first answer comes.
        options.properties.insert("topic.metadata.propagation.max.ms".into(), "1".into());
        let producer = NativeProducer::new(&options, &settings).unwrap();
        let deliveries = Arc::<Deliveries>::default();
        let mut record = BaseRecord::<str, [u8], _>::with_opaque_to(topic, Arc::clone(&deliveries));
        (record.partition, record.payload) = (Some(0), Some(&b"{}"[..]));
        assert!(producer.offer(record, &deliveries).unwrap());
        (producer, deliveries)
    }

    #[tokio::test]
    async fn a_record_waits_while_nodes_do_not_know_its_topic() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        // The node that leads the partition says so, then those that are asked who leads it.
        cluster.request_errors(RDKafkaApiKey::Produce, &[UNKNOWN; 3]);
        let (_producer, deliveries) = send(&cluster, "t");
        deliveries.settled().await.unwrap();
        cluster.topic_error("t", UNKNOWN).unwrap();
        let (_producer, deliveries) = send(&cluster, "t");
        sleep(Duration::from_millis(500)).await;
        assert_eq!(deliveries.taken(), 0);
        cluster.topic_error("t", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        deliveries.settled().await.unwrap();
        assert_eq!(deliveries.taken(), 1);
    }
}
