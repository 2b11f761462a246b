//! The history of a delivery: one short entry for each attempt that failed, kept with a spilled delivery and in its
//! dead letter.

use bincode::{Decode, Encode};

use crate::clock::UnixMillis;

/// How many failed attempts a history keeps; older ones make room, the count goes on.
pub const HISTORY_MAX: usize = 16;

/// A failed attempt, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FailedAttempt {
    /// When the attempt ended.
    pub at: UnixMillis,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, in one lower-case phrase of at most 200 bytes.
    pub cause: String,
    /// Whether the receiver may have taken the event although the attempt failed.
    pub may_have_arrived: bool,
}

/// What has been tried so far for one delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct History {
    /// All attempts that failed.
    pub attempts: u32,
    /// Those of them that count toward `attempts_max`; probes of an open breaker do not.
    pub counted: u32,
    /// Whether any of them may have reached the receiver, so that the next one may be a repeat.
    pub may_have_arrived: bool,
    /// The last [`HISTORY_MAX`] of them, oldest first.
    pub last: Vec<FailedAttempt>,
}

/// Why an attempt that failed may have reached the receiver all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// There was no answer, or one that does not say what became of the event: 5xx but 503.
    NoAnswer,
    /// The receiver said no: 3xx, 4xx or 503. It may have taken the event before it said so.
    Refusal,
}

impl History {
    /// Adds a failed attempt; `counts` says whether it brings the delivery nearer to its dead letter.
    pub fn push(&mut self, attempt: FailedAttempt, counts: bool) {
        self.attempts = self.attempts.saturating_add(1);
        self.counted = self.counted.saturating_add(u32::from(counts));
        self.may_have_arrived |= attempt.may_have_arrived;
        if self.last.len() == HISTORY_MAX {
            self.last.remove(0);
        }
        self.last.push(attempt);
    }

    /// Whether the receiver may have taken the event, and why that is not clear; the less clear one of several. What an
    /// earlier version wrote says of an answered attempt that it did not arrive.
    #[must_use]
    pub fn unclear(&self) -> Option<Unclear> {
        if self.attempts == 0 && !self.may_have_arrived {
            return None;
        }
        let (mut answered, mut unanswered) = (false, false);
        for attempt in &self.last {
            match attempt.status {
                Some(300..=499 | 503) => answered = true,
                Some(_) => unanswered = true,
                None => unanswered |= attempt.may_have_arrived,
            }
        }
        match (unanswered, answered) {
            (true, _) => Some(Unclear::NoAnswer),
            (false, true) => Some(Unclear::Refusal),
            // One that has made room for others.
            (false, false) => self.may_have_arrived.then_some(Unclear::NoAnswer),
        }
    }

    /// The history of a delivery that an operator sends again: all that happened is kept, and none of it counts
    /// toward `attempts_max` any more.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { counted: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(at: UnixMillis, may_have_arrived: bool) -> FailedAttempt {
        FailedAttempt { at, status: None, cause: "timed out".to_owned(), may_have_arrived }
    }

    #[test]
    fn an_old_attempt_is_forgotten_but_not_that_it_may_have_arrived() {
        let mut history = History::default();
        history.push(failed(0, true), true);
        for at in 1..=HISTORY_MAX as u64 {
            history.push(failed(at, false), false);
        }
        assert_eq!((history.attempts, history.counted), (HISTORY_MAX as u32 + 1, 1));
        assert_eq!((history.last.len(), history.last[0].at), (HISTORY_MAX, 1));
        assert!(history.may_have_arrived);
        assert_eq!(history.unclear(), Some(Unclear::NoAnswer), "of the first, which is forgotten");
    }

    #[test]
    fn whatever_was_answered_may_have_been_taken_and_what_was_never_written_was_not() {
        let unclear = |attempts: &[(Option<u16>, bool)]| {
            let mut history = History::default();
            for (status, may_have_arrived) in attempts {
                let attempt = FailedAttempt { status: *status, ..failed(0, *may_have_arrived) };
                history.push(attempt, true);
            }
            history.unclear()
        };
        let refusal = Some(Unclear::Refusal);
        for status in [302, 400, 401, 404, 408, 409, 410, 422, 429, 503] {
            assert_eq!(unclear(&[(Some(status), true)]), refusal, "{status}");
            assert_eq!(
                unclear(&[(Some(status), false)]),
                refusal,
                "{status}, as an earlier version wrote it"
            );
        }
        assert_eq!((unclear(&[]), unclear(&[(None, false), (None, false)])), (None, None));
        for status in [None, Some(200), Some(500), Some(502), Some(504)] {
            assert_eq!(unclear(&[(status, true), (Some(429), true)]), Some(Unclear::NoAnswer), "{status:?}");
        }
    }
}
