//! The ledger thread's pulse: what it is doing and the fault that ended it, for whoever has to end the process when it
//! cannot write any more.
//!
//! Guarantee: the first fault stands, and everyone who waits for one is told of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::fault::StateFault;

/// A handle on the pulse; clones share it.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Counts up each time the thread takes up or finishes something, times four, and [`Doing`] in the last two bits.
    beat: AtomicU64,
    fault: watch::Sender<Option<StateFault>>,
}

/// What the ledger thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It waits for records.
    Nothing = 0,
    /// It writes a commit, or the last flush.
    Commit = 1,
    /// It drops what has expired, which may be many millions of entries.
    Expire = 2,
}

/// A look at the pulse: equal looks mean that the thread is still at the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beat(u64);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Inner { beat: AtomicU64::new(0), fault: watch::Sender::new(None) }))
    }
}

impl Pulse {
    /// The ledger thread turns to something; the ledger thread's alone.
    pub(crate) fn turn_to(&self, doing: Doing) {
        let next = (self.0.beat.load(Ordering::Relaxed) >> 2).wrapping_add(1) << 2;
        self.0.beat.store(next | doing as u64, Ordering::Relaxed);
    }

    pub(crate) fn beat(&self) -> Beat {
        Beat(self.0.beat.load(Ordering::Relaxed))
    }

    /// Notes the fault that ends it all, unless there was one before.
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

impl Beat {
    pub(crate) fn doing(self) -> Doing {
        match self.0 & 3 {
            0 => Doing::Nothing,
            1 => Doing::Commit,
            _ => Doing::Expire,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_fault_stands_and_everyone_is_told() {
        let pulse = Pulse::default();
        let early = tokio::spawn({
            let pulse = pulse.clone();
            async move { pulse.failed().await }
        });
        assert!(pulse.fault().is_none());
        pulse.fail(StateFault::Overrun { bound: 7 });
        pulse.fail(StateFault::Closed);
        let first = |fault| matches!(fault, StateFault::Overrun { bound: 7 });
        assert!(first(early.await.unwrap()) && first(pulse.failed().await) && first(pulse.fault().unwrap()));
    }

    #[test]
    fn two_commits_in_a_row_are_two_beats() {
        let pulse = Pulse::default();
        assert_eq!(pulse.beat().doing(), Doing::Nothing);
        pulse.turn_to(Doing::Commit);
        let first = pulse.beat();
        pulse.turn_to(Doing::Commit);
        assert!(first.doing() == Doing::Commit && pulse.beat().doing() == Doing::Commit);
        assert_ne!(first, pulse.beat());
        pulse.turn_to(Doing::Expire);
        assert_eq!(pulse.beat().doing(), Doing::Expire);
    }
}
