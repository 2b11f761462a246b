//! Detects a commit that does not end and reports it as a fault, because a disk that does not answer gives no error.
//! Also logs each step of the wall clock, whether anything is written or not.
//!
//! Time is counted in polls, not by a clock: a process that was suspended has made no poll meanwhile.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    fault::StateFault,
    ledger_status::{Activity, ActivityStamp, LedgerStatus},
    store::Store,
};

/// How often it polls; with a shorter limit, four times within that.
const POLL: Duration = Duration::from_millis(500);

/// The limit for dropping expired trees, as a multiple of a commit's limit: a million entries take less than a
/// second.
const EXPIRE_FACTOR: u32 = 20;

/// The thread; it ends when this is dropped, or after the fault it has found.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts watching the thread that writes to `store`: one commit must not take longer than `limit`.
    ///
    /// # Errors
    /// The system's, if there can be no thread.
    pub(crate) fn start(store: Store, ledger_status: LedgerStatus, limit: Duration) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || watch(&store, &ledger_status, limit, &stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread has been reported already.
            let _panicked = thread.join();
        }
    }
}

fn watch(store: &Store, ledger_status: &LedgerStatus, limit: Duration, stopped: &AtomicBool) {
    let every = POLL.min(limit / 4);
    let mut stall = StallDetector::new(ledger_status.stamp());
    loop {
        thread::park_timeout(every);
        if stopped.load(Ordering::Relaxed) || ledger_status.fault().is_some() {
            return;
        }
        store.clock().look();
        if stall.is_over(ledger_status.stamp(), every, limit) {
            // Before the fault is reported: whoever drops the store then must not wait for this disk.
            store.never_close();
            ledger_status.fail(StateFault::Stuck { path: store.path().to_owned(), limit });
            return;
        }
    }
}

/// How long the ledger thread has had the same activity stamp.
#[derive(Debug)]
struct StallDetector {
    last: ActivityStamp,
    waited: Duration,
}

impl StallDetector {
    fn new(beat: ActivityStamp) -> Self {
        Self { last: beat, waited: Duration::ZERO }
    }

    /// Whether the stamp has not changed for too long; `every` has passed since the last poll.
    fn is_over(&mut self, beat: ActivityStamp, every: Duration, limit: Duration) -> bool {
        if beat != self.last {
            *self = Self::new(beat);
        } else {
            self.waited = self.waited.saturating_add(every);
        }
        match beat.activity() {
            Activity::Idle => false,
            Activity::Commit => self.waited >= limit,
            Activity::Expire => self.waited >= limit.saturating_mul(EXPIRE_FACTOR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_one_commit_that_takes_too_long_is_too_long() {
        let ledger_status = LedgerStatus::default();
        let mut stall = StallDetector::new(ledger_status.stamp());
        let mut over =
            |looks: u32| (0..looks).any(|_| stall.is_over(ledger_status.stamp(), SECOND, 30 * SECOND));
        assert!(!over(1_000), "it has nothing to do");
        for _ in 0..100 {
            ledger_status.set(Activity::Commit);
            assert!(!over(29));
        }
        ledger_status.set(Activity::Expire);
        assert!(!over(500), "dropping a large tree takes its time");
        assert!(over(101));
        ledger_status.set(Activity::Commit);
        assert!(!over(29) && over(2));
    }
}
