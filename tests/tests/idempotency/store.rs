//! A store for marks, which says whether a key was marked before. It keeps what is flushed when the process dies, and
//! forgets what is only written.

use std::collections::HashMap;

use crate::world::World;

/// The marks, each with the time at which it was set.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    written: HashMap<String, u64>,
    flushed: HashMap<String, u64>,
}

impl Marks {
    /// Makes what is written durable.
    pub(crate) fn flush(&mut self) {
        self.flushed.extend(self.written.drain());
    }

    /// What a crash does.
    pub(crate) fn crash(&mut self) {
        self.written.clear();
    }

    fn set_at(&self, key: &str) -> Option<u64> {
        self.written.get(key).or_else(|| self.flushed.get(key)).copied()
    }
}

impl World {
    /// Whether a mark is set.
    pub(crate) async fn marked(&self, key: &str) -> bool {
        self.step(|| self.marks.borrow().set_at(key).is_some()).await
    }

    /// Whether a mark was set in the last `window_ms` milliseconds.
    pub(crate) async fn marked_within(&self, key: &str, window_ms: u64) -> bool {
        let young = |at_ms| self.now_ms() - at_ms <= window_ms;
        self.step(|| self.marks.borrow().set_at(key).is_some_and(young)).await
    }

    /// Sets a mark, durably.
    pub(crate) async fn mark(&self, key: &str) {
        self.step(|| {
            let mut marks = self.marks.borrow_mut();
            marks.written.insert(key.to_owned(), self.now_ms());
            marks.flush();
        })
        .await;
    }

    /// Sets a mark that a crash can undo until somebody flushes.
    pub(crate) async fn mark_without_flush(&self, key: &str) {
        self.step(|| self.marks.borrow_mut().written.insert(key.to_owned(), self.now_ms())).await;
    }
}
