//! The state topics on a cluster: opened once, beside the source, and shared by the ledger, which appends, and the member of
//! the group, which claims and releases.

use std::{fmt, sync::Arc, time::Duration};

use state::{Appended, Checkpoint, PartitionChange, PartitionLog, PartitionLogFault};
use tokio::sync::Mutex;

use super::{
    control::ControlTopic,
    follower::{Follower, RestoredStream},
    options::FollowOptions,
    plan::AROUND_A_BODY,
    port::StateAdmin as _,
    setup::ensure,
    shared_topics::{ClaimRequest, OnLate, OnSuperseded, Stamp},
};
use crate::{
    client::{ClusterConsumer, PollThread, StateClusterAdmin, StateProducer},
    cluster_wait::ClusterWait,
    events::Events,
    fault::{ClusterFault, FollowFault, KafkaFault},
    lease::GroupSession,
    options::{FetchOptions, Framing, Isolation, KafkaOptions, OnLoss, Reading, Start},
};

/// What one response has of one partition, and what is kept ahead of it, in bytes: a restore is read in few responses, and
/// the tails of hundreds of partitions have little in them.
const FETCH_MAX: usize = 1 << 20;
/// How long the cluster may wait for more before it answers: a partition that is claimed waits so long for its first
/// records while others have none.
const FETCH_WAIT: Duration = Duration::from_millis(100);
/// Kafka's default of `group.consumer.session.timeout.ms`, and of its lower bound.
const SESSION_TIMEOUT: Duration = Duration::from_secs(45);

/// The state topics of a source.
pub struct StateTopics {
    follower: Follower<ClusterConsumer, StateProducer>,
    admin: StateClusterAdmin,
    control: ControlTopic,
    options: FollowOptions,
    /// How many partitions of the source they have room for.
    covered: Mutex<i32>,
    /// None once it has ended.
    threads: parking_lot::Mutex<Vec<PollThread>>,
    /// The threads know them only as long as they are here.
    _events: Arc<dyn Events>,
}

impl fmt::Debug for StateTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateTopics").field("options", &self.options).finish_non_exhaustive()
    }
}

impl StateTopics {
    /// Makes the clients; connections are made in the background, and nothing is claimed before the topics are
    /// [covered](Self::cover).
    ///
    /// # Errors
    /// [`FollowFault::Cluster`] if the clients cannot be made.
    pub fn new(options: FollowOptions) -> Result<Self, FollowFault> {
        let admin = StateClusterAdmin::new(&options.cluster)?;
        let ledger = ClusterConsumer::new(&reading(&options, &options.ledger_topic))?.with_keys();
        let waiting = ClusterConsumer::new(&reading(&options, &options.waiting_topic))?.with_keys();
        let control = ClusterConsumer::new(&reading(&options, &options.control_topic))?.with_keys();
        let events: Arc<dyn Events> = Arc::new(Told);
        let consumers = [&ledger, &waiting, &control];
        let threads = consumers.map(|consumer| PollThread::start(consumer, &events));
        let threads = threads.into_iter().collect::<Result<Vec<_>, _>>()?;
        let producer = StateProducer::new(&options)?;
        let control = ControlTopic::new(control, producer.control(&options.control_topic), &options);
        let follower = Follower::new(options.clone(), ledger, waiting, producer);
        let threads = parking_lot::Mutex::new(threads);
        Ok(Self { follower, admin, control, options, covered: Mutex::new(0), threads, _events: events })
    }

    /// Tells from now on which partitions somebody else has claimed.
    pub fn on_superseded(&self, tell: OnSuperseded) {
        self.follower.on_superseded(tell);
    }

    /// Gives late outcomes from now on: whoever had a partition before has made a delivery and told it late.
    pub fn on_late(&self, tell: OnLate) {
        self.follower.on_late(tell);
    }

    /// Sees to it that the topics are there and have as many partitions as the source; makes them and has them grow if the
    /// options allow that. To be called before partitions are claimed. Without `fail_fast` a cluster that is away is waited
    /// for.
    ///
    /// # Errors
    /// [`FollowFault::Topic`] with what somebody has to do; [`FollowFault::Cluster`] with `fail_fast`.
    pub async fn cover(&self, partitions: i32, fail_fast: bool) -> Result<(), FollowFault> {
        let mut covered = self.covered.lock().await;
        if partitions > *covered {
            ensure(&self.admin, &self.options, partitions, fail_fast).await?;
            *covered = partitions;
        }
        Ok(())
    }

