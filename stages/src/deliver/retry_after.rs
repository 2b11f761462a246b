//! Parses `Retry-After` (RFC 9110, section 10.2.3).
//!
//! A time in the past means no wait, an unreadable value counts as absent. The wait is not bounded here, except that
//! adding it to any time cannot overflow.

use std::time::Duration;

use http::HeaderValue;
use jiff::{civil::DateTime, tz::TimeZone};
use state::UnixMillis;

/// The longest wait returned, in seconds (136 years); larger numbers become this.
const WAIT_MAX_SECS: u32 = u32::MAX;

/// The three forms of an HTTP date that a recipient must accept (RFC 9110, section 5.6.7): IMF-fixdate, then the two
/// obsolete ones of RFC 850 and `asctime`. All are in GMT.
const DATE_FORMS: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// How long to wait from `now`: seconds, or until an HTTP date. None if `value` is neither.
#[must_use]
pub fn retry_after(value: &HeaderValue, now: UnixMillis) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // All digits, so it can fail only by being too large.
        let seconds = text.parse::<u32>().unwrap_or(WAIT_MAX_SECS);
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let date = DATE_FORMS.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
    // "Fri, 31 Dec 9999 23:59:59 GMT", used for "never", is too late for a timestamp.
    let at = date.to_zoned(TimeZone::UTC).map_or(i64::MAX, |at| at.timestamp().as_millisecond());
    let wait = u64::try_from(at).unwrap_or(0).saturating_sub(now);
    Some(Duration::from_millis(wait).min(Duration::from_secs(u64::from(WAIT_MAX_SECS))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    const THEN: UnixMillis = 784_111_777_000;

    fn wait(value: &str, now: UnixMillis) -> Option<Duration> {
        retry_after(&HeaderValue::from_str(value).unwrap(), now)
    }

    #[test]
    fn seconds_are_seconds() {
        assert_eq!(wait("0", THEN), Some(Duration::ZERO));
        assert_eq!(wait(" 120 ", THEN), Some(Duration::from_secs(120)));
        assert_eq!(wait("99999999999999999999999999", THEN), Some(Duration::from_secs(u64::from(u32::MAX))));
    }

    #[test]
    fn every_form_of_a_date_counts_from_now() {
        let forms =
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];
        for form in forms {
            assert_eq!(wait(form, THEN - 1_500), Some(Duration::from_millis(1_500)), "{form}");
            assert_eq!(wait(form, THEN + 1), Some(Duration::ZERO), "{form}");
        }
    }

    #[test]
    fn a_date_before_the_epoch_has_passed_and_a_far_one_is_cut() {
        assert_eq!(wait("Wed, 31 Dec 1969 23:59:59 GMT", 0), Some(Duration::ZERO));
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT", 0), Some(Duration::from_secs(u64::from(u32::MAX))));
    }

    #[test]
    fn anything_else_is_absent() {
        for value in ["", "-1", "+1", "1.5", "soon", "2026-01-15T00:00:00Z", "Sun, 06 Nov 1994 08:49:37 CET"]
        {
            assert_eq!(wait(value, THEN), None, "{value}");
        }
        assert_eq!(retry_after(&HeaderValue::from_bytes(b"\xff").unwrap(), THEN), None);
    }

    proptest! {
        #[test]
        fn no_value_breaks_it(value in prop::collection::vec(32_u8..=255, 0..40), now: u64) {
            prop_assume!(!value.contains(&127));
            if let Some(wait) = retry_after(&HeaderValue::from_bytes(&value).unwrap(), now) {
                prop_assert!(tokio::time::Instant::now().checked_add(wait).is_some());
            }
        }
    }
}
