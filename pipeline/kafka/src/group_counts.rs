//! What is told of a topic's member as a whole: the member writes, whoever shows a status reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Not known yet.
const NONE: u64 = u64::MAX;

/// Counts of a member, of this run.
#[derive(Debug)]
pub struct GroupCounts {
    partitions: AtomicU64,
    assigned: AtomicU64,
    rebalances: AtomicU64,
    lost: AtomicU64,
    commits: AtomicU64,
    commits_refused: AtomicU64,
    lag: AtomicU64,
}

impl Default for GroupCounts {
    fn default() -> Self {
        Self {
            partitions: AtomicU64::new(0),
            assigned: AtomicU64::new(0),
            rebalances: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            commits_refused: AtomicU64::new(0),
            lag: AtomicU64::new(NONE),
        }
    }
}

impl GroupCounts {
    /// How many partitions the topic has.
    #[must_use]
    pub fn partitions(&self) -> u64 {
        self.partitions.load(Relaxed)
    }

    /// How many of them are this process's now.
    #[must_use]
    pub fn assigned(&self) -> u64 {
        self.assigned.load(Relaxed)
    }

    /// How often partitions were given to this process or taken from it.
    #[must_use]
    pub fn rebalances(&self) -> u64 {
        self.rebalances.load(Relaxed)
    }

    /// How many partitions were lost: somebody else had them before they were given up.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// How many commits the cluster has taken.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Relaxed)
    }

    /// How many it has refused.
    #[must_use]
    pub fn commits_refused(&self) -> u64 {
        self.commits_refused.load(Relaxed)
    }

    /// The whole group's lag: offsets of all partitions that are in the log and not committed, some seconds ago. At most
    /// so many events, because offsets have gaps. None without a group, and until the cluster has told it.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        Some(self.lag.load(Relaxed)).filter(|lag| *lag != NONE)
    }

    pub(crate) fn set_partitions(&self, count: i32) {
        self.partitions.store(u64::try_from(count).unwrap_or_default(), Relaxed);
    }

    pub(crate) fn set_assigned(&self, count: usize) {
        self.assigned.store(count as u64, Relaxed);
    }

    pub(crate) fn set_lag(&self, lag: Option<u64>) {
        self.lag.store(lag.unwrap_or(NONE), Relaxed);
    }

    pub(crate) fn rebalanced(&self) {
        self.rebalances.fetch_add(1, Relaxed);
    }

    pub(crate) fn lose(&self, partitions: usize) {
        self.lost.fetch_add(partitions as u64, Relaxed);
    }

    pub(crate) fn committed(&self, taken: bool) {
        if taken { &self.commits } else { &self.commits_refused }.fetch_add(1, Relaxed);
    }
}
