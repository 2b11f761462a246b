//! Polls a partition's end while it is read, whether or not its records are taken: the lag matters most when the line
//! is full. Also reports to the reader and to the status that the leader no longer answers, and mirrors settled
//! offsets.

use std::{sync::Arc, time::Duration};

use state::Clock;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};
use topics::PartitionCounts;

use super::{
    mirror::Mirror,
    partition::{Bounds, ClusterFault, Partition},
    timeout::within_timeout,
};

/// The longest time between two polls, and so the greatest age of a shown lag.
const EVERY_MAX: Duration = Duration::from_secs(5);
/// How often a lag is logged.
const LAG_EVERY: Duration = Duration::from_secs(60);
/// How often settled offsets are mirrored.
const MIRROR_EVERY: Duration = Duration::from_secs(10);

/// The result of the latest poll; none before the first.
pub(super) type LatestBounds = Option<Result<Bounds, ClusterFault>>;

/// Polls until it is dropped.
pub(super) struct Monitor {
    pub(super) seen: watch::Receiver<LatestBounds>,
    _task: JoinSet<()>,
}

impl Monitor {
    /// Starts polling `partition`, often enough to find a stream soon after it has stalled for `stall_after`. A poll
    /// that takes longer than `timeout` has failed.
    pub(super) fn start<P: Partition>(
        partition: Arc<P>,
        (stall_after, timeout): (Duration, Duration),
        counts: Arc<PartitionCounts>,
        mirror: Option<Arc<Mirror<P>>>,
        clock: Clock,
    ) -> Self {
        let (give, seen) = watch::channel(None);
        let every = Self::every(stall_after);
        let looker = MonitorTask { partition, timeout, counts, mirror, clock };
        let mut task = JoinSet::new();
        task.spawn(looker.run(every, give));
        Self { seen, _task: task }
    }

    /// The polling interval.
    pub(super) fn every(stall_after: Duration) -> Duration {
        (stall_after / 4).min(EVERY_MAX)
    }
}

struct MonitorTask<P> {
    partition: Arc<P>,
    timeout: Duration,
    counts: Arc<PartitionCounts>,
    mirror: Option<Arc<Mirror<P>>>,
    clock: Clock,
}

impl<P: Partition> MonitorTask<P> {
    async fn run(self, every: Duration, give: watch::Sender<LatestBounds>) {
        let mut ticks = time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut logged_at, mut mirrored_at) = (Instant::now(), Instant::now());
        loop {
            ticks.tick().await;
            // Without a stream there is nothing to poll: the reader is connecting, and reports if it cannot.
            let stream = self.counts.stream();
            if let Some(stream) = stream {
                let seen = within_timeout(self.timeout, "where the log ends", self.partition.bounds()).await;
                if self.counts.looked(stream, seen.as_ref().map(|bounds| bounds.end)) {
                    give.send_replace(Some(seen));
                }
            }
            // Also, and especially, while there is no stream.
            if logged_at.elapsed() >= LAG_EVERY {
                logged_at = Instant::now();
                self.log_lag();
            }
            if let Some(mirror) = self.mirror.as_ref().filter(|_| stream.is_some())
                && mirrored_at.elapsed() >= MIRROR_EVERY
            {
                mirrored_at = Instant::now();
                mirror.report().await;
            }
        }
    }

    fn log_lag(&self) {
        let counts = &self.counts;
        if counts.unread() > 0 {
            let (source, position, end) = (counts.source(), counts.position(), counts.end());
            let oldest = counts.unread_age(self.clock.now()).map(Duration::from_millis);
            tracing::info!(%source, position, end, unread = counts.unread(), ?oldest, "unread records in the log");
        }
    }
}
