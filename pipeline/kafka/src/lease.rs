//! Keeps the lease of a member whose partitions' state follows them. The group's answers to commits renew it: they say that
//! the partitions are this member's.
//!
//! Guarantee: the lease ends before the group misses this member and gives its partitions away.

use std::{sync::Arc, time::Duration};

use stages::Lease;
use state::UnixMillis;
use tokio::{
    sync::Notify,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::fault::ClusterFault;

/// The pause between two heartbeats that Kafka has by default.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often a lease is renewed in its term.
const RENEWALS: u32 = 8;

/// How a group knows that a member is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupSession {
    /// How long it waits for a member that is silent.
    pub(crate) timeout: Duration,
    /// The longest pause between two heartbeats. Where a commit is no heartbeat, the last one may have been so long before.
    pub(crate) heartbeat: Duration,
}

impl GroupSession {
    /// One whose members send heartbeats as often as Loadline's do in a classic group.
    pub(crate) fn waiting(timeout: Duration) -> Self {
        Self { timeout, heartbeat: HEARTBEAT.min(timeout / 3) }
    }
}

/// A lease of a member, and how it is kept.
pub(crate) struct MemberLease {
    lease: Arc<Lease>,
    term: Duration,
    /// Partitions have come: it may begin.
    wanted: Notify,
}

impl MemberLease {
    /// A lease of a member of a group with this session.
    pub(crate) fn new(lease: Arc<Lease>, session: GroupSession) -> Self {
        let term = session.timeout.saturating_sub(session.heartbeat);
        Self { lease, term, wanted: Notify::new() }
    }

    /// To be called before the group is asked.
    pub(crate) fn ask(&self) -> UnixMillis {
        self.lease.now()
    }

    /// The group, asked at `asked`, has answered.
    pub(crate) fn answered(&self, asked: UnixMillis, answer: &Result<(), ClusterFault>) {
        // In a rebalance a commit may be refused, and the partitions are this member's all the same.
        if matches!(answer, Ok(()) | Err(ClusterFault::Rebalancing { .. })) {
            self.lease.renew(asked, self.term);
        }
    }

    /// Has it renewed at once.
    pub(crate) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Returns when it is to be renewed at once.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// When it is to be renewed in any case.
    pub(crate) fn ticks(&self) -> Interval {
        let mut ticks = interval(self.term / RENEWALS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.lease.left().is_zero()
    }

    /// How long it lasts from an answer on.
    pub(crate) fn term(&self) -> Duration {
        self.term
    }
}
