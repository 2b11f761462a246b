//! Looks at a partition's end while it is read, whether or not anyone takes its records: the lag must be known best
//! when the line is full. Looks also tell the feed, and whoever asks for a status, that the leader no longer answers;
//! settled offsets are mirrored on the way.

use std::{fmt, sync::Arc, time::Duration};

use state::Clock;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};

use super::{
    counts::PartitionCounts,
    mirror::Mirror,
    partition::{Bounds, ClusterFault, Partition},
};

/// The longest time between two looks: what a shown lag is old at most.
const EVERY_MAX: Duration = Duration::from_secs(5);
/// How often a lag is logged.
const LAG_EVERY: Duration = Duration::from_secs(60);
/// How often settled offsets are mirrored.
const MIRROR_EVERY: Duration = Duration::from_secs(10);

/// Gives the offset below which a partition is settled; none while nothing is. Called off the runtime's threads.
#[derive(Clone)]
pub(super) struct Settled(Arc<dyn Fn() -> Option<u64> + Send + Sync>);

impl Settled {
    /// Asks `settled` each time.
    pub(super) fn new(settled: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(settled))
    }

    pub(super) fn get(&self) -> Option<u64> {
        (self.0)()
    }
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settled")
    }
}

/// What the latest look has seen; none before the first.
pub(super) type Look = Option<Result<Bounds, ClusterFault>>;

/// Looks for as long as it is not dropped.
pub(super) struct Looks {
    pub(super) seen: watch::Receiver<Look>,
    _task: JoinSet<()>,
}

impl Looks {
    /// Looks at `partition` so often that a stream that has stalled for `stall_after` is found soon after; a look that
    /// takes longer than `timeout` has failed.
    pub(super) fn start<P: Partition>(
        partition: Arc<P>,
        (stall_after, timeout): (Duration, Duration),
        counts: Arc<PartitionCounts>,
        mirror: Option<Arc<Mirror<P>>>,
        clock: Clock,
    ) -> Self {
        let (give, seen) = watch::channel(None);
        let every = Self::every(stall_after);
        let looker = Looker { partition, timeout, counts, mirror, clock };
        let mut task = JoinSet::new();
        task.spawn(looker.run(every, give));
        Self { seen, _task: task }
    }

    /// How often is looked.
    pub(super) fn every(stall_after: Duration) -> Duration {
        (stall_after / 4).min(EVERY_MAX)
    }
}

struct Looker<P> {
    partition: Arc<P>,
    timeout: Duration,
    counts: Arc<PartitionCounts>,
    mirror: Option<Arc<Mirror<P>>>,
    clock: Clock,
}

impl<P: Partition> Looker<P> {
    async fn run(self, every: Duration, give: watch::Sender<Look>) {
        let mut ticks = time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut mirrored_at) = (Instant::now(), Instant::now());
        loop {
            ticks.tick().await;
            // Without a stream there is nothing to look at; the feed is about to connect, and tells if it cannot.
            let stream = self.counts.stream();
            if let Some(stream) = stream {
                let seen = answered(self.timeout, "where the log ends", self.partition.bounds()).await;
                if self.counts.looked(stream, &seen) {
                    give.send_replace(Some(seen));
                }
            }
            // Most of all while there is no stream.
            if told.elapsed() >= LAG_EVERY {
                told = Instant::now();
                self.tell();
            }
            if let Some(mirror) = self.mirror.as_ref().filter(|_| stream.is_some())
                && mirrored_at.elapsed() >= MIRROR_EVERY
            {
                mirrored_at = Instant::now();
                mirror.tell().await;
            }
        }
    }

    fn tell(&self) {
        let counts = &self.counts;
        if counts.unread() > 0 {
            let (source, position, end) = (counts.source(), counts.position(), counts.end());
            let oldest = counts.unread_age(self.clock.now()).map(Duration::from_millis);
            tracing::info!(%source, position, end, unread = counts.unread(), ?oldest, "records wait in the log");
        }
    }
}

/// An answer of the cluster, if it comes in time.
pub(crate) async fn answered<T>(
    timeout: Duration,
    what: &'static str,
    answer: impl Future<Output = Result<T, ClusterFault>>,
) -> Result<T, ClusterFault> {
    match time::timeout(timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(ClusterFault::Silent { what, after: timeout }),
    }
}
