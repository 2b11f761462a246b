//! Timestamps in JSON and on a terminal: RFC 3339, in UTC, to the millisecond.

use crate::UnixMillis;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// `at` in RFC 3339; times after the calendar's end become its end.
#[must_use]
pub fn text(at: UnixMillis) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.unwrap_or(Timestamp::MAX).to_string()
}

/// The time in `text`; none if it is no RFC 3339 time or before 1970.
#[must_use]
pub fn read(text: &str) -> Option<UnixMillis> {
    u64::try_from(text.parse::<Timestamp>().ok()?.as_millisecond()).ok()
}

/// For `#[serde(with)]`.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*at))
}

/// For `#[serde(with)]`.
///
/// # Errors
/// The text is no RFC 3339 time of 1970 or later.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
    let found = String::deserialize(deserializer)?;
    read(&found).ok_or_else(|| Error::custom(format!("{found:?} is no RFC 3339 time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_read_as_it_was_written_to_the_millisecond() {
        for at in [0, 1, 86_400_000, 1_772_353_800_123, 253_402_207_200_000] {
            assert_eq!(read(&text(at)), Some(at));
        }
        assert_eq!(read(&text(u64::MAX)), read("9999-12-30T22:00:00.999Z"));
        assert_eq!(read("2026-03-01T09:30:00+01:00"), Some(1_772_353_800_000));
        for wrong in ["", "yesterday", "1969-12-31T23:59:59Z", "2026-03-01"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
