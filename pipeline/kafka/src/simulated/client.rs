//! A process's connections: it reads all topics, writes to the state topics and commits. It can be cut from the group,
//! read nothing for a while, or die.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join;
use parking_lot::Mutex;
use stages::Lease;
use state::{Clock, PartitionLog, Position};
use tokio::time::sleep;
use topics::Checkpoints;

use super::{
    SimulatedCluster, TOPIC,
    connection::{ClientConsumer, ClientWriter, Line, Sending, TIMEOUT, Topics},
    member::SimulatedMember,
};
use crate::{
    follow::{
        ClaimRequest, FollowOptions, Follower, RestoredStream, Said, StateRecord, StateTopic, StateValue,
        WaitingKey, scripted::ScriptedConsumer,
    },
    lease::{GroupSession, MemberLease},
    options::{
        ClusterOptions, FetchOptions, Framing, GroupOptions, GroupProtocol, Isolation, KafkaOptions, OnLoss,
        Reading, Start,
    },
};

const SECOND: Duration = Duration::from_secs(1);
/// The largest record.
const RECORD_MAX: usize = 1 << 16;

/// A process's connections to a cluster.
pub struct SimulatedClient {
    line: Arc<Line>,
    follower: Arc<Topics>,
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
        let lease = MemberLease::new(lease, GroupSession::waiting(session));
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
