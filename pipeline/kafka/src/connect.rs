//! Opens a topic: joins the group, or takes the partitions that the config names. A cluster that is away, or a topic
//! that does not exist, is waited for, and the log says so; or it is a fault at once.

use std::sync::Arc;

use stages::Lease;
use state::Clock;
use tokio::{
    runtime::Handle,
    task::{JoinSet, spawn_blocking},
};
use topics::{Checkpoints, Losses, PartitionCounts};

use crate::{
    client::{ClusterConsumer, PollThread},
    cluster_wait::ClusterWait,
    consumer::Consumer,
    counted::OnCounted,
    drain::PartitionDrain,
    events::Events,
    fault::{ClusterFault, KafkaFault},
    follow::{OnSuperseded, PartitionState, StateTopics},
    given::AssignedPartitions,
    group_counts::GroupCounts,
    lease::{GroupSession, MemberLease},
    member::Member,
    options::{GroupProtocol, KafkaOptions, Reading},
    partition_of_name,
};

/// A topic that is being read.
pub struct Connected<K: Checkpoints> {
    /// The partitions, as they are assigned.
    pub partitions: AssignedPartitions,
    /// What gives and takes them; when it is dropped, the group is left without a last commit.
    pub membership: Membership<K>,
}

/// This process's part in a topic.
pub struct Membership<K: Checkpoints> {
    member: Arc<Member<ClusterConsumer, K>>,
    thread: PollThread,
    /// The thread knows them only as long as they are here.
    events: Arc<dyn Events>,
    tasks: JoinSet<()>,
}

/// What a member needs whose partitions' state follows them.
#[derive(Clone, Debug)]
pub struct Following {
    /// Where the state of partitions is kept.
    pub topics: Arc<StateTopics>,
    /// The lease under which its deliveries are sent: kept here.
    pub lease: Arc<Lease>,
}

/// Joins the group, or reads the partitions that `options` name. Partitions that are new in `checkpoints`, and in the
/// group, are on record there before anything of them is read.
///
/// With `fail_fast` a cluster that is away, or has no such topic, is a fault at once; without, this returns when it is
/// known how many partitions there are, and may be dropped any time before. To be called on a runtime, which must go on
/// until [`Membership::finish`] has ended.
///
/// # Errors
/// [`KafkaFault::Cluster`] with `fail_fast`, or if the topic has no partition of a number that is named;
/// [`KafkaFault::Settings`]; [`KafkaFault::NoClient`]; for named partitions what can be wrong with their places; with
/// `follow` what can be wrong with the state topics.
pub async fn connect<K: Checkpoints>(
    options: &KafkaOptions,
    checkpoints: K,
    fail_fast: bool,
    clock: Clock,
    follow: Option<Following>,
) -> Result<Connected<K>, KafkaFault> {
    let consumer = ClusterConsumer::new(options)?;
    let (follow, lease) = match follow {
        Some(Following { topics, lease }) => {
            let session = session(&options.reading, &topics, fail_fast).await?;
            (Some(topics), Some(MemberLease::new(lease, session)))
        }
        None => (None, None),
    };
    let state = follow.clone().map(|topics| topics as Arc<dyn PartitionState>);
    let member = Arc::new(Member::new(consumer.clone(), options.clone(), checkpoints, clock, state, lease));
    if let Some(topics) = &follow {
        topics.on_superseded(lose(&member));
    }
    let events: Arc<dyn Events> =
        Arc::new(MemberEvents { member: Arc::clone(&member), runtime: Handle::current() });
    let thread = PollThread::start(&consumer, &events)?;
    let mut cluster = ClusterWait::new(&options.cluster, fail_fast, Arc::clone(&member.outage));
    let count = cluster.wait(|| consumer.count()).await?;
    member.set_partitions(count);
    if let Some(topics) = &follow {
        topics.cover(count, fail_fast).await?;
    }
    match &options.reading {
        Reading::Group(_) => consumer.join().map_err(|fault| member.fault(fault))?,
        Reading::Partitions(partitions) => {
            if let Some(&partition) = partitions.iter().find(|partition| !(0..count).contains(*partition)) {
                let topic = options.topic.clone();
                // Nobody waits for another partition by naming one too many.
                return Err(member.fault(ClusterFault::NoPartition { topic, partition, count }));
            }
            member.assign(partitions).await?;
        }
    }
    let mut tasks = JoinSet::new();
    let [commits, renewals, looks] = [(); 3].map(|()| Arc::clone(&member));
    tasks.spawn(async move { commits.commit_on().await });
    tasks.spawn(async move { renewals.renew_on().await });
    tasks.spawn(async move { looks.look_on().await });
    let partitions = member.given.clone();
    Ok(Connected { partitions, membership: Membership { member, thread, events, tasks } })
}

