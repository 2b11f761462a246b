//! Times as they are written into what the audit makes: RFC 3339 in UTC.

use jiff::Timestamp;
use serde::Serializer;
use state::UnixMillis;

/// A moment as RFC 3339 in UTC; one beyond the calendar is its last moment.
#[must_use]
pub fn rfc3339(at: UnixMillis) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.unwrap_or(Timestamp::MAX).to_string()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) fn one<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

pub(crate) fn perhaps<S: Serializer>(at: &Option<UnixMillis>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => one(at, serializer),
        None => serializer.serialize_none(),
    }
}
