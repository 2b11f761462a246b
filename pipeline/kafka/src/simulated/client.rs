//! A process's connections: it reads all topics, writes to the state topics and commits. It can be cut from the group,
//! read nothing for a while, or die.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join;
use parking_lot::Mutex;
use stages::Lease;
use state::{Clock, PartitionLog, Position};
use tokio::{sync::Notify, time::sleep};
use topics::Checkpoints;

use super::{SimulatedCluster, TOPIC, member::SimulatedMember};
use crate::{
    consumer::{Bounds, Consumer, Offset, PartitionQueue, Queued, ReadFrom, Wanted},
    fault::ClusterFault,
    follow::{
        ClaimRequest, FollowOptions, Follower, RestoredStream, Said, StateRecord, StateTopic, StateValue,
        StateWriter, WaitingKey,
        scripted::{ScriptedConsumer, ScriptedQueue},
    },
    lease::MemberLease,
    options::{
        ClusterOptions, FetchOptions, Framing, GroupOptions, GroupProtocol, Isolation, KafkaOptions, OnLoss,
        Reading, Start,
    },
    produce::Deliveries,
};

const SECOND: Duration = Duration::from_secs(1);
/// How long what is asked of a cluster may take.
const TIMEOUT: Duration = SECOND;
/// The largest record.
const RECORD_MAX: usize = 1 << 16;

/// A process's connections to a cluster.
pub struct SimulatedClient {
    line: Arc<Line>,
    follower: Arc<Topics>,
}

pub(super) type Topics = Follower<ClientConsumer, ClientWriter>;

/// What all connections of a process share.
struct Line {
    cluster: SimulatedCluster,
    name: Arc<str>,
    dead: AtomicBool,
    cut: AtomicBool,
    deaf: AtomicBool,
    /// On its way to the ledger's topic, and to that of waiting deliveries.
    sending: [Sending; 2],
    wakes: Mutex<Vec<Weak<Wake>>>,
}

struct Wake(Box<dyn Fn() + Send + Sync>);

#[derive(Default)]
struct Sending {
    records: Mutex<VecDeque<(StateRecord, Arc<Deliveries>)>>,
    news: Notify,
}

impl SimulatedClient {
    pub(super) fn new(cluster: SimulatedCluster, name: Arc<str>, seed: u64) -> Self {
        let line = Arc::new(Line {
            cluster,
            name: Arc::clone(&name),
            dead: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            sending: Default::default(),
            wakes: Mutex::default(),
        });
        let options = FollowOptions {
            cluster: cluster_options(),
            group: "g".to_owned(),
            source_topic: TOPIC.to_owned(),
            ledger_topic: format!("{TOPIC}-ledger"),
            waiting_topic: format!("{TOPIC}-waiting"),
            control_topic: format!("{TOPIC}-control"),
            create: false,
            replication: 3,
            min_isr: 2,
            dedupe_window: 7 * 24 * 3_600 * SECOND,
            record_max: RECORD_MAX,
            member: name,
            seed,
        };
        let state = &line.cluster.0.state;
        let [ledger, waiting] = [&state.ledger, &state.waiting]
            .map(|topic| ClientConsumer::new(&line, ScriptedConsumer::of(topic)));
        let follower = Arc::new(Follower::new(options, ledger, waiting, ClientWriter(Arc::clone(&line))));
        Self { line, follower }
    }

    /// Where the ledger appends.
    #[must_use]
    pub fn log(&self) -> Arc<dyn PartitionLog> {
        self.follower.clone()
    }

    /// The member of the group that this process is; nothing is assigned to it yet. It keeps this lease in a group that waits
    /// so long for a silent member.
    pub fn join<K: Checkpoints>(
        &self,
        checkpoints: K,
        clock: Clock,
        (lease, session): (Arc<Lease>, Duration),
    ) -> SimulatedMember<K> {
        let source = ScriptedConsumer::of(&self.line.cluster.0.source);
        let consumer = ClientConsumer::new(&self.line, source);
        let lease = MemberLease::new(lease, session);
        SimulatedMember::new(consumer, kafka_options(), checkpoints, clock, &self.follower, lease)
    }

