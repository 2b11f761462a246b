//! What a simulated process's connections are made of: the writer to the state topics, and the consumers of all topics.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};

use super::SimulatedCluster;
use crate::{
    consumer::{Bounds, Consumer, Offset, PartitionQueue, Queued, ReadFrom, Wanted},
    fault::ClusterFault,
    follow::{
        Follower, Said, StateRecord, StateTopic, StateValue, StateWriter,
        scripted::{ScriptedConsumer, ScriptedQueue},
    },
    produce::Deliveries,
};

/// How long what is asked of a cluster may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

pub(super) type Topics = Follower<ClientConsumer, ClientWriter>;

/// What all connections of a process share.
pub(super) struct Line {
    pub(super) cluster: SimulatedCluster,
    pub(super) name: Arc<str>,
    pub(super) dead: AtomicBool,
    pub(super) cut: AtomicBool,
    pub(super) deaf: AtomicBool,
    /// On its way to the ledger's topic, and to that of waiting deliveries.
    pub(super) sending: [Sending; 2],
    pub(super) wakes: Mutex<Vec<Weak<Wake>>>,
}

pub(super) struct Wake(pub(super) Box<dyn Fn() + Send + Sync>);

#[derive(Default)]
pub(super) struct Sending {
    pub(super) records: Mutex<VecDeque<(StateRecord, Arc<Deliveries>)>>,
    pub(super) news: Notify,
}

impl Line {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// The first `count` records that are on their way to a topic arrive.
    pub(super) fn land(&self, topic: usize, count: usize) {
        for _ in 0..count {
            let Some((record, deliveries)) = self.sending[topic].records.lock().pop_front() else { return };
            self.cluster.land(record);
            deliveries.end(Ok(()));
        }
    }
}

fn dead() -> ClusterFault {
    ClusterFault::Refused { what: "a request of a process that is dead", detail: String::new() }
}

/// Writes to the state topics.
pub(super) struct ClientWriter(pub(super) Arc<Line>);

impl StateWriter for ClientWriter {
    fn offer(&self, record: &StateRecord, deliveries: &Arc<Deliveries>) -> Result<bool, ClusterFault> {
        if self.0.is_dead() {
            return Err(dead());
        }
        deliveries.begin();
        let sending = &self.0.sending[usize::from(record.topic == StateTopic::Waiting)];
        sending.records.lock().push_back((record.clone(), Arc::clone(deliveries)));
        sending.news.notify_one();
        Ok(true)
    }

    fn trouble(&self) -> Option<ClusterFault> {
        None
    }
}

/// Reads one of the topics, and commits.
pub(super) struct ClientConsumer {
    line: Arc<Line>,
    topic: ScriptedConsumer,
}

/// A partition's queue.
pub(super) struct ClientQueue {
    line: Arc<Line>,
    queue: ScriptedQueue,
    _wake: Arc<Wake>,
}

impl ClientConsumer {
    pub(super) fn new(line: &Arc<Line>, topic: ScriptedConsumer) -> Self {
        Self { line: Arc::clone(line), topic }
    }

    /// Waits as long as an answer that does not come, if the group is out of reach.
    async fn ask_group(&self) -> Result<(), ClusterFault> {
        if self.line.is_dead() {
            return Err(dead());
        }
        if self.line.cut.load(Ordering::Relaxed) {
            sleep(TIMEOUT).await;
            return Err(ClusterFault::Silent { what: "a request", after: TIMEOUT });
        }
        Ok(())
    }
}

impl PartitionQueue for ClientQueue {
    fn next(&mut self, wanted: &Wanted) -> Option<Queued> {
        if self.line.deaf.load(Ordering::Relaxed) {
            return None;
        }
        let hides = self.line.cluster.0.faults.hides_claims;
        let is_hidden = |queued: &Queued| {
            let Queued::Record(record) = queued else { return false };
            let value = record.value.as_deref().and_then(|value| StateValue::decode(value).ok());
            matches!(value, Some(StateValue { said: Said::Claim(claim), .. }) if claim.member != self.line.name)
        };
        loop {
            let next = self.queue.next(wanted)?;
            if !(hides && is_hidden(&next)) {
                return Some(next);
            }
        }
    }
}

impl Consumer for ClientConsumer {
    type Queue = ClientQueue;

    fn queue(
        &self,
        partition: i32,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<ClientQueue, ClusterFault> {
        let wake = Arc::new(Wake(Box::new(wake)));
        let (of, line) = (Arc::clone(&wake), Arc::clone(&self.line));
        let queue = self.topic.queue(partition, move || of.0())?;
        self.line.wakes.lock().push(Arc::downgrade(&wake));
        Ok(ClientQueue { line, queue, _wake: wake })
    }

    fn assign(&self, places: &[(i32, ReadFrom)]) -> Result<(), ClusterFault> {
        self.topic.assign(places)
    }

    fn unassign(&self, partitions: &[i32]) -> Result<(), ClusterFault> {
        self.topic.unassign(partitions)
    }

    async fn commit(&self, offsets: Vec<Offset>) -> Result<(), ClusterFault> {
        self.ask_group().await?;
        let cluster = &self.line.cluster;
        let mut group = cluster.0.group.lock();
        let is_own = |offset: &Offset| group.owners.get(&offset.partition) == Some(&self.line.name);
        if !offsets.iter().all(is_own) {
            return Err(ClusterFault::Fenced { detail: "the partition is another member's".to_owned() });
        }
        for mut offset in offsets {
            offset.offset += u64::from(cluster.0.faults.commits_ahead);
            group.committed.insert(offset.partition, offset);
        }
        Ok(())
    }

    async fn committed(&self, partitions: Vec<i32>) -> Result<Vec<Offset>, ClusterFault> {
        self.ask_group().await?;
        let group = self.line.cluster.0.group.lock();
        Ok(partitions.iter().filter_map(|partition| group.committed.get(partition).cloned()).collect())
    }

    async fn bounds(&self, partition: i32) -> Result<Bounds, ClusterFault> {
        let (start, end) = self.line.cluster.0.source.change(partition, |log| (log.start, log.next));
        Ok(Bounds { start, end })
    }

    async fn count(&self) -> Result<i32, ClusterFault> {
        self.ask_group().await?;
        Ok(self.line.cluster.0.partitions)
    }
}
