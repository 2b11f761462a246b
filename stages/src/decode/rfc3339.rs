//! Parses an RFC 3339 time into milliseconds since the Unix epoch: the form that most events have, and nothing else.
//!
//! The form is checked here because jiff's own parser accepts more than RFC 3339 (see [`super::time`]), and takes
//! longer; jiff checks the calendar. Digits beyond the millisecond are dropped.

use jiff::{civil, tz::Offset};
use state::UnixMillis;

/// Why a text is not a usable time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTime {
    /// It does not have the form.
    #[error(
        "is no time in a form of ISO 8601, such as 2026-03-01T08:30:00Z, nor a number of seconds or milliseconds since 1970"
    )]
    Format,
    /// It has the form, but there is no such time.
    #[error("is not a moment in the calendar")]
    Calendar,
    /// It is before the Unix epoch.
    #[error("is before 1970")]
    Before1970,
}

/// Reads `date-time` of RFC 3339, section 5.6; second 60 counts as 59, as no leap second has a number of its own.
pub(super) fn unix_millis(text: &str) -> Result<UnixMillis, BadTime> {
    let (stamp, rest) = text.as_bytes().split_at_checked(19).ok_or(BadTime::Format)?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| stamp[at] != byte) || !matches!(stamp[10], b'T' | b't') {
        return Err(BadTime::Format);
    }
    let (millis, rest) = fraction(rest)?;
    let offset = offset_seconds(rest)?;

    let part = |from, to| i8::try_from(number(&stamp[from..to])?).map_err(|_| BadTime::Format);
    let year = i16::try_from(number(&stamp[..4])?).map_err(|_| BadTime::Format)?;
    let (month, day) = (part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let second = if second == 60 { 59 } else { second };

    let civil = civil::DateTime::new(year, month, day, hour, minute, second, millis * 1_000_000);
    let offset = Offset::from_seconds(offset).map_err(|_| BadTime::Calendar)?;
    let moment = civil.and_then(|civil| offset.to_timestamp(civil)).map_err(|_| BadTime::Calendar)?;
    UnixMillis::try_from(moment.as_millisecond()).map_err(|_| BadTime::Before1970)
}

/// The milliseconds of `.5…`, and what follows; none is zero.
fn fraction(rest: &[u8]) -> Result<(i32, &[u8]), BadTime> {
    let Some(digits) = rest.strip_prefix(b".") else { return Ok((0, rest)) };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return Err(BadTime::Format);
    }
    let digit = |at: usize| digits[..end].get(at).map_or(0, |byte| i32::from(byte - b'0'));
    Ok((100 * digit(0) + 10 * digit(1) + digit(2), &digits[end..]))
}

/// `Z`, or hours and minutes with a sign; `-00:00`, where the offset is unknown, still names a moment.
fn offset_seconds(text: &[u8]) -> Result<i32, BadTime> {
    match text {
        b"Z" | b"z" => Ok(0),
        [sign @ (b'+' | b'-'), hours_1, hours_2, b':', minutes_1, minutes_2] => {
            let hours = number(&[*hours_1, *hours_2])?;
            let minutes = number(&[*minutes_1, *minutes_2])?;
            if hours > 23 || minutes > 59 {
                return Err(BadTime::Calendar);
            }
            let seconds = hours * 3_600 + minutes * 60;
            Ok(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(BadTime::Format),
    }
}

/// At most four digits.
fn number(digits: &[u8]) -> Result<i32, BadTime> {
    digits.iter().try_fold(0, |sum, byte| match byte {
        b'0'..=b'9' => Ok(sum * 10 + i32::from(byte - b'0')),
        _ => Err(BadTime::Format),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rfcs_own_examples_are_read() {
        assert_eq!(unix_millis("1985-04-12T23:20:50.52Z"), Ok(482_196_050_520));
        assert_eq!(unix_millis("1996-12-19T16:39:57-08:00"), Ok(851_042_397_000));
        assert_eq!(unix_millis("1990-12-31T23:59:60Z"), unix_millis("1990-12-31T23:59:59Z"));
        assert_eq!(unix_millis("1990-12-31t15:59:60-08:00"), unix_millis("1990-12-31T23:59:59z"));
        assert_eq!(unix_millis("1970-01-01T00:00:00-00:00"), Ok(0));
    }

    #[test]
    fn digits_beyond_the_millisecond_are_dropped_however_many() {
        assert_eq!(unix_millis("1970-01-01T00:00:01.0019999999999999999Z"), Ok(1_001));
        assert_eq!(unix_millis("1970-01-01T00:00:01.5Z"), Ok(1_500));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "2026-03-01",
            "2026-03-01T08:30:00",
            "2026-03-01 08:30:00Z",
            "20260301T083000Z",
            "2026-03-01T08:30Z",
            "2026-03-01T08:30:00.Z",
            "2026-03-01T08:30:00,5Z",
            "2026-03-01T08:30:00+02",
            "2026-03-01T08:30:00+0200",
            "2026-03-01T08:30:00+2:00",
            "2026-03-01T08:30:00Z[Europe/Paris]",
            "2026-03-01T08:30:00Z ",
            " 2026-03-01T08:30:00Z",
            "+002026-03-01T08:30:00Z",
            "2026-03-01T08:30:0٣Z",
            "2026-03-01T-8:30:00Z",
            "1772353800",
        ] {
            assert_eq!(unix_millis(text), Err(BadTime::Format), "{text}");
        }
    }

    #[test]
    fn moments_that_do_not_exist_are_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T00:60:00Z",
            "2026-03-01T00:00:61Z",
            "2026-03-01T00:00:00+24:00",
            "9999-12-31T23:59:59-23:59",
        ] {
            assert_eq!(unix_millis(text), Err(BadTime::Calendar), "{text}");
        }
    }

    #[test]
    fn times_before_1970_are_refused() {
        for text in ["1969-12-31T23:59:59.9999Z", "1970-01-01T00:00:00+00:01", "0001-01-01T00:00:00Z"] {
            assert_eq!(unix_millis(text), Err(BadTime::Before1970), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_jiff_prints_is_read_as_jiff_means_it(
            second in 0_i64..253_000_000_000,
            nanosecond in 0_i32..1_000_000_000,
            minutes in -1_439_i32..1_440,
        ) {
            let moment = Timestamp::new(second, nanosecond).unwrap();
            let offset = Offset::from_seconds(minutes * 60).unwrap();
            for text in [moment.to_string(), moment.display_with_offset(offset).to_string()] {
                let expected = moment.as_millisecond() as u64;
                prop_assert_eq!(unix_millis(&text), Ok(expected), "{}", text);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[0-9TZ:.+-]{15,30}") {
            prop_assert!(unix_millis(&text).is_err() || text.len() >= 20);
        }
    }
}
