//! Whether the line is stopping, for deliveries that wait before an attempt: asked once, known to all of them at once.
//!
//! Guarantees: once it is asked, nothing that waits for it goes on waiting, and no attempt begins.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A request to begin no further attempt.
#[derive(Debug, Default)]
pub struct Halt {
    asked: AtomicBool,
    wake: Notify,
}

impl Halt {
    /// Asks for it, for good.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// Whether it has been asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Returns once it is asked for. May be dropped at any time.
    pub async fn asked(&self) {
        let mut woken = std::pin::pin!(self.wake.notified());
        // Before the look: what is asked between the look and the wait wakes, too.
        woken.as_mut().enable();
        if !self.is_asked() {
            woken.await;
        }
    }
}
