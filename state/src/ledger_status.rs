//! The status of the ledger thread: what it is doing, and the first fault of the state. Whoever ends the process
//! after such a fault waits for it here.
//!
//! Guarantee: the first fault is kept, and everyone who waits for one gets it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::fault::StateFault;

/// A handle on the status; clones share it.
#[derive(Clone, Debug)]
pub struct LedgerStatus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// A counter of activity changes, times four, with the [`Activity`] in the last two bits.
    stamp: AtomicU64,
    fault: watch::Sender<Option<StateFault>>,
}

/// What the ledger thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Waits for records.
    Idle = 0,
    /// Writes a commit, or the last flush.
    Commit = 1,
    /// Drops expired trees, which may hold many millions of entries.
    Expire = 2,
}

/// The activity at one time. Two equal stamps mean that it has not changed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActivityStamp(u64);

impl Default for LedgerStatus {
    fn default() -> Self {
        Self(Arc::new(Inner { stamp: AtomicU64::new(0), fault: watch::Sender::new(None) }))
    }
}

impl LedgerStatus {
    /// Sets the activity. Only the ledger thread calls this.
    pub(crate) fn set(&self, activity: Activity) {
        let next = (self.0.stamp.load(Ordering::Relaxed) >> 2).wrapping_add(1) << 2;
        self.0.stamp.store(next | activity as u64, Ordering::Relaxed);
    }

    pub(crate) fn stamp(&self) -> ActivityStamp {
        ActivityStamp(self.0.stamp.load(Ordering::Relaxed))
    }

    /// Reports a fault. Only the first one is kept.
    pub fn fail(&self, fault: StateFault) {
        self.0.fault.send_if_modified(|first| {
            let news = first.is_none();
            if news {
                *first = Some(fault);
            }
            news
        });
    }

    /// The first fault, if there was one.
    #[must_use]
    pub fn fault(&self) -> Option<StateFault> {
        self.0.fault.borrow().clone()
    }

    /// Returns with the first fault once there is one.
    pub async fn failed(&self) -> StateFault {
        let mut watched = self.0.fault.subscribe();
        let fault = watched.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
        match fault {
            Some(fault) => fault,
            // Cannot happen: this handle keeps the sender.
            None => std::future::pending().await,
        }
    }
}

impl ActivityStamp {
    pub(crate) fn activity(self) -> Activity {
        match self.0 & 3 {
            0 => Activity::Idle,
            1 => Activity::Commit,
            _ => Activity::Expire,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_fault_stands_and_everyone_is_told() {
        let ledger_status = LedgerStatus::default();
        let early = tokio::spawn({
            let ledger_status = ledger_status.clone();
            async move { ledger_status.failed().await }
        });
        assert!(ledger_status.fault().is_none());
        ledger_status.fail(StateFault::Overrun { bound: 7 });
        ledger_status.fail(StateFault::Closed);
        let first = |fault| matches!(fault, StateFault::Overrun { bound: 7 });
        assert!(
            first(early.await.unwrap())
                && first(ledger_status.failed().await)
                && first(ledger_status.fault().unwrap())
        );
    }

    #[test]
    fn two_commits_in_a_row_have_two_stamps() {
        let ledger_status = LedgerStatus::default();
        assert_eq!(ledger_status.stamp().activity(), Activity::Idle);
        ledger_status.set(Activity::Commit);
        let first = ledger_status.stamp();
        ledger_status.set(Activity::Commit);
        assert!(first.activity() == Activity::Commit && ledger_status.stamp().activity() == Activity::Commit);
        assert_ne!(first, ledger_status.stamp());
        ledger_status.set(Activity::Expire);
        assert_eq!(ledger_status.stamp().activity(), Activity::Expire);
    }
}
