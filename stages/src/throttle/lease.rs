//! The lease of a process that others replace when it falls silent: until when its attempts may last.
//!
//! Guarantee: no attempt begins that may last beyond the end of the lease, whatever has held up the process meanwhile. By
//! then somebody else may make the same attempts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use state::{Clock, UnixMillis};
use tokio::sync::Notify;

/// An attempt that may take longer than this part of a term could hardly ever begin. It counts as if it took this
/// part: what is on the wire of it when the lease ends may overlap with what comes after.
const ATTEMPT_PARTS: (u32, u32) = (2, 3);

/// A lease, which whoever gives it renews. Ends by the monotonic time of its clock, which goes on while the process, or the
/// machine, stands still.
#[derive(Debug)]
pub struct Lease {
    clock: Clock,
    /// When it ends; zero before the first renewal.
    until: AtomicU64,
    /// How long the last renewal was for, in milliseconds.
    term: AtomicU64,
    renewed: Notify,
}

impl Lease {
    /// One that begins when it is [renewed](Self::renew) first.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, until: AtomicU64::new(0), term: AtomicU64::new(0), renewed: Notify::new() }
    }

    /// The time by which it is measured, in milliseconds.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.clock.monotonic()
    }

    /// It lasts for `term` from `asked` on: the moment before whoever gives it was asked.
    pub fn renew(&self, asked: UnixMillis, term: Duration) {
        let term = u64::try_from(term.as_millis()).unwrap_or(u64::MAX);
        self.term.store(term, Ordering::Release);
        self.until.fetch_max(asked.saturating_add(term), Ordering::AcqRel);
        self.renewed.notify_waiters();
    }

    /// How much of it is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        let until = self.until.load(Ordering::Acquire);
        Duration::from_millis(until.saturating_sub(self.now()))
    }

    /// Whether an attempt may begin now that takes at most `longest`.
    #[must_use]
    pub fn covers(&self, longest: Duration) -> bool {
        let (part, parts) = ATTEMPT_PARTS;
        let term = Duration::from_millis(self.term.load(Ordering::Acquire));
        self.left() > longest.min(term / parts * part)
    }

    /// Waits until it [covers](Self::covers) such an attempt.
    pub async fn covering(&self, longest: Duration) {
        loop {
            let renewed = self.renewed.notified();
            if self.covers(longest) {
                return;
            }
            renewed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_attempt_begins_only_if_it_can_end_within_the_lease() {
        let lease = Lease::new(Clock::simulated(5_000));
        assert!(!lease.covers(SECOND));
        lease.renew(lease.now(), 30 * SECOND);
        assert!(lease.covers(15 * SECOND));
        tokio::time::advance(15 * SECOND).await;
        assert!(!lease.covers(15 * SECOND) && lease.covers(14 * SECOND));
        // What is asked later and answered earlier takes nothing back.
        lease.renew(5_000, 30 * SECOND);
        assert_eq!(lease.left(), 15 * SECOND);
        tokio::time::advance(20 * SECOND).await;
        assert!(!lease.covers(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_may_take_longer_than_the_lease_begins_in_its_first_third() {
        let lease = Lease::new(Clock::simulated(5_000));
        lease.renew(lease.now(), 6 * SECOND);
        assert!(lease.covers(Duration::MAX));
        tokio::time::advance(2 * SECOND).await;
        assert!(!lease.covers(60 * SECOND) && lease.covers(3 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_goes_on_when_it_is_renewed() {
        let lease = Arc::new(Lease::new(Clock::simulated(5_000)));
        let waiting = lease.clone();
        let waits = tokio::spawn(async move { waiting.covering(SECOND).await });
        tokio::time::sleep(SECOND).await;
        assert!(!waits.is_finished());
        lease.renew(lease.now(), 10 * SECOND);
        waits.await.unwrap();
    }
}
