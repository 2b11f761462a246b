//! A scripted cluster with both state topics: what is offered is taken at once, or when a test lets it, and stands then
//! where it is read from. No sockets, no threads, paused time.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Weak},
};

use bytes::Bytes;
use parking_lot::Mutex;
use state::UnixMillis;
use topics::RecordMark;

use super::{
    plan::{TopicFacts, TopicPlan},
    port::{StateAdmin, StateRecord, StateTopic, StateWriter},
};
use crate::{
    consumer::{Bounds, Consumer, LogRecord, Offset, PartitionQueue, Queued, ReadFrom, Wanted},
    fault::ClusterFault,
    headers::Headers,
    lease::GroupSession,
    produce::Deliveries,
};

/// One partition of a topic.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) start: u64,
    pub(crate) next: u64,
    pub(crate) records: Vec<LogRecord>,
    readers: Vec<Weak<Wake>>,
}

struct Wake(Box<dyn Fn() + Send + Sync>);

/// A topic. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct ScriptedTopic(Arc<Mutex<BTreeMap<i32, Log>>>);

impl ScriptedTopic {
    /// Changes the log of `partition`, and wakes whoever reads it.
    pub(crate) fn change<T>(&self, partition: i32, change: impl FnOnce(&mut Log) -> T) -> T {
        let (changed, readers) = {
            let mut logs = self.0.lock();
            let log = logs.entry(partition).or_default();
            log.readers.retain(|reader| reader.strong_count() > 0);
            (change(log), log.readers.clone())
        };
        readers.iter().filter_map(Weak::upgrade).for_each(|wake| wake.0());
        changed
    }

    /// Puts a record at the end of its partition.
    pub(crate) fn append(&self, record: &StateRecord) {
        let (key, value) = (record.key.clone().map(Bytes::from), record.value.clone().map(Bytes::from));
        self.append_value(record.partition, None, key, value);
    }

    /// Puts this at the end of a partition.
    pub(crate) fn append_value(
        &self,
        partition: i32,
        at: Option<UnixMillis>,
        key: Option<Bytes>,
        value: Option<Bytes>,
    ) {
        self.change(partition, |log| {
            log.records.push(LogRecord {
                mark: RecordMark::new(log.next, at, value.as_deref().unwrap_or_default()),
                full_len: value.as_ref().map_or(0, |value| value.len() as u64),
                value,
                headers: Headers::default(),
                key,
            });
            log.next += 1;
        });
    }
}

/// A consumer of one topic. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct ScriptedConsumer {
    topic: ScriptedTopic,
    /// Where each partition is read that is assigned.
    places: Arc<Mutex<HashMap<i32, u64>>>,
}

/// A partition's queue.
pub(crate) struct ScriptedQueue {
    consumer: ScriptedConsumer,
    partition: i32,
    _wake: Arc<Wake>,
}

impl PartitionQueue for ScriptedQueue {
    fn next(&mut self, _: &Wanted) -> Option<Queued> {
        let mut places = self.consumer.places.lock();
        let place = places.get_mut(&self.partition)?;
        let mut logs = self.consumer.topic.0.lock();
        let log = logs.entry(self.partition).or_default();
        if *place < log.start || *place > log.next {
            return Some(Queued::OutOfRange);
        }
        let at = log.records.partition_point(|record| record.offset() < *place);
        let record = log.records.get(at)?.clone();
        *place = record.offset() + 1;
        Some(Queued::Record(record))
    }
}

fn never() -> ClusterFault {
    ClusterFault::Refused { what: "a question nobody asks of a state topic", detail: String::new() }
}

impl ScriptedConsumer {
    /// Reads this topic.
    pub(crate) fn of(topic: &ScriptedTopic) -> Self {
        Self { topic: topic.clone(), places: Arc::default() }
    }
}

impl Consumer for ScriptedConsumer {
    type Queue = ScriptedQueue;

    fn queue(
        &self,
        partition: i32,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<ScriptedQueue, ClusterFault> {
        let wake = Arc::new(Wake(Box::new(wake)));
        self.topic.change(partition, |log| log.readers.push(Arc::downgrade(&wake)));
        Ok(ScriptedQueue { consumer: self.clone(), partition, _wake: wake })
    }

    fn assign(&self, places: &[(i32, ReadFrom)]) -> Result<(), ClusterFault> {
        for (partition, from) in places {
            let place = self.topic.change(*partition, |log| match from {
                ReadFrom::Offset(offset) => *offset,
                ReadFrom::Oldest => log.start,
                ReadFrom::Newest => log.next,
            });
            self.places.lock().insert(*partition, place);
            self.topic.change(*partition, |_| ());
        }
        Ok(())
    }

    fn unassign(&self, partitions: &[i32]) -> Result<(), ClusterFault> {
        self.places.lock().retain(|partition, _| !partitions.contains(partition));
        Ok(())
    }

    async fn commit(&self, _: Vec<Offset>) -> Result<(), ClusterFault> {
        Err(never())
    }

    async fn committed(&self, _: Vec<i32>) -> Result<Vec<Offset>, ClusterFault> {
        Err(never())
    }

    async fn bounds(&self, _: i32) -> Result<Bounds, ClusterFault> {
        Err(never())
    }

    async fn count(&self) -> Result<i32, ClusterFault> {
        Err(never())
    }
}

/// Both topics, and a producer onto them. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct ScriptedLogs {
    pub(crate) ledger: ScriptedTopic,
    pub(crate) waiting: ScriptedTopic,
    producer: Arc<Mutex<ScriptedProducer>>,
}

