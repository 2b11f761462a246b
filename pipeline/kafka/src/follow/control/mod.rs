//! The control topic of a group: what all its members are to know of brokers, and what each tells of itself.
//!
//! Partition 0 has which brokers are paused or disabled. Members read it from its beginning, so that one that joins begins
//! with what was said; the last record of a broker counts. Partition 1 has summaries that members tell every few seconds; of
//! these only the last ones are read. The topic is compacted, so both stay small.
//!
//! Guarantees: all members are given what is said of brokers in the same order; what was acknowledged is given to whoever
//! begins later.

mod record;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use topics::Backoff;

pub use super::plan::SUMMARY_MAX;
#[cfg(feature = "fuzzing")]
pub(super) use record::decode_any;
pub use record::{BrokerSaid, BrokerSet, MemberSaid};

use super::{options::FollowOptions, reader::Reader};
use crate::fault::FollowFault;
use crate::{
    client::{ClusterConsumer, ControlProducer},
    consumer::{Consumer, LogRecord, Queued, ReadFrom},
    fault::ClusterFault,
    produce::Deliveries,
};
use state::UnixMillis;

const BROKERS: i32 = 0;
const MEMBERS: i32 = 1;
/// How many of the last summaries are read at the start: those of some minutes.
const RECENT: u64 = 2_000;

/// The control topic on a cluster. A clone is the same.
#[derive(Clone)]
pub struct ControlTopic {
    consumer: Arc<ClusterConsumer>,
    producer: ControlProducer,
    topic: Arc<str>,
    backoff: (Duration, Duration),
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something was said of a broker.
    Broker(BrokerSaid),
    /// A member has told of itself: just now, or at this time by the clock of whoever wrote it.
    Member(MemberSaid, Option<UnixMillis>),
    /// A record cannot be read: why, with its place.
    Unreadable {
        /// Whether it would say something of a broker.
        of_broker: bool,
        /// Where it is, and why.
        fault: String,
    },
}

/// Reads the control topic as it is written. It ends when it is dropped.
pub struct ControlReader {
    topic: Arc<str>,
    brokers: Reader<ClusterConsumer>,
    members: Reader<ClusterConsumer>,
    /// Summaries before this offset were there when reading began.
    told_before: u64,
}

