//! The partitions of a topic that are assigned to this process, and the commits of their settled offsets.
//!
//! Guarantees: an offset is committed only while its partition is assigned to this process, one commit at a time, so that
//! no commit is on its way when a partition has been given up; of a partition that was lost nothing is committed. An
//! offset is the group's only when the group has said so: until then it is sent again, also while a partition is given up.
//! Each assignment begins anew: what is late of the one before changes nothing of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use line::Cursor;
use parking_lot::Mutex;
use state::Clock;
use tokio::time::{Instant, sleep};
use topics::{Backoff, Checkpoints, Losses, Mark, PartitionCounts};

use crate::{
    assignment::Assignment,
    commit_mark::CommitMark,
    consumer::{Consumer, Offset},
    counted::CountedPartitions,
    drain::PartitionDrain,
    fault::{ClusterFault, KafkaFault},
    follow::PartitionState,
    given::AssignedPartitions,
    group_counts::GroupCounts,
    lease::MemberLease,
    options::{KafkaOptions, Reading},
    outage_log::OutageLog,
};

/// The pauses between two tries of a commit that somebody waits for.
const AGAIN_MIN: Duration = Duration::from_millis(20);
const AGAIN_MAX: Duration = Duration::from_millis(500);

/// A partition that is this process's.
pub(crate) type Held<Q> = Arc<Assignment<Q>>;

/// What is to be committed of a partition.
pub(crate) type News<Q> = (Held<Q>, Offset);

/// This process's part of a topic.
pub(crate) struct Member<C: Consumer, K> {
    pub(crate) consumer: Arc<C>,
    pub(crate) checkpoints: K,
    pub(crate) options: KafkaOptions,
    pub(crate) clock: Clock,
    /// The partitions that are this process's now.
    pub(crate) held: Mutex<BTreeMap<i32, Held<C::Queue>>>,
    pub(crate) given: AssignedPartitions,
    pub(crate) counts: Arc<GroupCounts>,
    pub(crate) outage: Arc<OutageLog>,
    /// Which partitions count where limits are divided.
    pub(crate) counted: CountedPartitions,
    /// What the log no longer had in this run.
    pub(crate) losses: Arc<Losses>,
    /// Where the state of partitions is kept that follows them; none if it stays in this process's directory.
    pub(crate) follow: Option<Arc<dyn PartitionState>>,
    /// Until when deliveries may be sent; none if nobody else would send them.
    pub(crate) lease: Option<MemberLease>,
    /// Held while a commit is under way, from the look at what is this process's to the cluster's answer. Whoever gives
    /// partitions up takes them out first and waits for it then, so that no commit of them is on its way any more.
    sending: tokio::sync::Mutex<()>,
    drain: OnceLock<Arc<dyn PartitionDrain>>,
    closing: AtomicBool,
}

