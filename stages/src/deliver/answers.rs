//! What an answer means: the broker says it, by the status and, where it needs to, by what is in the body.
//!
//! The defaults are those of Standard Webhooks and RFC 9110. Pure.

use std::ops::RangeInclusive;

use http::StatusCode;

use super::{answer_body, body_error::BodyError, meaning::Meaning};

/// The meaning of each status unless a broker says otherwise: the first row that contains it; [`Meaning::Retry`] if none
/// does.
const DEFAULTS: [(RangeInclusive<u16>, Meaning); 11] = [
    (200..=299, Meaning::Success),
    (401..=401, Meaning::Pause),
    (403..=404, Meaning::Pause),
    (407..=407, Meaning::Pause),
    (408..=408, Meaning::Retry),
    (409..=409, Meaning::Conflict),
    (410..=410, Meaning::Disable),
    (421..=421, Meaning::Retry),
    (425..=425, Meaning::Retry),
    (429..=429, Meaning::Retry),
    (400..=499, Meaning::Final),
];

/// What a broker's answers mean. The default is the standards' meaning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// The broker's own rows, those of few statuses first.
    own: Vec<(RangeInclusive<u16>, Meaning)>,
    errors: Vec<BodyError>,
}

impl Answers {
    /// What each of these statuses means, and which bodies of successful answers are errors all the same. Of two rows
    /// with the same status the one with fewer statuses counts; a status in no row has its default meaning.
    #[must_use]
    pub fn new(mut own: Vec<(RangeInclusive<u16>, Meaning)>, errors: Vec<BodyError>) -> Self {
        own.sort_by_key(|(statuses, _)| statuses.end().saturating_sub(*statuses.start()));
        Self { own, errors }
    }

    /// What an answer with this status means.
    #[must_use]
    pub fn meaning(&self, status: StatusCode) -> Meaning {
        let mut rows = self.own.iter().chain(&DEFAULTS);
        let row = rows.find(|(statuses, _)| statuses.contains(&status.as_u16()));
        row.map_or(Meaning::Retry, |(_, meaning)| *meaning)
    }

    /// Whether a successful answer must be read before it is known to be one.
    #[must_use]
    pub fn judge_bodies(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The first error that the body of a successful answer shows; none if it shows none. `body` is none if there was
    /// more of it than is read.
    #[must_use]
    pub fn error_in(&self, body: Option<&[u8]>) -> Option<&BodyError> {
        let value = body.and_then(answer_body::json);
        self.errors.iter().find(|error| error.is_in(value.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(answers: &Answers, status: u16) -> Meaning {
        answers.meaning(StatusCode::from_u16(status).unwrap())
    }

    #[test]
    fn every_status_has_its_default_meaning() {
        use Meaning::{Conflict, Disable, Final, Pause, Retry, Success};
        let table: [(Meaning, &[u16]); 6] = [
            (Success, &[200, 201, 202, 204, 206, 207, 299]),
            (
                Retry,
                &[300, 301, 302, 304, 307, 308, 408, 421, 425, 429, 500, 501, 502, 503, 504, 599, 600, 999],
            ),
            (Pause, &[401, 403, 404, 407]),
            (Conflict, &[409]),
            (Disable, &[410]),
            (Final, &[400, 402, 405, 406, 411, 412, 413, 414, 415, 416, 417, 418, 422, 423, 424, 426]),
        ];
        for (expected, statuses) in table {
            for status in statuses {
                assert_eq!(meaning(&Answers::default(), *status), expected, "{status}");
            }
        }
    }

    #[test]
    fn an_error_is_found_behind_a_byte_order_mark() {
        let error =
            BodyError { pointer: "/error".to_owned(), values: None, missing: false, meaning: Meaning::Retry };
        let answers = Answers::new(Vec::new(), vec![error]);
        let says = |body: &str| answers.error_in(Some(body.as_bytes())).is_some();
        assert!(says("{\"error\":1}") && says("\u{feff}{\"error\":1}") && !says("\u{feff}{\"error\":0}"));
    }

    #[test]
    fn a_broker_says_otherwise_and_one_status_counts_more_than_its_class() {
        let own =
            vec![(500..=599, Meaning::Final), (503..=503, Meaning::Pause), (409..=409, Meaning::Success)];
        let answers = Answers::new(own, Vec::new());
        assert_eq!(
            [409, 500, 503, 404, 200].map(|status| meaning(&answers, status)),
            [Meaning::Success, Meaning::Final, Meaning::Pause, Meaning::Pause, Meaning::Success]
        );
    }
}
