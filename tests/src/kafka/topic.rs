//! A topic of a scenario's own: what producers, retention, operators and other groups do to it.

use std::time::Duration;

use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{NewPartitions, NewTopic, TopicReplication},
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{
    client::{ANSWER, flush},
    cluster::KafkaCluster,
};
use crate::{PATIENCE, ShipmentEvent, now, runtime::runtime, until};

/// A topic.
#[derive(Debug)]
pub struct KafkaTopic<'c> {
    cluster: &'c KafkaCluster,
    name: String,
}

/// A record of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaRecord {
    /// The partition it is in, or that it is to go to; none for the one its key says.
    pub partition: Option<i32>,
    /// Its place in the partition; set when it is read.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Whether a producer's transaction counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// It does.
    Commit,
    /// It does not: its records are in the log, and nobody who reads what is committed gets them.
    Abort,
}

impl KafkaRecord {
    /// An event, keyed by its load.
    #[must_use]
    pub fn of(event: &ShipmentEvent) -> Self {
        let (key, value) = (Some(event.load_id.clone().into_bytes()), Some(event.body.to_vec()));
        Self { key, value, ..Self::default() }
    }
}

impl<'c> KafkaTopic<'c> {
    pub(super) fn new(cluster: &'c KafkaCluster, name: String) -> Self {
        Self { cluster, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster it is on.
    #[must_use]
    pub fn cluster(&self) -> &'c KafkaCluster {
        self.cluster
    }

    /// Creates it, and waits until every partition has a leader. One that has just been deleted is gone a moment later.
    ///
    /// # Panics
    /// If the cluster does not.
    pub fn create(&self, partitions: i32, settings: &[(&str, &str)]) {
        let replicas = TopicReplication::Fixed(self.cluster.replicas());
        let mut topic = NewTopic::new(&self.name, partitions, replicas);
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        until("the topic is created", || {
            let (admin, options) = self.cluster.client().admin();
            let created = runtime().block_on(admin.create_topics([&topic], &options)).expect("an answer");
            match &created[0] {
                Ok(_) => true,
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => false,
                Err(fault) => panic!("the topic {} cannot be created: {fault:?}", self.name),
            }
        });
        self.wait_for(partitions);
    }

    /// Adds partitions, so that there are `partitions`.
    pub fn grow(&self, partitions: i32) {
        let count = usize::try_from(partitions).expect("a count");
        let (admin, options) = self.cluster.client().admin();
        let wish = NewPartitions::new(&self.name, count);
        let grown = runtime().block_on(admin.create_partitions([&wish], &options)).expect("an answer");
        grown[0].as_ref().expect("it grows");
        self.wait_for(partitions);
    }

    fn wait_for(&self, partitions: i32) {
        let count = usize::try_from(partitions).expect("a count");
        until("every partition has a leader", || {
            let leaders = self.leaders();
            leaders.len() == count && leaders.iter().all(|leader| *leader > 0)
        });
    }

    /// Deletes it, and waits until it is gone.
    pub fn delete(&self) {
        let (admin, options) = self.cluster.client().admin();
        let deleted = runtime().block_on(admin.delete_topics(&[&self.name], &options)).expect("an answer");
        deleted[0].as_ref().expect("it is deleted");
        until("the topic is gone", || self.leaders().is_empty());
    }

    /// Who leads each partition: nodes from 1 on.
    #[must_use]
    pub fn leaders(&self) -> Vec<i32> {
        self.cluster.client().leaders(&self.name)
    }

    /// Puts `events` onto the topic, keyed by load, and waits until the cluster has them all.
    pub fn produce(&self, events: &[ShipmentEvent]) {
        self.append(&events.iter().map(KafkaRecord::of).collect::<Vec<_>>());
    }

    /// Puts `records` onto the topic, and waits until the cluster has them all.
    pub fn append(&self, records: &[KafkaRecord]) {
        self.append_with(records, &[]);
    }

    /// The same by a producer with these settings, as librdkafka calls them.
    pub fn append_with(&self, records: &[KafkaRecord], settings: &[(&str, &str)]) {
        let producer = self.cluster.client().producer(settings);
        self.send(&producer, records);
        flush(&producer);
    }

    /// Puts `records` onto the topic in one transaction of the producer that is called `id`.
    pub fn transact(&self, id: &str, records: &[KafkaRecord], end: Transaction) {
        let producer = self.cluster.client().producer(&[("transactional.id", id)]);
        producer.init_transactions(PATIENCE).expect("a transactional producer");
        producer.begin_transaction().expect("a transaction");
        self.send(&producer, records);
        // An abort would otherwise throw away what has not been sent yet.
        flush(&producer);
        match end {
            Transaction::Commit => producer.commit_transaction(PATIENCE).expect("a commit"),
            Transaction::Abort => producer.abort_transaction(PATIENCE).expect("an abort"),
        }
    }

    fn send(&self, producer: &BaseProducer, records: &[KafkaRecord]) {
        let end = now() + PATIENCE;
        for record in records {
            let mut next = BaseRecord::<[u8], [u8]>::to(&self.name);
            next.partition = record.partition;
            (next.key, next.payload) = (record.key.as_deref(), record.value.as_deref());
            if !record.headers.is_empty() {
                let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                });
                next.headers = Some(headers);
            }
            while let Err((fault, again)) = producer.send(next) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert!(fault == full && now() < end, "{fault}");
                producer.poll(Duration::from_millis(10));
                next = again;
            }
        }
    }

    /// The first and the next offset of each partition.
    #[must_use]
    pub fn offsets(&self) -> Vec<(i64, i64)> {
        (0..)
            .zip(self.leaders())
            .map(|(number, _)| self.cluster.client().offsets(&self.name, number))
            .collect()
    }

    /// The offset that `group` has committed for each partition, if it has.
    #[must_use]
    pub fn committed(&self, group: &str) -> Vec<Option<i64>> {
        let mut asked = TopicPartitionList::new();
        for (number, _) in (0..).zip(self.leaders()) {
            asked.add_partition(&self.name, number);
        }
        let consumer = self.cluster.client().consumer(group);
        let mut told = None;
        until("the group's coordinator answers", || {
            told = consumer.committed_offsets(asked.clone(), ANSWER).ok();
            told.is_some()
        });
        let told = told.expect("waited for");
        told.elements().iter().map(|partition| partition.offset().to_raw().filter(|at| *at >= 0)).collect()
    }

    /// Deletes what is before `offset` of `partition`, as retention does.
    pub fn delete_before(&self, partition: i32, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(&self.name, partition, Offset::Offset(offset)).expect("an offset");
        let (admin, options) = self.cluster.client().admin();
        let _deleted = runtime().block_on(admin.delete_records(&before, &options)).expect("it is deleted");
        until("the log begins there", || self.offsets()[partition as usize].0 == offset);
    }

    /// What one reads on the topic now who reads what is committed, each partition in its order.
    #[must_use]
    pub fn records(&self) -> Vec<KafkaRecord> {
        let consumer = self.cluster.client().consumer("loadline-test-reader");
        let mut from = TopicPartitionList::new();
        let mut open = 0;
        for (number, (first, next)) in (0..).zip(self.offsets()) {
            if first < next {
                from.add_partition_offset(&self.name, number, Offset::Offset(first)).expect("an offset");
                open += 1;
            }
        }
        consumer.assign(&from).expect("partitions");
        let (mut all, end) = (Vec::new(), now() + PATIENCE);
        while open > 0 {
            assert!(now() < end, "the topic {} cannot be read", self.name);
            match consumer.poll(Duration::from_millis(100)) {
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Ok(message)) => all.push(record(&message)),
                Some(Err(_)) | None => {}
            }
        }
        all.sort_by_key(|record| (record.partition, record.offset));
        all
    }
}

fn record(message: &impl Message) -> KafkaRecord {
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
            .collect()
    });
    KafkaRecord {
        partition: Some(message.partition()),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