    /// The session of the group, which has the `consumer` protocol, as the cluster says.
    ///
    /// # Errors
    /// [`KafkaFault::Cluster`] with `fail_fast`; otherwise a cluster that is away is waited for.
    pub(crate) async fn session(&self, fail_fast: bool) -> Result<GroupSession, KafkaFault> {
        let mut wait = ClusterWait::new(&self.options.cluster, fail_fast, Arc::default());
        let told = wait.wait(|| self.admin.session(&self.options.group)).await?;
        Ok(told.unwrap_or_else(|| {
            tracing::warn!(session = ?SESSION_TIMEOUT, "this user may not know group.consumer.session.timeout.ms, which needs DescribeConfigs on the cluster: it is taken for Kafka's default");
            GroupSession::waiting(SESSION_TIMEOUT)
        }))
    }

    /// What all members are to know of brokers, and of each other; there once the topics are [covered](Self::cover).
    #[must_use]
    pub fn control(&self) -> &ControlTopic {
        &self.control
    }

    /// Takes a partition up as soon as the stream is polled: what the topics have of it is given back, and it may be
    /// appended to from then on. The stream ends when everything was given; it never ends for a partition that is given up
    /// or lost before. To be polled on a runtime.
    #[must_use]
    pub fn claim(&self, request: ClaimRequest) -> RestoredStream {
        self.follower.claim(request)
    }

    /// Returns once no claim of a partition is on its way, and none will be before the next [`claim`](Self::claim). To be
    /// awaited before somebody else gets the partition.
    pub async fn claim_arrived(&self, partition: i32) {
        self.follower.claim_arrived(partition).await;
    }

    /// Gives a partition up in good order: nothing of it is appended any more, and it is settled up to `checkpoint`.
    ///
    /// # Errors
    /// [`PartitionLogFault`]: whoever claims it next takes it for one whose owner has died, which costs nothing but
    /// doubts.
    pub async fn release(
        &self,
        partition: i32,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), PartitionLogFault> {
        self.follower.release(partition, checkpoint).await
    }

    /// Somebody else has the partition: of what is still appended only deliveries that were made are written.
    pub fn lose(&self, partition: i32) {
        self.follower.lose(partition);
    }

    /// Whether everything of a partition has come to its end, as far as the last horizon that was appended says.
    #[must_use]
    pub fn is_clean(&self, partition: i32) -> bool {
        self.follower.is_clean(partition)
    }

    /// The epoch of this process's claim of a partition, once it was read back: to be written beside a committed offset.
    #[must_use]
    pub fn epoch(&self, partition: i32) -> Option<u64> {
        self.follower.epoch(partition)
    }

    /// What a local copy of a partition's outcomes reflects that has everything which was appended before this call and
    /// answered.
    #[must_use]
    pub fn stamp(&self, partition: i32) -> Option<Stamp> {
        self.follower.stamp(partition)
    }

    /// Ends reading; to be called when everything was released. What is held ends with the last of this.
    pub async fn finish(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            thread.end().await;
        }
    }
}

impl PartitionLog for StateTopics {
    fn append(&self, source: &Arc<str>, changes: Vec<PartitionChange>) -> Appended {
        self.follower.append(source, changes)
    }
}

/// How a state topic is read: whole partitions by number, without a group.
fn reading(options: &FollowOptions, topic: &str) -> KafkaOptions {
    KafkaOptions {
        id_header: None,
        cluster: options.cluster.clone(),
        topic: topic.to_owned(),
        reading: Reading::Partitions(Vec::new()),
        start: Start::Beginning,
        // Nothing is written in transactions.
        isolation: Isolation::Uncommitted,
        on_loss: OnLoss::Continue,
        framing: Framing::None,
        fetch: FetchOptions { partition_max: FETCH_MAX, queue_max: FETCH_MAX, wait_max: FETCH_WAIT },
        commit_every: options.cluster.timeout,
        record_max: options.record_max + AROUND_A_BODY,
    }
}

/// What the clients tell by themselves is in the log; a producer that takes nothing is told of by whoever waits.
struct Told;

impl Events for Told {
    fn assigned(&self, _: Vec<i32>) {}

    fn revoked(&self, _: Vec<i32>, _: bool) {}

    fn trouble(&self, fault: ClusterFault) {
        tracing::debug!(%fault, "reading the state topics; retrying");
    }

    fn failed(&self, detail: String, _: bool) {
        let fault = KafkaFault::Client { detail };
        tracing::error!(%fault, "the state topics are not read any more");
    }
}
