//! One attempt's outcome: a receipt, or a failure that gives the delivery back so that it can be tried again.

use std::time::Duration;

use super::{Fresh, Receipt};

/// What came of posting one delivery once.
#[derive(Debug)]
pub enum Attempt {
    /// The receiver answered 2xx in time.
    Accepted(Receipt),
    /// It did not; `Fresh` comes back for the next attempt.
    Failed(Fresh, Failure),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub kind: FailureKind,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, in one lower-case phrase of at most 200 bytes.
    pub cause: String,
    /// How long the receiver asked to be left alone (`Retry-After`), not yet bounded.
    pub retry_after: Option<Duration>,
    /// Whether the receiver may have taken the event although the attempt failed.
    pub may_have_arrived: bool,
}

impl Failure {
    /// What came of the attempt, in the one word of metrics and traces; an attempt that did not fail is a `success`.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match (self.kind, self.status) {
            (FailureKind::Throttled, _) => "throttled",
            (FailureKind::Refused | FailureKind::Gone, _) => "refused",
            (FailureKind::AddressRefused, _) => "unsent",
            (FailureKind::Transient, None) => "no-answer",
            (FailureKind::Transient, Some(_)) => "failure",
        }
    }
}

/// What a failed attempt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// 408, 5xx, 3xx, a timeout or a broken connection: try again later; counts against the breaker.
    Transient,
    /// 429, or 503 with `Retry-After`: the receiver is alive and asks for a pause.
    Throttled,
    /// Another 4xx: this event will never be taken.
    Refused,
    /// 410: the endpoint is gone and asks for nothing more.
    Gone,
    /// The address is in a network the config does not allow.
    AddressRefused,
}
