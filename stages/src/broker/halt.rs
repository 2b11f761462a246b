//! The request to begin no further attempt, for deliveries that wait before one: for all of a broker's when the line stops,
//! for some when their partition is taken away. Once it is made, they are woken and begin no attempt.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::models::RunState;

/// A request to begin no further attempt.
#[derive(Debug, Default)]
pub struct Halt {
    asked: AtomicBool,
    wake: Notify,
}

impl Halt {
    /// Makes the request to all of them, for good.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// Makes the request to these.
    pub fn ask_each<'r>(&self, runs: impl IntoIterator<Item = &'r RunState>) {
        runs.into_iter().for_each(RunState::halt);
        self.wake.notify_waiters();
    }

    /// Whether the request was made to this one.
    #[must_use]
    pub fn is_asked(&self, run: &RunState) -> bool {
        self.asked.load(Ordering::Acquire) || run.is_halted()
    }

    /// Returns once the request was made to this one. Cancel safe.
    pub async fn asked(&self, run: &RunState) {
        loop {
            let mut woken = std::pin::pin!(self.wake.notified());
            // Registered before the check, so that a request in between wakes this task, too.
            woken.as_mut().enable();
            if self.is_asked(run) {
                return;
            }
            woken.await;
        }
    }
}
