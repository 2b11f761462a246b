//! Reads a time as producers write it: RFC 3339; any other date and time of ISO 8601, with or without an offset or a
//! zone's name; digits alone; or a number of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
//! its size. So are the forms of mail and HTTP (RFC 2822), and `/Date(…)/`.
//!
//! A time without an offset is in the schema's zone. Where its clocks are set back and the time comes twice, the first
//! is meant; where they are set forward and it is left out, it is as much later, as a calendar would have it.

use jiff::{
    civil,
    fmt::{
        rfc2822,
        temporal::{DateTimeParser, Pieces, PiecesOffset},
    },
    tz::{Offset, TimeZone},
};
use state::UnixMillis;

use super::{
    rfc3339::{BadTime, unix_millis},
    walk::Read,
    zone::Zone,
};

/// From here on a number counts milliseconds: as seconds it would be in the year 5138, as milliseconds 1973.
const MILLIS_FROM: u64 = 100_000_000_000;
/// From here on microseconds.
const MICROS_FROM: u64 = MILLIS_FROM * 1_000;
/// From here on nanoseconds.
const NANOS_FROM: u64 = MICROS_FROM * 1_000;

/// The longest text of a date and a time that can be one.
const LEN_MAX: usize = 64;

/// The moment of `text`.
pub(super) fn of_text(text: &str, zone: &Zone) -> Result<UnixMillis, BadTime> {
    match unix_millis(text) {
        Err(BadTime::Format) => {}
        // The end of a day, which RFC 3339 has not.
        Err(BadTime::Calendar) if text.get(11..13) == Some("24") => {
            return of_iso(text, zone).map_err(|_| BadTime::Calendar);
        }
        known => return known,
    }
    let text = text.trim();
    if text.is_empty() || text.len() > LEN_MAX {
        return Err(BadTime::Format);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return of_digits(text, zone);
    }
    // As .NET's older serializers write it: milliseconds, and perhaps an offset that says nothing of the moment.
    if let Some(inside) = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
        let millis = inside.split(['+', '-']).next().unwrap_or_default();
        return millis.parse().map_err(|_| BadTime::Format);
    }
    if let Some((seconds, fraction)) = text.split_once('.')
        && !seconds.is_empty()
        && [seconds, fraction].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return of_float(text.parse().map_err(|_| BadTime::Format)?);
    }
    of_iso(text, zone)
}

/// The moment of a number.
pub(super) fn of_number(read: &Read<'_>) -> Option<Result<UnixMillis, BadTime>> {
    match read {
        Read::Integer(number) => Some(Ok(of_integer(*number))),
        Read::Negative(_) => Some(Err(BadTime::Before1970)),
        Read::Float(number) => Some(of_float(*number)),
        _ => None,
    }
}

/// The moment of a date and perhaps a time of day.
pub(super) fn of_parts(date: &str, time: Option<&str>, zone: &Zone) -> Result<UnixMillis, BadTime> {
    let (date, time) = (date.trim(), time.map_or("", str::trim));
    if date.len() + time.len() > LEN_MAX {
        return Err(BadTime::Format);
    }
    if time.is_empty() {
        return of_text(date, zone);
    }
    // With hundredths of a second, as X12 may have them.
    let hundredths = time.len() == 8 && time.bytes().all(|byte| byte.is_ascii_digit());
    let time = if hundredths { &time[..6] } else { time };
    of_iso(&format!("{}T{time}", of_date(date)), zone)
}

/// A time of day that came as a number has lost its leading zeros.
pub(super) fn clock_digits(number: u64) -> String {
    if number < 10_000 { format!("{number:04}") } else { format!("{number:06}") }
}

