//! The watchdog of a silent stream: the log's end enters each time it has been looked at, and what that says of the stream
//! leaves. A stream that gives nothing is fine as long as there is nothing to give.
//!
//! Looks are counted, not time: a look counts when it is seen, and it is seen while the stream is asked for a record.
//! While the line is full neither happens, and what has arrived meanwhile may need a moment more.

use std::time::Duration;

/// How many looks in a row must say that the log ends before what has been taken. The first may have been under way
/// since before that was taken, and the second since before the first was seen; the third has not.
const SHORT_LOOKS: u32 = 3;

/// What a look says of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// There is nothing to give.
    Quiet,
    /// There is something; or something is odd, and not for long.
    Waits,
    /// There has been something for long.
    Stalled,
    /// The log ends before the place the stream is at.
    Short,
}

/// Watches one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watchdog {
    /// How many looks in a row a stream may give nothing, although there is something.
    looks: u32,
    /// Whether all that is given is committed, so that a log that ends before it has become shorter.
    committed: bool,
    behind: u32,
    short: u32,
}

impl Watchdog {
    /// A stream that gives nothing for `stall_after`, although there is something, has stalled, if it is looked at
    /// `every` so often.
    pub(super) fn new(stall_after: Duration, every: Duration, committed: bool) -> Self {
        let spans = stall_after.as_nanos().div_ceil(every.as_nanos().max(1));
        let looks = u32::try_from(spans).unwrap_or(u32::MAX).saturating_add(1);
        Self { looks, committed, behind: 0, short: 0 }
    }

    /// Notes that the stream has given what it should, or is a new one.
    pub(super) fn fed(&mut self) {
        (self.behind, self.short) = (0, 0);
    }

    /// Judges a stream that waits to give the record at `expected`, now that the log has been seen to end at `end`.
    pub(super) fn look(&mut self, expected: u64, end: u64) -> Said {
        let short = self.committed && end < expected;
        self.behind = if end > expected { self.behind.saturating_add(1) } else { 0 };
        self.short = if short { self.short.saturating_add(1) } else { 0 };
        if self.behind >= self.looks {
            Said::Stalled
        } else if self.short >= SHORT_LOOKS {
            Said::Short
        } else if self.behind + self.short > 0 {
            Said::Waits
        } else {
            Said::Quiet
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
        assert_eq!(dog.look(5, 5), Said::Quiet);
        let said: Vec<_> = (0..5).map(|more| dog.look(5, 6 + more)).collect();
        assert_eq!(
            said,
            [Said::Waits, Said::Waits, Said::Waits, Said::Waits, Said::Stalled],
            "10 s have passed"
        );
        dog.fed();
        assert!((0..4).all(|_| dog.look(6, 7) == Said::Waits), "counted anew");
        assert_eq!(dog.look(7, 7), Said::Quiet, "there was nothing in between");
        assert_eq!(dog.look(7, 8), Said::Waits);
    }

    #[test]
    fn a_committed_log_that_ends_before_what_was_taken_is_short_once_that_is_certain() {
        let mut dog = dog(true);
        assert_eq!([dog.look(5, 3), dog.look(5, 4)], [Said::Waits, Said::Waits]);
        assert_eq!([dog.look(5, 5), dog.look(5, 4)], [Said::Quiet, Said::Waits], "counted anew");
        assert_eq!([dog.look(5, 4), dog.look(5, 4)], [Said::Waits, Said::Short]);
        let mut dog = self::dog(false);
        assert!((0..9).all(|_| dog.look(5, 3) == Said::Quiet), "it gives what is not committed");
    }
}
