//! Failures of attempts for which there was no access token, and of those whose access token was refused.

use std::time::Duration;

use http::StatusCode;

use super::{failure::transient, oauth2::NoToken};
use crate::models::{Failure, FailureKind};

/// There is no access token: the broker is in trouble, the event is not.
pub(super) fn no_token(why: &NoToken) -> Failure {
    Failure { kind: FailureKind::EndpointRefused, ..transient(&why.to_string(), None, false) }
}

/// The access token is used up: the event is tried again with another, after the shortest pause.
pub(super) fn token_spent() -> Failure {
    let cause = "401 unauthorized: the access token is replaced";
    let failure = transient(cause, Some(StatusCode::UNAUTHORIZED), true);
    Failure { kind: FailureKind::Throttled, retry_after: Some(Duration::ZERO), ..failure }
}
