//! Keeps the lease of a member whose partitions' state follows them. The group's answers to commits renew it: they say that
//! the partitions are this member's.
//!
//! Guarantee: the lease ends before the group misses this member and gives its partitions away.

use std::{future::pending, sync::Arc, time::Duration};

use stages::Lease;
use state::UnixMillis;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use topics::Checkpoints;

use crate::{consumer::Consumer, fault::ClusterFault, member::Member};

/// How long before a commit the last heartbeat may have been: the longest pause between two that Kafka has by default.
const HEARTBEAT_MAX: Duration = Duration::from_secs(5);
/// How often a lease is renewed in its term.
const RENEWALS: u32 = 8;

/// A lease of a member, and how it is kept.
pub(crate) struct MemberLease {
    lease: Arc<Lease>,
    term: Duration,
    /// Partitions have come: it may begin.
    wanted: Notify,
}

impl MemberLease {
    /// A lease of a member that the group misses after `session`.
    pub(crate) fn new(lease: Arc<Lease>, session: Duration) -> Self {
        let term = session - HEARTBEAT_MAX.min(session / 3);
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
}

impl<C: Consumer, K: Checkpoints> Member<C, K> {
    /// Renews the lease, if there is one, as often as it needs; never ends.
    pub(crate) async fn renew_on(&self) {
        let Some(MemberLease { lease, term, wanted }) = &self.lease else { return pending().await };
        let mut ticks = interval(*term / RENEWALS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_told = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = wanted.notified() => {}
            }
            self.keep_alive().await;
            let has_ended = lease.left().is_zero() && !self.held.lock().is_empty();
            if has_ended && !is_told {
                tracing::warn!(
                    ?term,
                    "the lease has ended, because the group does not answer: nothing is sent until it does"
                );
            } else if is_told && !has_ended {
                tracing::info!("the group has answered: deliveries go on");
            }
            is_told = has_ended;
        }
    }
}