#[derive(Default)]
struct ScriptedProducer {
    /// Whether what is offered is taken only when it is [let through](ScriptedLogs::let_through).
    held: bool,
    queue: VecDeque<(StateRecord, Arc<Deliveries>)>,
    refuse: Option<ClusterFault>,
    /// In which order records were taken, of both topics.
    taken: Vec<StateRecord>,
}

impl ScriptedLogs {
    /// Another member's: the same logs, a producer of its own.
    pub(crate) fn another(&self) -> Self {
        Self { producer: Arc::default(), ..self.clone() }
    }

    /// A consumer of each.
    pub(crate) fn consumers(&self) -> [ScriptedConsumer; 2] {
        [&self.ledger, &self.waiting].map(ScriptedConsumer::of)
    }

    /// Takes nothing any more until it is let through.
    pub(crate) fn hold(&self) {
        self.producer.lock().held = true;
    }

    /// Takes up to `count` of what was offered; how many there were.
    pub(crate) fn let_through(&self, count: usize) -> usize {
        let one = || {
            let next = self.producer.lock().queue.pop_front();
            next.map(|(record, deliveries)| self.take(record, &deliveries)).is_some()
        };
        (0..count).take_while(|_| one()).count()
    }

    /// Takes everything again.
    pub(crate) fn go_on(&self) {
        self.producer.lock().held = false;
        let _taken = self.let_through(usize::MAX);
    }

    /// Refuses what is offered from now on.
    pub(crate) fn refuse(&self, fault: ClusterFault) {
        self.producer.lock().refuse = Some(fault);
    }

    /// What this producer has written, in order.
    pub(crate) fn taken(&self) -> Vec<StateRecord> {
        self.producer.lock().taken.clone()
    }

    /// How many records the ledger's topic has, whoever has written them.
    pub(crate) fn written(&self) -> u64 {
        self.ledger.change(0, |log| log.next)
    }

    fn take(&self, record: StateRecord, deliveries: &Deliveries) {
        match record.topic {
            StateTopic::Ledger => self.ledger.append(&record),
            StateTopic::Waiting => self.waiting.append(&record),
        }
        self.producer.lock().taken.push(record);
        deliveries.end(Ok(()));
    }

    /// Removes from a partition of the waiting topic what has been replaced, as compaction does; tombstones too.
    pub(crate) fn compact(&self, partition: i32) {
        self.waiting.change(partition, |log| {
            let mut newest = BTreeMap::new();
            for record in &log.records {
                newest.insert(record.key.clone(), record.offset());
            }
            log.records.retain(|record| newest[&record.key] == record.offset() && record.value.is_some());
        });
    }
}

impl StateWriter for ScriptedLogs {
    fn offer(&self, record: &StateRecord, deliveries: &Arc<Deliveries>) -> Result<bool, ClusterFault> {
        let mut producer = self.producer.lock();
        if let Some(fault) = &producer.refuse {
            return Err(fault.clone());
        }
        deliveries.begin();
        if producer.held {
            producer.queue.push_back((record.clone(), Arc::clone(deliveries)));
        } else {
            drop(producer);
            self.take(record.clone(), deliveries);
        }
        Ok(true)
    }

    fn trouble(&self) -> Option<ClusterFault> {
        None
    }
}

/// Topics, as an administrator sees them. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct ScriptedTopics(pub(crate) Arc<Mutex<Made>>);

#[derive(Default)]
pub(crate) struct Made {
    topics: BTreeMap<String, TopicFacts>,
    /// What was done, in order.
    pub(crate) made: Vec<String>,
    /// How many questions are not answered.
    pub(crate) unreachable: u32,
    /// How many answers describe a topic by nothing, as a node does that has not heard of it yet.
    pub(crate) undescribed: u32,
    /// How many answers do not know the topic at all.
    pub(crate) unheard: u32,
}

impl StateAdmin for ScriptedTopics {
    async fn facts(&self, topic: &str) -> Result<Option<TopicFacts>, ClusterFault> {
        let mut inside = self.0.lock();
        if inside.unreachable > 0 {
            inside.unreachable -= 1;
            return Err(ClusterFault::Unreachable { detail: "the script".to_owned() });
        }
        if inside.unheard > 0 {
            inside.unheard -= 1;
            return Ok(None);
        }
        if inside.undescribed > 0 {
            inside.undescribed -= 1;
            let known = inside.topics.get(topic).map(|facts| facts.partitions);
            return Ok(known.map(|partitions| TopicFacts { partitions, ..TopicFacts::default() }));
        }
        Ok(inside.topics.get(topic).cloned())
    }

    async fn create(&self, plan: &TopicPlan) -> Result<(), ClusterFault> {
        let setting = |key: &str| {
            let found = plan.settings.iter().find(|(known, _)| *known == key);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let facts = TopicFacts {
            partitions: plan.partitions,
            cleanup_policy: setting("cleanup.policy"),
            retention: setting("retention.ms").parse().ok(),
            retention_bytes: None,
            message_max: setting("max.message.bytes").parse().unwrap_or_default(),
        };
        let mut inside = self.0.lock();
        inside.made.push(format!("{} {}", plan.topic, plan.partitions));
        inside.topics.insert(plan.topic.clone(), facts);
        Ok(())
    }

    async fn grow(&self, topic: &str, partitions: i32) -> Result<(), ClusterFault> {
        let mut inside = self.0.lock();
        inside.made.push(format!("{topic} {partitions}"));
        if let Some(facts) = inside.topics.get_mut(topic) {
            facts.partitions = partitions;
        }
        Ok(())
    }

    async fn session(&self, _: &str) -> Result<Option<GroupSession>, ClusterFault> {
        Ok(None)
    }
}
