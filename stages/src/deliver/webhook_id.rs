//! Makes the `webhook-id` of an event: a text that is safe in a header and free of `.`.
//!
//! It depends on the event id alone, so it is the same in every attempt, run and replay, and different event ids
//! never share one. Standard Webhooks joins the signed parts with `.`, so an id with a `.` would be ambiguous.

use std::{borrow::Cow, fmt::Write};

/// Marks an escaped byte; escaped itself, so that different ids stay different.
const ESCAPE: char = '~';

/// The `webhook-id` for `event_id`. An id of `[A-Za-z0-9_-]` only is unchanged; each other byte of its UTF-8 becomes
/// `~` and two upper-case hex digits, so the result is at most three times as long.
#[must_use]
pub fn webhook_id(event_id: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if event_id.as_bytes().iter().all(is_plain) {
        return Cow::Borrowed(event_id);
    }
    let mut escaped = String::with_capacity(event_id.len() * 3);
    for byte in event_id.bytes() {
        if is_plain(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(escaped, "{ESCAPE}{byte:02X}").unwrap_or_default();
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// The way back, which exists if and only if the way there is injective.
    fn event_id(webhook_id: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = webhook_id;
        while let Some(at) = rest.find(ESCAPE) {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            bytes.push(u8::from_str_radix(&rest[at + 1..at + 3], 16).unwrap());
            rest = &rest[at + 3..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_plain_id_is_kept_and_not_copied() {
        assert!(matches!(webhook_id("evt_2026-01-15_Z9"), Cow::Borrowed("evt_2026-01-15_Z9")));
    }

    #[test]
    fn every_other_byte_is_escaped_the_escape_mark_too() {
        assert_eq!(webhook_id("a.b~c d/é\n"), "a~2Eb~7Ec~20d~2F~C3~A9~0A");
        assert_ne!(webhook_id("a.b"), webhook_id("a~2Eb"));
    }

    proptest! {
        #[test]
        fn the_event_id_can_be_read_back(id in any::<String>()) {
            prop_assert_eq!(event_id(&webhook_id(&id)), id);
        }

        #[test]
        fn it_is_safe_in_a_header_and_free_of_the_separator(id in any::<String>()) {
            let webhook_id = webhook_id(&id);
            prop_assert!(HeaderValue::from_str(&webhook_id).is_ok());
            prop_assert!(!webhook_id.contains(['.', ' ', ',']), "{}", webhook_id);
        }
    }
}