fn of_integer(number: u64) -> UnixMillis {
    match number {
        ..MILLIS_FROM => number * 1_000,
        MILLIS_FROM..MICROS_FROM => number,
        MICROS_FROM..NANOS_FROM => number / 1_000,
        NANOS_FROM.. => number / 1_000_000,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within bounds that are checked")]
fn of_float(number: f64) -> Result<UnixMillis, BadTime> {
    if number < 0.0 {
        return Err(BadTime::Before1970);
    }
    // Numbers from here on have whole milliseconds at least, as far as a float can tell.
    if number < MILLIS_FROM as f64 {
        return Ok((number * 1_000.0).round() as u64);
    }
    if number >= u64::MAX as f64 {
        return Err(BadTime::Calendar);
    }
    Ok(of_integer(number as u64))
}

/// Digits alone: a date or a date and a time without separators where they have the length of one, else a number.
fn of_digits(digits: &str, zone: &Zone) -> Result<UnixMillis, BadTime> {
    match digits.len() {
        8 => of_iso(digits, zone),
        12 | 14 => of_iso(&format!("{}T{}", &digits[..8], &digits[8..]), zone),
        _ => digits.parse().map(of_integer).map_err(|_| BadTime::Calendar),
    }
}

/// A date as it is put before a time: a date and time cut to its date.
fn of_date(date: &str) -> &str {
    date.split_once(['T', 't', ' ']).map_or(date, |(date, _)| date)
}

fn of_iso(text: &str, zone: &Zone) -> Result<UnixMillis, BadTime> {
    let (plain, is_end_of_day) = plain(text);
    let moment = match DateTimeParser::new().parse_pieces(&plain) {
        Ok(pieces) => moment(&pieces, is_end_of_day, zone)?,
        // As mail and HTTP have it.
        Err(_) => {
            let mail = rfc2822::DateTimeParser::new().relaxed_weekday(true);
            mail.parse_timestamp(text).map_err(|_| not_read(&plain))?
        }
    };
    UnixMillis::try_from(moment.as_millisecond()).map_err(|_| BadTime::Before1970)
}

/// The text with what producers add to ISO 8601 or take from its older editions put as its readers know it; and whether
/// its time is 24:00, the end of its day, for which 00:00 stands then.
fn plain(text: &str) -> (String, bool) {
    // The minus sign that ISO 8601 prefers; UTC by its name; a space before an offset.
    let mut plain = text.replace('\u{2212}', "-");
    for utc in [" UTC", " GMT"] {
        if let Some(before) = plain.strip_suffix(utc) {
            plain = format!("{before}Z");
        }
    }
    for offset in ["+", "-", "Z"] {
        plain = plain.replace(&format!(" {offset}"), offset);
    }
    let Some(at) = plain.find(['T', 't', ' ']).map(|at| at + 1) else { return (plain, false) };
    let clock = plain[at..].split(['Z', 'z', '+', '-', '[']).next().unwrap_or_default();
    let is_end =
        clock.strip_prefix("24").is_some_and(|rest| rest.bytes().all(|byte| b"0:.,".contains(&byte)));
    if is_end {
        plain.replace_range(at..at + 2, "00");
    }
    (plain, is_end)
}

fn moment(pieces: &Pieces<'_>, is_end_of_day: bool, zone: &Zone) -> Result<jiff::Timestamp, BadTime> {
    let day = if is_end_of_day { pieces.date().tomorrow() } else { Ok(pieces.date()) };
    let day = day.map_err(|_| BadTime::Calendar)?;
    let civil = day.to_datetime(pieces.time().unwrap_or(civil::Time::midnight()));
    let offset = match pieces.offset() {
        Some(PiecesOffset::Numeric(numeric)) => Some(numeric.offset()),
        Some(_) => Some(Offset::UTC),
        None => None,
    };
    if let Some(offset) = offset {
        return offset.to_timestamp(civil).map_err(|_| BadTime::Calendar);
    }
    let named = pieces.to_time_zone().map_err(|_| BadTime::Format)?;
    let zone: &TimeZone = named.as_ref().unwrap_or(&zone.0);
    zone.to_ambiguous_zoned(civil).compatible().map(|zoned| zoned.timestamp()).map_err(|_| BadTime::Calendar)
}

/// Whether a text that cannot be read has the form of a time, but is not in the calendar.
fn not_read(text: &str) -> BadTime {
    let bytes = text.as_bytes();
    let dated = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-';
    let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
    if dated && digits(0..4) && digits(5..7) && digits(8..10) && !is_date(&text[..10]) {
        BadTime::Calendar
    } else {
        BadTime::Format
    }
}

fn is_date(text: &str) -> bool {
    text.parse::<civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-08-10T08:00:00Z.
    const EIGHT: u64 = 1_786_348_800_000;

    fn utc(text: &str) -> Result<UnixMillis, BadTime> {
        of_text(text, &Zone::default())
    }

    #[test]
    fn every_form_of_one_moment_is_that_moment() {
        for text in [
            "2026-08-10T08:00:00Z",
            "2026-08-10T08:00:00.000Z",
            "2026-08-10T10:00:00+02:00",
            "2026-08-10T10:00:00+0200",
            "2026-08-10T10:00:00+02",
            "2026-08-10T03:00:00-0500",
            "2026-08-10T03:00:00\u{2212}05:00",
            "2026-08-10T08:00:00+0000",
            "2026-08-10 08:00:00 +0000",
            "2026-08-10 03:00:00 -05:00",
            "2026-08-10 08:00:00 UTC",
            "2026-08-10T08:00:00.000 GMT",
            "2026-08-10T08:00:00 Z",
            "Mon, 10 Aug 2026 08:00:00 GMT",
            "10 Aug 2026 03:00:00 -0500",
            "/Date(1786348800000)/",
            "/Date(1786348800000-0500)/",
            "2026-08-10 08:00:00Z",
            "2026-08-10 08:00:00",
            "2026-08-10 08:00",
            "2026-08-10T08:00Z",
            "2026-08-10T08:00:00,000Z",
            "2026-08-10T08:00:00",
            "20260810T080000Z",
            "20260810T0800Z",
            "20260810T080000",
            "20260810080000",
            "202608100800",
            "2026-08-10T10:00:00+02:00[Europe/Paris]",
            "2026-08-10T10:00:00[Europe/Paris]",
            " 2026-08-10T08:00:00Z ",
            "1786348800",
            "1786348800.0",
            "1786348800000",
            "1786348800000000",
            "1786348800000000000",
        ] {
            assert_eq!(utc(text), Ok(EIGHT), "{text}");
        }
        for date in ["20260810", "2026-08-10"] {
            assert_eq!(utc(date), Ok(EIGHT - 8 * 3_600_000), "{date}");
        }
    }

    #[test]
    fn the_end_of_a_day_is_the_beginning_of_the_next() {
        let (end, chicago) = (EIGHT + 16 * 3_600_000, Zone::named("America/Chicago").unwrap());
        for text in
            ["2026-08-10T24:00:00Z", "2026-08-10 24:00", "20260810T2400Z", "2026-08-10T24:00:00.000+00:00"]
        {
            assert_eq!(utc(text), Ok(end), "{text}");
        }
        assert_eq!(of_parts("20260810", Some("2400"), &chicago), Ok(end + 5 * 3_600_000));
        for text in ["2026-08-10T24:01:00Z", "2026-08-10T25:00:00Z", "2026-08-10T24:00:30"] {
            assert!(utc(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_counts_what_its_size_says() {
        for (read, at) in [
            (Read::Integer(1_786_348_800), EIGHT),
            (Read::Integer(1_786_348_800_123), EIGHT + 123),
            (Read::Float(1_786_348_800.25), EIGHT + 250),
            (Read::Float(1_786_348_800_123.0), EIGHT + 123),
            (Read::Integer(0), 0),
        ] {
            assert_eq!(of_number(&read), Some(Ok(at)), "{read:?}");
        }
        assert_eq!(of_number(&Read::Negative(-1)), Some(Err(BadTime::Before1970)));
        assert_eq!(of_number(&Read::Float(-0.5)), Some(Err(BadTime::Before1970)));
        assert_eq!(of_number(&Read::Float(1e300)), Some(Err(BadTime::Calendar)));
        assert_eq!(of_number(&Read::Missing), None);
    }

    #[test]
    fn a_time_without_an_offset_is_in_the_zone_also_where_clocks_are_set() {
        let chicago = Zone::named("America/Chicago").unwrap();
        for (text, same) in [
            ("2026-08-10T03:00:00", "2026-08-10T08:00:00Z"),
            ("2026-08-10T03:00:00Z", "2026-08-10T03:00:00Z"),
            ("2026-01-10 03:00", "2026-01-10T09:00:00Z"),
            ("20260810", "2026-08-10T05:00:00Z"),
            // Comes twice: the first. Is left out: an hour later.
            ("2026-11-01T01:30:00", "2026-11-01T06:30:00Z"),
            ("2026-03-08T02:30:00", "2026-03-08T08:30:00Z"),
        ] {
            assert_eq!(of_text(text, &chicago), utc(same), "{text}");
        }
    }

    #[test]
    fn a_date_and_a_time_of_day_are_one_moment() {
        let chicago = Zone::named("America/Chicago").unwrap();
        let parts = |date, time| of_parts(date, time, &chicago);
        for (date, time) in [
            ("20260810", "0300"),
            ("20260810", "030000"),
            ("20260810", "03000099"),
            ("2026-08-10", "03:00"),
            ("2026-08-10", "03:00:00"),
            ("2026-08-10", "0300"),
            ("2026-08-10", "08:00Z"),
            ("2026-08-10T00:00:00", "03:00"),
            ("20260810", "03:00-05:00"),
        ] {
            assert_eq!(parts(date, Some(time)), Ok(EIGHT), "{date} {time}");
        }
        for none in [None, Some(""), Some(" ")] {
            assert_eq!(parts("20260810", none), Ok(EIGHT - 3 * 3_600_000));
        }
        assert_eq!(
            (clock_digits(900), clock_digits(0), clock_digits(93_000)),
            ("0900".into(), "0000".into(), "093000".into())
        );
        assert!(parts("20260810", Some("2500")).is_err() && parts("", Some("03:00")).is_err());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", " ", "today", "08/10/2026", "2026-08", "10:00", "1.2.3", "Z"] {
            assert_eq!(utc(text), Err(BadTime::Format), "{text}");
        }
        for text in ["2026-02-30 08:00", "2026-08-10T08:00:00+25:00"] {
            assert_eq!(utc(text), Err(BadTime::Calendar), "{text}");
        }
        assert_eq!(utc("1969-12-31 23:59"), Err(BadTime::Before1970));
        assert_eq!(utc(&"9".repeat(40)), Err(BadTime::Calendar));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}|[0-9TZ:.,+ -]{1,40}", time in "[0-9:Z+ -]{0,12}") {
            let zone = Zone::named("Europe/London").unwrap();
            let _either = (of_text(&text, &zone), of_parts(&text, Some(&time), &zone));
        }
    }
}
