//! Watches over the ledger thread: a commit that does not come to its end is a fault, because a disk that does not answer
//! gives no error. And over the wall clock: each step of it is told, whether anything is written or not.
//!
//! Time is counted in looks, not by a clock: a process that was stopped from outside has made no look meanwhile.

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
    pulse::{Beat, Doing, Pulse},
    store::Store,
};

/// How often it looks; with a shorter limit, four times within that.
const LOOK: Duration = Duration::from_millis(500);

/// How many times as long as a commit the dropping of what has expired may take: of each million entries it takes less
/// than a second.
const EXPIRE_FACTOR: u32 = 20;

/// The thread; ends when it is dropped, or with the fault it has found.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches over the thread that writes to `store`, which must not take longer than `limit` for one commit.
    ///
    /// # Errors
    /// The system's, if there can be no thread.
    pub(crate) fn start(store: Store, pulse: Pulse, limit: Duration) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || watch(&store, &pulse, limit, &stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of it has been reported.
            let _panicked = thread.join();
        }
    }
}

fn watch(store: &Store, pulse: &Pulse, limit: Duration, stopped: &AtomicBool) {
    let every = LOOK.min(limit / 4);
    let mut patience = Patience::new(pulse.beat());
    loop {
        thread::park_timeout(every);
        if stopped.load(Ordering::Relaxed) || pulse.fault().is_some() {
            return;
        }
        store.clock().look();
        if patience.is_over(pulse.beat(), every, limit) {
            // Before anyone is told: whoever drops the store then must not wait for this disk.
            store.never_close();
            pulse.fail(StateFault::Stuck { path: store.path().to_owned(), limit });
            return;
        }
    }
}

/// How long the ledger thread has been at the same thing.
#[derive(Debug)]
struct Patience {
    last: Beat,
    waited: Duration,
}

impl Patience {
    fn new(beat: Beat) -> Self {
        Self { last: beat, waited: Duration::ZERO }
    }

    /// Whether the thread has been at `beat` for too long; `every` has passed since the last look.
    fn is_over(&mut self, beat: Beat, every: Duration, limit: Duration) -> bool {
        if beat != self.last {
            *self = Self::new(beat);
        } else {
            self.waited = self.waited.saturating_add(every);
        }
        match beat.doing() {
            Doing::Nothing => false,
            Doing::Commit => self.waited >= limit,
            Doing::Expire => self.waited >= limit.saturating_mul(EXPIRE_FACTOR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_one_commit_that_takes_too_long_is_too_long() {
        let pulse = Pulse::default();
        let mut patience = Patience::new(pulse.beat());
        let mut over = |looks: u32| (0..looks).any(|_| patience.is_over(pulse.beat(), SECOND, 30 * SECOND));
        assert!(!over(1_000), "it has nothing to do");
        for _ in 0..100 {
            pulse.turn_to(Doing::Commit);
            assert!(!over(29));
        }
        pulse.turn_to(Doing::Expire);
        assert!(!over(500), "dropping a large tree takes its time");
        assert!(over(101));
        pulse.turn_to(Doing::Commit);
        assert!(!over(29) && over(2));
    }
}