impl ControlTopic {
    pub(super) fn new(consumer: ClusterConsumer, producer: ControlProducer, options: &FollowOptions) -> Self {
        let cluster = &options.cluster;
        Self {
            consumer: Arc::new(consumer),
            producer,
            topic: Arc::from(&*options.control_topic),
            backoff: (cluster.backoff_min, cluster.backoff_max),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.topic
    }

    /// Reads everything that has been said of brokers so far, in its order, and what members have told lately; then a reader
    /// for what comes. A cluster that is away is waited for. May be dropped at any time; to be called once.
    ///
    /// # Errors
    /// [`FollowFault::Unreadable`] for a record of a broker that this program cannot read; [`FollowFault::Interrupted`] if
    /// the client ends.
    pub async fn open(&self) -> Result<(VecDeque<Heard>, ControlReader), FollowFault> {
        let interrupted = |detail: String| FollowFault::Interrupted { detail };
        let client = |fault: ClusterFault| interrupted(fault.to_string());
        // What is written later is given by the reader.
        let (told, ends) = (self.bounds(MEMBERS).await, self.bounds(BROKERS).await);
        let recent = ReadFrom::Offset(told.start.max(told.end.saturating_sub(RECENT)));
        let reader = ControlReader {
            topic: Arc::clone(&self.topic),
            brokers: Reader::open(&self.consumer, BROKERS, ReadFrom::Oldest).map_err(client)?,
            members: Reader::open(&self.consumer, MEMBERS, recent).map_err(client)?,
            told_before: told.end,
        };
        let mut heard = VecDeque::new();
        let mut next = ends.start;
        while next < ends.end {
            let ended = || interrupted("reading the control topic has ended".to_owned());
            match reader.brokers.next().await.ok_or_else(ended)? {
                Queued::Record(record) => {
                    next = record.offset() + 1;
                    match of_broker(&record) {
                        Ok(said) => heard.push_back(Heard::Broker(said)),
                        Err(detail) => {
                            let (topic, offset) = (self.topic.to_string(), record.offset());
                            return Err(FollowFault::Unreadable {
                                topic,
                                partition: BROKERS,
                                offset,
                                detail,
                            });
                        }
                    }
                }
                // Compaction has removed what stood at the end.
                Queued::End => break,
                Queued::OutOfRange => reader.brokers.restart(ReadFrom::Oldest).map_err(client)?,
                Queued::Trouble(fault) => tracing::debug!(%fault, "reading the control topic; retrying"),
            }
        }
        Ok((heard, reader))
    }

    /// Says something of a broker to all members. What comes of it is told by the answer.
    ///
    /// # Errors
    /// A record that the client does not take.
    pub fn say(&self, said: &BrokerSaid) -> Result<Arc<Deliveries>, ClusterFault> {
        let (key, value) = said.encode();
        self.producer.send(BROKERS, &key, Some(&value))
    }

    /// Tells of this member; to be called when the answer to the last call has come.
    ///
    /// # Errors
    /// A record that the client does not take.
    pub fn tell(&self, said: &MemberSaid) -> Result<Arc<Deliveries>, ClusterFault> {
        let (key, value) = said.encode();
        self.producer.send(MEMBERS, &key, value.as_deref())
    }

    async fn bounds(&self, partition: i32) -> crate::consumer::Bounds {
        let mut backoff = Backoff::new(self.backoff.0, self.backoff.1);
        loop {
            match self.consumer.bounds(partition).await {
                Ok(bounds) => return bounds,
                Err(fault) => {
                    tracing::warn!(topic = %self.topic, %fault, "the control topic does not answer; waiting for it");
                }
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }
}

impl ControlReader {
    /// What comes next. Cancel safe.
    ///
    /// # Errors
    /// [`FollowFault::Interrupted`] if the client ends.
    pub async fn next(&self) -> Result<Heard, FollowFault> {
        loop {
            let (partition, reader, queued) = tokio::select! {
                queued = self.brokers.next() => (BROKERS, &self.brokers, queued),
                queued = self.members.next() => (MEMBERS, &self.members, queued),
            };
            let ended =
                || FollowFault::Interrupted { detail: "reading the control topic has ended".to_owned() };
            let record = match queued.ok_or_else(ended)? {
                Queued::Record(record) => record,
                Queued::End => continue,
                Queued::OutOfRange => {
                    let from = if partition == BROKERS { ReadFrom::Oldest } else { ReadFrom::Newest };
                    reader
                        .restart(from)
                        .map_err(|fault| FollowFault::Interrupted { detail: fault.to_string() })?;
                    continue;
                }
                Queued::Trouble(fault) => {
                    tracing::debug!(%fault, "reading the control topic; retrying");
                    continue;
                }
            };
            let heard = if partition == BROKERS {
                of_broker(&record).map(Heard::Broker)
            } else {
                let before = record.offset() < self.told_before;
                of_member(&record).map(|said| Heard::Member(said, record.at().filter(|_| before)))
            };
            let (topic, offset) = (&self.topic, record.offset());
            return Ok(heard.unwrap_or_else(|detail| Heard::Unreadable {
                of_broker: partition == BROKERS,
                fault: format!(
                    "the record at {offset} of partition {partition} of {topic} cannot be read: {detail}"
                ),
            }));
        }
    }
}

impl Drop for ControlReader {
    fn drop(&mut self) {
        self.brokers.end();
        self.members.end();
    }
}

fn of_broker(record: &LogRecord) -> Result<BrokerSaid, String> {
    let (Some(key), Some(value)) = (&record.key, &record.value) else {
        return Err("it has no key or no value".to_owned());
    };
    BrokerSaid::decode(key, value)
}

fn of_member(record: &LogRecord) -> Result<MemberSaid, String> {
    let key = record.key.as_ref().ok_or("it has no key")?;
    MemberSaid::decode(key, record.value.as_deref())
}
