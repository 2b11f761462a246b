//! Why an attempt failed, and how it is to be handled.

use std::time::Duration;

use state::answer::excerpt;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it is to be handled.
    pub kind: FailureKind,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, in one phrase of at most 200 bytes; in lower case, but for names of fields.
    pub cause: String,
    /// The pause the receiver asked for (`Retry-After` and its like), not yet bounded.
    pub retry_after: Option<Duration>,
    /// Whether the receiver may have taken the event although the attempt failed.
    pub may_have_arrived: bool,
    /// What a refusing answer said, as [`state::answer::excerpt`] makes it; none without an answer that refuses.
    pub answer: Option<String>,
}

impl Failure {
    /// This failure with the beginning of the answer's body.
    pub(crate) fn answered(self, body: &[u8]) -> Self {
        Self { answer: Some(excerpt(body)), ..self }
    }

    /// Whether nothing of the request reached the receiver, so that the event cannot be the cause.
    #[must_use]
    pub fn is_unreached(&self) -> bool {
        let unreached = self.status.is_none() && !self.may_have_arrived;
        let kinds = matches!(
            self.kind,
            FailureKind::Transient | FailureKind::Unprocessed | FailureKind::EndpointRefused
        );
        unreached && kinds
    }

    /// The attempt's outcome as a word in metrics and traces; an attempt that did not fail is a `success`.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match (self.kind, self.status) {
            (FailureKind::Throttled, _) => "throttled",
            // No access token, or no way through the proxy.
            (FailureKind::EndpointRefused, None) => "no-answer",
            (
                FailureKind::Refused
                | FailureKind::RefusedTogether
                | FailureKind::EndpointRefused
                | FailureKind::Conflict
                | FailureKind::Gone,
                _,
            ) => "refused",
            (FailureKind::AddressRefused | FailureKind::Unsendable, _) => "unsent",
            (FailureKind::Transient | FailureKind::Unprocessed, None) => "no-answer",
            (FailureKind::Transient | FailureKind::Unprocessed, Some(_)) => "failure",
        }
    }
}

/// How a failed attempt is to be handled. The statuses are those of a broker without rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// 408, 421, 425, 5xx, 3xx, a timeout or a broken connection: try again later; counts against the breaker.
    Transient,
    /// The receiver says that it has not looked at the request: try again at once, and after a second time as if it had
    /// not been reached.
    Unprocessed,
    /// 429, or 503 with `Retry-After`: the receiver is alive and asks for a pause.
    Throttled,
    /// 401, 403, 404, 407: the endpoint refuses everything, as during a deploy or with an expired token; or there is no
    /// access token, or no way through the proxy. Try again later; counts against the breaker and not against the event,
    /// unless the event was sent, and others are taken meanwhile.
    EndpointRefused,
    /// 409: the receiver has the event if an earlier attempt may have arrived, and refuses it otherwise.
    Conflict,
    /// Another 4xx: this event will never be taken. Or an answer that cannot be read, because it has too many headers.
    Refused,
    /// A post of several events was refused so: each of them is tried again at once, alone.
    RefusedTogether,
    /// 410: the endpoint is gone.
    Gone,
    /// The address is in a network the config does not allow.
    AddressRefused,
    /// The event cannot be put into the request that its broker asks for, now or ever.
    Unsendable,
}
