//! Detects a stream that gives nothing although the log has more, from polls of the log's end.
//!
//! Polls are counted instead of time: a poll counts when the reader sees it, which is only while it waits for a
//! record. While the line is full neither happens, and records that have arrived meanwhile may need a moment more.

use std::time::Duration;

/// How many polls in a row must find that the log ends before what was read. The first may have started before that
/// was read, and the second before the first was seen; the third did not.
const SHORT_LOOKS: u32 = 3;

/// What a poll says about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// There is nothing to read.
    Quiet,
    /// There is something to read, but not for long.
    Waits,
    /// There has been something to read for too long.
    Stalled,
    /// The log ends before the stream's position.
    Short,
}

/// Watches one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watchdog {
    /// How many polls in a row a stream may give nothing although there is something.
    looks: u32,
    /// Whether only committed records are read, so that a log that ends before them has become shorter.
    committed: bool,
    behind: u32,
    short: u32,
}

impl Watchdog {
    /// A stream that gives nothing for `stall_after` although there is something has stalled; it is polled each
    /// `every`.
    pub(super) fn new(stall_after: Duration, every: Duration, committed: bool) -> Self {
        let spans = stall_after.as_nanos().div_ceil(every.as_nanos().max(1));
        let looks = u32::try_from(spans).unwrap_or(u32::MAX).saturating_add(1);
        Self { looks, committed, behind: 0, short: 0 }
    }

    /// Resets the counts: the stream has given a record, or is new.
    pub(super) fn fed(&mut self) {
        (self.behind, self.short) = (0, 0);
    }

    /// Evaluates a stream that waits for the record at `expected`, after a poll that found the log's end at `end`.
    pub(super) fn look(&mut self, expected: u64, end: u64) -> Finding {
        let short = self.committed && end < expected;
        self.behind = if end > expected { self.behind.saturating_add(1) } else { 0 };
        self.short = if short { self.short.saturating_add(1) } else { 0 };
        if self.behind >= self.looks {
            Finding::Stalled
        } else if self.short >= SHORT_LOOKS {
            Finding::Short
        } else if self.behind + self.short > 0 {
            Finding::Waits
        } else {
            Finding::Quiet
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dog(committed: bool) -> Watchdog {
        Watchdog::new(Duration::from_secs(10), Duration::from_millis(2_500), committed)
    }

    #[test]
    fn only_a_stream_that_stays_silent_before_a_longer_log_has_stalled() {
        let mut dog = dog(true);
        assert_eq!(dog.look(5, 5), Finding::Quiet);
        let said: Vec<_> = (0..5).map(|more| dog.look(5, 6 + more)).collect();
        assert_eq!(
            said,
            [Finding::Waits, Finding::Waits, Finding::Waits, Finding::Waits, Finding::Stalled],
            "10 s have passed"
        );
        dog.fed();
        assert!((0..4).all(|_| dog.look(6, 7) == Finding::Waits), "counted anew");
        assert_eq!(dog.look(7, 7), Finding::Quiet, "there was nothing in between");
        assert_eq!(dog.look(7, 8), Finding::Waits);
    }

    #[test]
    fn a_committed_log_that_ends_before_what_was_taken_is_short_once_that_is_certain() {
        let mut dog = dog(true);
        assert_eq!([dog.look(5, 3), dog.look(5, 4)], [Finding::Waits, Finding::Waits]);
        assert_eq!([dog.look(5, 5), dog.look(5, 4)], [Finding::Quiet, Finding::Waits], "counted anew");
        assert_eq!([dog.look(5, 4), dog.look(5, 4)], [Finding::Waits, Finding::Short]);
        let mut dog = self::dog(false);
        assert!((0..9).all(|_| dog.look(5, 3) == Finding::Quiet), "it gives what is not committed");
    }
}
