//! The history of a delivery: one short entry for each attempt that failed, kept with a spilled delivery and in its
//! dead letter.

use bincode::{Decode, Encode};

use crate::clock::UnixMillis;

/// How many failed attempts a history keeps. Older ones are dropped; the count includes them.
pub const HISTORY_MAX: usize = 16;

/// Of how many of them it keeps what the receiver answered: the last ones.
pub const ANSWERS_MAX: usize = 4;

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// When the attempt ended.
    pub at: UnixMillis,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, in one phrase of at most 200 bytes, in lower case but for names of fields, without control characters.
    pub cause: String,
    /// Whether the receiver may have taken the event although the attempt failed.
    pub may_have_arrived: bool,
    /// The beginning of a refusing answer's body, as [`crate::answer::excerpt`] makes it; empty if it had none or it is not
    /// kept any more. None without an answer, and of an answer that says nothing of the event.
    pub answer: Option<String>,
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
    /// The last [`HISTORY_MAX`] of them, oldest first; the least clear one is always among them, however old it is.
    pub last: Vec<FailedAttempt>,
}

/// Why an attempt that failed may have reached the receiver all the same; the less clear one is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unclear {
    /// The receiver said no: 3xx, 4xx, 503, or 2xx with a refusal in its body. It may have taken the event before it
    /// said so.
    Refusal,
    /// There was no answer, or one that does not say what became of the event: 5xx but 503.
    NoAnswer,
}

impl FailedAttempt {
    /// Whether the receiver may have taken the event, and why that is not clear. What an earlier version wrote says of an
    /// answered attempt that it did not arrive.
    #[must_use]
    pub fn unclear(&self) -> Option<Unclear> {
        match self.status {
            Some(300..=499 | 503) => Some(Unclear::Refusal),
            Some(200..=299) if self.answer.is_some() => Some(Unclear::Refusal),
            Some(_) => Some(Unclear::NoAnswer),
            None => self.may_have_arrived.then_some(Unclear::NoAnswer),
        }
    }
}

impl History {
    /// Adds a failed attempt; `counts` says whether it brings the delivery nearer to its dead letter.
    pub fn push(&mut self, attempt: FailedAttempt, counts: bool) {
        self.attempts = self.attempts.saturating_add(1);
        self.counted = self.counted.saturating_add(u32::from(counts));
        self.may_have_arrived |= attempt.may_have_arrived;
        self.last.push(attempt);
        if self.last.len() > HISTORY_MAX {
            self.forget_one();
        }
        let answers = self.last.iter_mut().rev().filter_map(|attempt| attempt.answer.as_mut());
        answers.skip(ANSWERS_MAX).for_each(String::clear);
    }

    /// Removes the oldest attempt, or the second if the oldest is the only one with the strongest reason to be
    /// unclear: the meaning of a later 409 depends on it.
    fn forget_one(&mut self) {
        let least_clear = self.last.iter().map(FailedAttempt::unclear).max().flatten();
        let mut as_unclear = self.last.iter().filter(|attempt| attempt.unclear() == least_clear);
        let is_alone = as_unclear.next().is_some() && as_unclear.next().is_none();
        let kept = is_alone && self.last.first().is_some_and(|first| first.unclear() == least_clear);
        self.last.remove(usize::from(kept));
    }

    /// Whether the receiver may have taken the event, and why that is unclear; of several reasons the stronger one.
    #[must_use]
    pub fn unclear(&self) -> Option<Unclear> {
        if self.attempts == 0 && !self.may_have_arrived {
            return None;
        }
        let known = self.last.iter().filter_map(FailedAttempt::unclear).max();
        // An earlier version could drop the attempt that may have arrived.
        known.or(self.may_have_arrived.then_some(Unclear::NoAnswer))
    }

    /// The history of a delivery that an operator sends again: all attempts are kept, and none counts toward
    /// `attempts_max` any more.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { counted: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(at: UnixMillis, may_have_arrived: bool) -> FailedAttempt {
        FailedAttempt { at, status: None, cause: "timed out".to_owned(), may_have_arrived, answer: None }
    }

    fn history(attempts: &[(Option<u16>, bool)]) -> History {
        let mut history = History::default();
        for (at, (status, may_have_arrived)) in (0..).zip(attempts) {
            let attempt = FailedAttempt { status: *status, ..failed(at, *may_have_arrived) };
            history.push(attempt, true);
        }
        history
    }

    #[test]
    fn the_least_clear_attempt_is_remembered_however_many_follow() {
        let (lost, refused, unreached) = ((None, true), (Some(429), true), (None, false));
        for (first, then, unclear) in [
            (lost, refused, Unclear::NoAnswer),
            (lost, unreached, Unclear::NoAnswer),
            ((Some(500), true), refused, Unclear::NoAnswer),
            (refused, unreached, Unclear::Refusal),
        ] {
            let attempts: Vec<_> = std::iter::once(first).chain([then; 3 * HISTORY_MAX]).collect();
            let history = history(&attempts);
            assert_eq!(history.unclear(), Some(unclear), "{first:?}, then {then:?}");
            assert_eq!((history.attempts as usize, history.last.len()), (attempts.len(), HISTORY_MAX));
            let kept: Vec<_> = history.last.iter().map(|attempt| attempt.at).collect();
            let newest = (attempts.len() - HISTORY_MAX + 1) as u64..attempts.len() as u64;
            assert!(kept.iter().copied().eq(std::iter::once(0).chain(newest)), "{kept:?}");
        }
    }

    #[test]
    fn one_of_several_that_are_as_unclear_makes_room_and_so_does_what_never_left() {
        for attempt in [(None, true), (Some(404), true), (None, false)] {
            let history = history(&[attempt; HISTORY_MAX + 1]);
            assert_eq!((history.last.len(), history.last[0].at), (HISTORY_MAX, 1), "{attempt:?}");
        }
    }

    #[test]
    fn a_history_of_an_earlier_version_has_forgotten_which_attempt_may_have_arrived() {
        let unreached = history(&[(None, false); HISTORY_MAX]);
        let history = History { attempts: 40, may_have_arrived: true, ..unreached };
        assert_eq!(history.unclear(), Some(Unclear::NoAnswer));
    }

    #[test]
    fn whatever_was_answered_may_have_been_taken_and_what_was_never_written_was_not() {
        let unclear = |attempts: &[(Option<u16>, bool)]| history(attempts).unclear();
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

    #[test]
    fn a_2xx_whose_body_says_no_is_a_refusal_for_good_and_one_without_its_body_is_not() {
        let answered = |text: Option<&str>| FailedAttempt {
            status: Some(200),
            answer: text.map(str::to_owned),
            ..failed(0, true)
        };
        let mut history = History::default();
        history.push(answered(Some("{\"success\":false}")), true);
        (0..9).for_each(|_| history.push(answered(Some("busy")), true));
        assert_eq!(history.unclear(), Some(Unclear::Refusal));
        let kept: Vec<_> = history.last.iter().map(|attempt| attempt.answer.clone().unwrap()).collect();
        assert_eq!(kept, ["", "", "", "", "", "", "busy", "busy", "busy", "busy"]);
        history.push(answered(None), true);
        assert_eq!(history.unclear(), Some(Unclear::NoAnswer));
    }
}
