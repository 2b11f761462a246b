//! Looks at a partition's end while it is read, whether or not anyone takes its records: the lag must be known best
//! when the line is full. Looks also tell the feed that the leader no longer answers, and carry settled offsets to the
//! cluster if they are mirrored.

use std::{fmt, sync::Arc, time::Duration};

use state::Clock;
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::{self, Instant, MissedTickBehavior},
};

use super::{
    counts::PartitionCounts,
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
        settled: Option<Settled>,
        clock: Clock,
    ) -> Self {
        let (give, seen) = watch::channel(None);
        let every = (stall_after / 4).min(EVERY_MAX);
        let looker = Looker { partition, timeout, counts, settled, mirrored: None, clock };
        let mut task = JoinSet::new();
        task.spawn(looker.run(every, give));
        Self { seen, _task: task }
    }
}

struct Looker<P> {
    partition: Arc<P>,
    timeout: Duration,
    counts: Arc<PartitionCounts>,
    settled: Option<Settled>,
    mirrored: Option<u64>,
    clock: Clock,
}

impl<P: Partition> Looker<P> {
    async fn run(mut self, every: Duration, give: watch::Sender<Look>) {
        let mut ticks = time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut mirrored_at) = (Instant::now(), Instant::now());
        loop {
            ticks.tick().await;
            // Nothing to look at; the feed is about to connect, and tells if it cannot.
            if !self.counts.is_connected() {
                continue;
            }
            let connection = self.counts.reconnects();
            let seen = answered(self.timeout, "where the log ends", self.partition.bounds()).await;
            if let Ok(Bounds { end, .. }) = seen {
                self.counts.ends_at(end);
            }
            // A look over a connection that is gone by now says nothing of the new one.
            if self.counts.reconnects() == connection && self.counts.is_connected() {
                give.send_replace(Some(seen));
            }
            if told.elapsed() >= LAG_EVERY {
                told = Instant::now();
                self.tell();
            }
            if mirrored_at.elapsed() >= MIRROR_EVERY {
                mirrored_at = Instant::now();
                self.mirror().await;
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

    async fn mirror(&mut self) {
        let Some(Settled(settled)) = self.settled.clone() else { return };
        let Ok(Some(settled)) = spawn_blocking(move || settled()).await else { return };
        if self.mirrored == Some(settled) {
            return;
        }
        match answered(self.timeout, "a settled offset", self.partition.mirror(settled)).await {
            Ok(()) => self.mirrored = Some(settled),
            // Only what the cluster's own tools show depends on it.
            Err(fault) => {
                tracing::debug!(source = %self.counts.source(), %fault, "the cluster is not told what is settled");
            }
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