impl<K: Checkpoints> Membership<K> {
    /// Asks `line` from now on how far partitions are settled, and to give them up. To be called as soon as the line
    /// runs: until then nothing is committed but where reading begins.
    pub fn attach(&self, line: impl PartitionDrain) {
        self.member.attach(Arc::new(line));
    }

    /// The counts of the partitions that are this process's now, ascending.
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<PartitionCounts>> {
        self.member.partitions()
    }

    /// Gives the counts of the partitions that are this process's at the time it is called; none once this has finished. It
    /// keeps nothing of the membership: whoever watches may go on longer than the state is open.
    pub fn watch(&self) -> impl Fn() -> Vec<Arc<PartitionCounts>> + Send + Sync + use<K> {
        self.member.watch()
    }

    /// The counts of the member as a whole; they go on while it runs.
    #[must_use]
    pub fn counts(&self) -> Arc<GroupCounts> {
        Arc::clone(&self.member.counts)
    }

    /// Tells from now on, and at once, which partitions count as this process's where limits are divided.
    pub fn on_counted(&self, tell: OnCounted) {
        self.member.counted.tell(tell);
    }

    /// What the log no longer had, in the whole run.
    #[must_use]
    pub fn losses(&self) -> Arc<Losses> {
        Arc::clone(&self.member.losses)
    }

    /// Commits what is settled and leaves the group; to be called when the line has ended. Takes at most twice the cluster's
    /// timeout and ten seconds; twice the timeout more if the state follows its partition.
    pub async fn finish(self) {
        let Self { member, thread, events, mut tasks } = self;
        tasks.shutdown().await;
        member.finish().await;
        thread.end().await;
        // The last of the client waits for its threads.
        let _dropped = spawn_blocking(move || drop((member, events))).await.is_ok();
    }
}

/// How the group knows that a member is there.
async fn session(
    reading: &Reading,
    topics: &StateTopics,
    fail_fast: bool,
) -> Result<GroupSession, KafkaFault> {
    match reading {
        Reading::Group(group) if group.protocol == GroupProtocol::Classic => {
            Ok(GroupSession::waiting(group.session_timeout))
        }
        _ => topics.session(fail_fast).await,
    }
}

/// Gives a partition up that somebody else has claimed, though the group does not say so yet.
pub(crate) fn lose<C: Consumer, K: Checkpoints>(member: &Arc<Member<C, K>>) -> OnSuperseded {
    let member = Arc::downgrade(member);
    Box::new(move |source| {
        if let (Some(member), Some((_, partition))) = (member.upgrade(), partition_of_name(source)) {
            member.lose(&[partition]);
        }
    })
}

/// Follows the client's events, on the thread that polls.
struct MemberEvents<K: Checkpoints> {
    member: Arc<Member<ClusterConsumer, K>>,
    runtime: Handle,
}

impl<K: Checkpoints> Events for MemberEvents<K> {
    fn assigned(&self, partitions: Vec<i32>) {
        if let Err(fault) = self.runtime.block_on(self.member.assign(&partitions)) {
            self.member.fail(fault);
        }
    }

    fn revoked(&self, partitions: Vec<i32>, lost: bool) {
        self.runtime.block_on(self.member.revoke(&partitions, lost));
    }

    fn trouble(&self, fault: ClusterFault) {
        let _runtime = self.runtime.enter();
        self.member.outage.trouble(fault);
    }

    fn failed(&self, detail: String, taken: bool) {
        let instance = match &self.member.options.reading {
            Reading::Group(group) if taken => group.instance_id.clone().map(|id| (id, group.id.clone())),
            _ => None,
        };
        self.member.fail(match instance {
            Some((instance_id, group)) => KafkaFault::InstanceTaken { instance_id, group },
            None => KafkaFault::Client { detail },
        });
    }
}
