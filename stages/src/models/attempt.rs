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
    /// Whether nothing of the request reached the receiver: the event has no part in it.
    #[must_use]
    pub fn is_unreached(&self) -> bool {
        self.kind == FailureKind::Transient && self.status.is_none() && !self.may_have_arrived
    }

    /// What came of the attempt, in the one word of metrics and traces; an attempt that did not fail is a `success`.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match (self.kind, self.status) {
            (FailureKind::Throttled, _) => "throttled",
            (
                FailureKind::Refused
                | FailureKind::EndpointRefused
                | FailureKind::Conflict
                | FailureKind::Gone,
                _,
            ) => "refused",
            (FailureKind::AddressRefused, _) => "unsent",
            (FailureKind::Transient, None) => "no-answer",
            (FailureKind::Transient, Some(_)) => "failure",
        }
    }
}

/// What a failed attempt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// 408, 425, 5xx, 3xx, a timeout or a broken connection: try again later; counts against the breaker.
    Transient,
    /// 429, or 503 with `Retry-After`: the receiver is alive and asks for a pause.
    Throttled,
    /// 401, 403, 404, 407: the endpoint refuses whatever comes, as during a deploy or with an expired token. Try again
    /// later; counts against the breaker and is no event's fault, unless others are taken meanwhile.
    EndpointRefused,
    /// 409: the receiver has the event if an earlier attempt may have arrived, and refuses it otherwise.
    Conflict,
    /// Another 4xx: this event will never be taken.
    Refused,
    /// 410: the endpoint is gone and asks for nothing more.
    Gone,
    /// The address is in a network the config does not allow.
    AddressRefused,
}