impl<C: Consumer, K: Checkpoints> Member<C, K> {
    pub(crate) fn new(
        consumer: C,
        options: KafkaOptions,
        checkpoints: K,
        clock: Clock,
        follow: Option<Arc<dyn PartitionState>>,
        lease: Option<MemberLease>,
    ) -> Self {
        Self {
            consumer: Arc::new(consumer),
            checkpoints,
            options,
            clock,
            held: Mutex::default(),
            given: AssignedPartitions::default(),
            counts: Arc::default(),
            outage: Arc::default(),
            counted: CountedPartitions::default(),
            losses: Arc::default(),
            follow,
            lease,
            sending: tokio::sync::Mutex::default(),
            drain: OnceLock::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// Asks `drain` from now on how far partitions are settled, and to give them up.
    pub(crate) fn attach(&self, drain: Arc<dyn PartitionDrain>) {
        let _first = self.drain.set(drain).is_ok();
    }

    /// The run is over: nothing is waited for any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn in_group(&self) -> bool {
        matches!(self.options.reading, Reading::Group(_))
    }

    pub(crate) fn drain(&self) -> Option<&Arc<dyn PartitionDrain>> {
        self.drain.get()
    }

    /// Gives the counts of the partitions at the time it is called, and keeps nothing of this.
    pub(crate) fn watch(
        self: &Arc<Self>,
    ) -> impl Fn() -> Vec<Arc<PartitionCounts>> + Send + Sync + use<C, K> {
        let member = Arc::downgrade(self);
        move || member.upgrade().map(|member| member.partitions()).unwrap_or_default()
    }

    /// The counts of the partitions that are this process's now.
    pub(crate) fn partitions(&self) -> Vec<Arc<PartitionCounts>> {
        self.held.lock().values().map(|held| Arc::clone(&held.counts)).collect()
    }

    /// Commits what has been settled since the last time.
    pub(crate) async fn commit_settled(&self) {
        self.commit_news(false).await;
    }

    /// The same; if nothing was settled, an offset that the group has already: its answer renews the lease.
    pub(crate) async fn keep_alive(&self) {
        self.commit_news(true).await;
    }

    async fn commit_news(&self, keep_alive: bool) {
        if !self.in_group() {
            return;
        }
        let _sending = self.sending.lock().await;
        let settled = self.settled();
        let held: Vec<_> = self.held.lock().values().cloned().collect();
        let mut news = self.news(&held, &settled);
        if news.is_empty() && keep_alive {
            let known =
                |held| Some((Arc::clone(held), self.offset(held, settled.get(held.counts.source()))?));
            news.extend(held.iter().find_map(known));
        }
        if news.is_empty() {
            return;
        }
        match self.send(&news).await {
            Ok(()) => self.outage.over(),
            // Somebody else has them, or will in a moment, whether or not that is told.
            Err(fault @ ClusterFault::Fenced { .. }) => {
                tracing::warn!(%fault, "a commit was refused: the partitions are lost");
                let all: Vec<_> = self.held.lock().keys().copied().collect();
                self.lose(&all);
            }
            // It stays news.
            Err(fault @ ClusterFault::Rebalancing { .. }) => tracing::debug!(%fault, "committing again"),
            Err(fault) => self.outage.trouble(fault),
        }
    }

    /// Gives `partitions` up at once: nothing of them is committed any more.
    pub(crate) fn lose(&self, partitions: &[i32]) {
        let taken = self.take(partitions);
        // At once: somebody else may press the brokers already.
        self.counted.give_up(partitions);
        self.counts.lose(taken.len());
        for held in taken {
            let source = held.counts.source();
            if let Some(follow) = &self.follow {
                follow.lose(held.partition);
            }
            tracing::warn!(%source, "the partition was lost to another member: what of it is under way here may be sent again there");
            if let Some(drain) = self.drain().filter(|_| !self.given.take_back(source)) {
                drain.lose(source);
            }
        }
    }

    /// Commits what is settled, and gives everything up; for the end of a run, when the line has ended.
    pub(crate) async fn finish(&self) {
        self.closing.store(true, Ordering::Release);
        let settled = self.settled();
        let all: Vec<_> = self.held.lock().keys().copied().collect();
        let taken = self.take(&all);
        let committed = self.commit(self.news(&taken, &settled), "at the end of the run").await;
        let drained = self.drained_at_the_end(&taken).await;
        self.give_up_state(&taken, &drained, committed).await;
        self.counted.give_up(&all);
    }

    /// The topic has so many partitions.
    pub(crate) fn set_partitions(&self, count: i32) {
        self.counts.set_partitions(count);
        self.counted.of(count);
    }

    /// Takes these out of what this process holds; their queues are gone.
    pub(crate) fn take(&self, partitions: &[i32]) -> Vec<Held<C::Queue>> {
        let mut held = self.held.lock();
        let taken: Vec<_> = partitions.iter().filter_map(|partition| held.remove(partition)).collect();
        self.counts.set_assigned(held.len());
        drop(held);
        taken.iter().for_each(|held| held.end());
        taken
    }

    /// Commits `news` before partitions are somebody else's; false if the group has not taken it. It may be rebalancing, or
    /// its coordinator may be away for a moment, so this is tried for as long as one answer may take.
    pub(crate) async fn commit(&self, news: Vec<News<C::Queue>>, when: &str) -> bool {
        // What was sent before has been answered: it cannot replace what is sent now.
        let _sending = self.sending.lock().await;
        if news.is_empty() || !self.in_group() {
            return true;
        }
        let (began, mut backoff) = (Instant::now(), Backoff::new(AGAIN_MIN, AGAIN_MAX));
        loop {
            let Err(fault) = self.send(&news).await else { return true };
            let is_over = began.elapsed() >= self.options.cluster.timeout;
            if is_over || matches!(fault, ClusterFault::Fenced { .. } | ClusterFault::Unauthorized { .. }) {
                tracing::warn!(%fault, when, "settled offsets could not be committed: whoever reads these partitions next sends again what they cover");
                return false;
            }
            tracing::info!(%fault, when, "a commit was refused, and is tried again");
            sleep(backoff.pause()).await;
        }
    }

    /// Sends `news` to the group. What it takes is news no more.
    async fn send(&self, news: &[News<C::Queue>]) -> Result<(), ClusterFault> {
        let asked = self.lease.as_ref().map(|lease| (lease, lease.ask()));
        let outcome = self.consumer.commit(news.iter().map(|(_, offset)| offset.clone()).collect()).await;
        if let Some((lease, asked)) = asked {
            lease.answered(asked, &outcome);
        }
        self.counts.committed(outcome.is_ok());
        for (held, Offset { partition, offset, .. }) in news {
            tracing::debug!(partition, offset, ?outcome, "committed");
            if outcome.is_ok() {
                held.committed(*offset);
            }
        }
        outcome
    }

    /// How far each partition is settled.
    pub(crate) fn settled(&self) -> HashMap<Arc<str>, Cursor> {
        self.drain().map(|drain| drain.settled().into_iter().collect()).unwrap_or_default()
    }

    /// What the group is not known to have of `held`.
    pub(crate) fn news<'h>(
        &self,
        held: impl IntoIterator<Item = &'h Held<C::Queue>>,
        settled: &HashMap<Arc<str>, Cursor>,
    ) -> Vec<News<C::Queue>> {
        let news = held.into_iter().filter_map(|held| {
            let offset = self.offset(held, settled.get(held.counts.source()))?;
            held.is_news(offset.offset).then(|| (Arc::clone(held), offset))
        });
        news.collect()
    }

