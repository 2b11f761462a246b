//! What a receiver says of a request: taken, with what could be read from it, or turned away, with the reason.

use std::borrow::Cow;

use crate::BodyDigest;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use state::UnixMillis;

/// A request whose event was taken. What it borrows lives as long as the request.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// When it was taken.
    pub at: UnixMillis,
    /// The path it was posted to.
    pub path: &'a str,
    /// Its `webhook-id`; empty if it came without, at a receiver that allows that.
    pub webhook_id: &'a str,
    /// The body. A clone shares the bytes.
    pub body: &'a Bytes,
    /// The body's digest.
    pub digest: BodyDigest,
    /// Whether its sender says that it may have been taken before.
    pub may_repeat: bool,
    /// Whether the id (without one: the same bytes) had been taken before, on the same path.
    pub times: Times,
}

/// Whether a webhook id had been taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Times {
    /// Not as far as is remembered.
    First,
    /// Yes, with the same bytes.
    Repeat,
    /// Yes, with other bytes.
    Conflict,
}

/// What can be read from an event's body at a glance; empty where it cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Peek<'a> {
    /// The event's id.
    #[serde(borrow, default, rename = "eventId")]
    pub event_id: Cow<'a, str>,
    /// The load.
    #[serde(borrow, default, rename = "loadId")]
    pub load_id: Cow<'a, str>,
    /// The status as it stands there.
    #[serde(borrow, default)]
    pub status: Cow<'a, str>,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A header of the signature is missing.
    Unsigned,
    /// The timestamp is more than five minutes off.
    Stale,
    /// No secret gives the signature.
    WrongSignature,
    /// The method is not POST.
    NotPost,
    /// There is no `webhook-id` one can read.
    NoId,
    /// The `webhook-id` is longer than [`ID_BYTES_MAX`].
    IdTooLong,
    /// The body is larger than allowed.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// The body broke off.
    Cut,
    /// The behaviour's throttle rate, or its limit.
    Throttled,
    /// The behaviour's fail rate.
    Failed,
    /// The behaviour's own status.
    Answered(StatusCode),
    /// The receiver is down.
    Unanswered,
    /// The receiver refuses connections, and this one was still open.
    HungUp,
}

/// The longest `webhook-id` taken, in bytes: with it, remembering ids is bounded in bytes too.
pub const ID_BYTES_MAX: usize = 256;

impl Taken<'_> {
    /// What can be read from the body, if it is a flat JSON event.
    #[must_use]
    pub fn peek(&self) -> Peek<'_> {
        serde_json::from_slice(self.body).unwrap_or_default()
    }
}

impl Times {
    /// The name as it stands in listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Repeat => "repeat",
            Self::Conflict => "conflict",
        }
    }
}

impl Refusal {
    /// The answer's status; none if the caller gets no answer.
    #[must_use]
    pub fn status(self) -> Option<StatusCode> {
        match self {
            Self::Unsigned | Self::Stale | Self::WrongSignature => Some(StatusCode::UNAUTHORIZED),
            Self::NotPost => Some(StatusCode::METHOD_NOT_ALLOWED),
            Self::NoId | Self::IdTooLong | Self::Cut => Some(StatusCode::BAD_REQUEST),
            Self::TooLarge => Some(StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooSlow => Some(StatusCode::REQUEST_TIMEOUT),
            Self::Throttled => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::Failed => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Answered(status) => Some(status),
            Self::Unanswered | Self::HungUp => None,
        }
    }

    /// The reason in words, as it stands in the answer's body.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "not signed",
            Self::Stale => "timestamp more than five minutes off",
            Self::WrongSignature => "wrong signature",
            Self::NotPost => "not a POST",
            Self::NoId => "no webhook-id",
            Self::IdTooLong => "webhook-id too long",
            Self::TooLarge => "body too large",
            Self::TooSlow => "body too slow",
            Self::Cut => "body broke off",
            Self::Throttled => "throttled",
            Self::Failed => "failed on purpose",
            Self::Answered(_) => "answered as told",
            Self::Unanswered => "left unanswered",
            Self::HungUp => "hung up",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(body: &'static [u8]) -> (String, String, String) {
        let body = Bytes::from_static(body);
        let (digest, times) = (BodyDigest::of(&body), Times::First);
        let taken =
            Taken { at: 0, path: "/", webhook_id: "1", body: &body, digest, may_repeat: false, times };
        let peek = taken.peek();
        (peek.event_id.into_owned(), peek.load_id.into_owned(), peek.status.into_owned())
    }

    #[test]
    fn a_glance_reads_what_is_there_and_forgives_the_rest() {
        let whole = br#"{"eventId":"e\u0031","x":[1,{}],"loadId":"CHI-1","status":"delivered"}"#;
        assert_eq!(peek(whole), ("e1".into(), "CHI-1".into(), "delivered".into()));
        assert_eq!(peek(br#"{"loadId":"CHI-1"}"#), (String::new(), "CHI-1".into(), String::new()));
        assert_eq!(peek(b"not json"), Default::default());
    }
}