    /// Takes a partition up for nobody: what whoever claims it next is given.
    pub fn claim(&self, partition: i32) -> RestoredStream {
        self.follower.claim(ClaimRequest { partition, committed_under: None, from: None })
    }

    /// Carries what is sent to the state topics, batch by batch, each within what `latency` says of the topic (0 for the
    /// ledger's, 1 for the other's); none while it is stalled, to be asked again after a while. Never ends.
    pub async fn pump(&self, latency: impl FnMut(usize) -> Option<Duration>) {
        let latency = Mutex::new(latency);
        let carry = async |topic: usize| {
            let Sending { records, news } = &self.line.sending[topic];
            loop {
                let count = records.lock().len();
                if count == 0 {
                    news.notified().await;
                    continue;
                }
                let pause = (*latency.lock())(topic);
                match pause {
                    Some(latency) => {
                        sleep(latency).await;
                        self.line.land(topic, count);
                    }
                    None => sleep(SECOND / 10).await,
                }
            }
        };
        join(carry(0), carry(1)).await;
    }

    /// Whether the group's coordinator is out of reach from now on.
    pub fn cut(&self, cut: bool) {
        self.line.cut.store(cut, Ordering::Relaxed);
    }

    /// Whether a claim of this process's is on its way.
    #[must_use]
    pub fn is_claiming(&self) -> bool {
        let records = self.line.sending[0].records.lock();
        let value = |record: &StateRecord| StateValue::decode(record.value.as_deref()?).ok();
        records
            .iter()
            .any(|(record, _)| value(record).is_some_and(|value| matches!(value.said, Said::Claim(_))))
    }

    /// Whether nothing is read from now on.
    pub fn deafen(&self, deaf: bool) {
        self.line.deaf.store(deaf, Ordering::Relaxed);
        self.line.wakes.lock().retain(|wake| wake.upgrade().inspect(|wake| wake.0()).is_some());
    }

    /// The process dies: of how many records are on their way to a topic, as many arrive as `keep` says.
    pub fn crash(&self, mut keep: impl FnMut(usize) -> usize) {
        if self.line.dead.swap(true, Ordering::Relaxed) {
            return;
        }
        for topic in 0..2 {
            let kept = keep(self.line.sending[topic].records.lock().len());
            self.line.land(topic, kept);
            // Nobody waits for these any more.
            self.line.sending[topic].records.lock().clear();
        }
        self.deafen(true);
    }

    /// Removes a delivery from the topic of waiting ones at once, whatever is known of its outcome: a fault.
    pub fn remove_now(&self, partition: i32, broker: &str, position: &Position) {
        let key = Some(WaitingKey::new(broker, position).as_bytes().to_vec());
        self.line.cluster.land(StateRecord { topic: StateTopic::Waiting, partition, key, value: None });
    }
}

impl Line {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// The first `count` records that are on their way to a topic arrive.
    fn land(&self, topic: usize, count: usize) {
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
pub(super) struct ClientWriter(Arc<Line>);

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
    fn new(line: &Arc<Line>, topic: ScriptedConsumer) -> Self {
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

fn cluster_options() -> ClusterOptions {
    ClusterOptions {
        bootstrap: vec!["127.0.0.1:1".to_owned()],
        tls: None,
        sasl: None,
        timeout: TIMEOUT,
        backoff_min: SECOND / 10,
        backoff_max: SECOND,
        properties: Default::default(),
    }
}

fn kafka_options() -> KafkaOptions {
    let group = GroupOptions {
        id: "g".to_owned(),
        protocol: GroupProtocol::Classic,
        instance_id: None,
        session_timeout: 10 * SECOND,
        max_poll_interval: 60 * SECOND,
    };
    KafkaOptions {
        cluster: cluster_options(),
        topic: TOPIC.to_owned(),
        reading: Reading::Group(group),
        start: Start::Beginning,
        isolation: Isolation::Committed,
        on_loss: OnLoss::Stop,
        framing: Framing::None,
        id_header: None,
        fetch: FetchOptions { partition_max: 1 << 20, queue_max: 1 << 20, wait_max: SECOND / 2 },
        commit_every: SECOND / 2,
        record_max: RECORD_MAX,
    }
}
