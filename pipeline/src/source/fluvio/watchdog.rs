//! The watchdog of a silent stream: the log's end enters each time it has been looked at, and whether the stream has
//! stalled leaves. A stream that gives nothing is fine as long as there is nothing to give.

use std::time::Duration;

use tokio::time::Instant;

/// Watches one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watchdog {
    stall_after: Duration,
    /// Since when the log has had more than the stream has given.
    behind_since: Option<Instant>,
}

impl Watchdog {
    /// A stream that gives nothing for `stall_after`, although there is something, has stalled.
    pub(super) fn new(stall_after: Duration) -> Self {
        Self { stall_after, behind_since: None }
    }

    /// Notes that the stream has given something, or is a new one.
    pub(super) fn fed(&mut self) {
        self.behind_since = None;
    }

    /// Whether a stream that waits to give the record at `expected` has stalled, now that the log ends at `end`.
    pub(super) fn is_stalled(&mut self, now: Instant, expected: u64, end: u64) -> bool {
        if end <= expected {
            self.behind_since = None;
            return false;
        }
        let since = *self.behind_since.get_or_insert(now);
        now.saturating_duration_since(since) >= self.stall_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_stream_that_stays_silent_before_a_longer_log_has_stalled() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut dog = Watchdog::new(10 * second);
        assert!(!dog.is_stalled(start, 5, 5), "there is nothing to give");
        assert!(!dog.is_stalled(start + 100 * second, 5, 6), "it has come just now");
        assert!(!dog.is_stalled(start + 109 * second, 5, 7));
        assert!(dog.is_stalled(start + 110 * second, 5, 7));
        dog.fed();
        assert!(!dog.is_stalled(start + 111 * second, 6, 7), "counted anew");
        assert!(!dog.is_stalled(start + 120 * second, 7, 7));
        assert!(!dog.is_stalled(start + 121 * second, 7, 8), "there had been nothing in between");
    }
}
