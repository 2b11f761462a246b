//! One process, from its start to its end: what it still does after that counts no more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// A process. A clone is the same.
#[derive(Clone)]
pub(crate) struct Life(Arc<Inner>);

struct Inner {
    number: u64,
    over: AtomicBool,
    ended: Notify,
}

impl Life {
    /// The process of this number; no two of a simulation have the same.
    pub(crate) fn new(number: u64) -> Self {
        Self(Arc::new(Inner { number, over: AtomicBool::new(false), ended: Notify::new() }))
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// It is over; false if it was.
    pub(crate) fn end(&self) -> bool {
        let was = self.0.over.swap(true, Ordering::Relaxed);
        self.0.ended.notify_waiters();
        !was
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    /// Returns once it is over.
    pub(crate) async fn over(&self) {
        loop {
            let ended = self.0.ended.notified();
            if self.is_over() {
                return;
            }
            ended.await;
        }
    }
}