    /// What is to be committed of a partition that is settled up to `cursor`; where it began, if nothing is.
    pub(crate) fn offset(
        &self,
        assignment: &Assignment<C::Queue>,
        cursor: Option<&Cursor>,
    ) -> Option<Offset> {
        let partition = assignment.partition;
        let began = || assignment.began_at().map(|at| (at, None));
        let mark = Mark::new(&self.options.topic, assignment.counts.partition());
        let of = |cursor: &Cursor| (cursor.offset, mark.decode(&cursor.mark).and_then(|mark| mark.last()));
        let (offset, last) = cursor.map(of).or_else(began)?;
        let partitions = i32::try_from(self.counts.partitions()).unwrap_or(i32::MAX);
        let claim = self.follow.as_ref().and_then(|follow| follow.epoch(partition));
        Some(Offset { partition, offset, metadata: CommitMark { partitions, last, claim }.encode() })
    }

    /// How long a partition may take to be given up: longer, and the group gives it away meanwhile.
    pub(crate) fn release_within(&self) -> Duration {
        match &self.options.reading {
            Reading::Group(group) => group
                .max_poll_interval
                .saturating_sub(self.options.cluster.timeout * 2)
                .max(Duration::from_secs(1)),
            Reading::Partitions(_) => Duration::MAX,
        }
    }

    /// Ends the run.
    pub(crate) fn fail(&self, fault: KafkaFault) {
        if !self.is_closing() {
            self.given.fail(fault);
        }
    }
}
