//! The pause that an answer asks for, in whichever of the usual headers it does.
//!
//! `Retry-After` (RFC 9110), `retry-after-ms`, the `RateLimit` fields of the IETF's draft in its older and newer forms,
//! and their `X-` forerunners. The most precise one counts. What a rate limit says of its reset counts only where
//! nothing is left of the limit, or the status is 429: many receivers send these headers with every answer.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use state::UnixMillis;

use super::retry_after::retry_after;

/// The longest wait returned: as of [`retry_after`], so that adding it to any time cannot overflow.
const WAIT_MAX: Duration = Duration::from_secs(u32::MAX as u64);
/// From here on a number of seconds is a time since 1970 and no wait: 2001, or 31 years.
const EPOCH_MIN: f64 = 1e9;
/// The same for milliseconds.
const EPOCH_MILLIS_MIN: f64 = 1e12;

/// The fields that say how much is left of a limit, and when it begins anew.
const LIMITS: [(&str, &str); 3] = [
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
];

/// The pause that an answer with this status asks for at `now`; none if it asks for none.
pub(super) fn asked_pause(headers: &HeaderMap, status: StatusCode, now: UnixMillis) -> Option<Duration> {
    let millis = || text(headers, "retry-after-ms").and_then(number).map(|millis| seconds(millis / 1e3));
    let seconds = || headers.get(RETRY_AFTER).and_then(|value| retry_after(value, now));
    millis().or_else(seconds).or_else(|| reset(headers, status, now))
}

/// The time until a rate limit begins anew.
fn reset(headers: &HeaderMap, status: StatusCode, now: UnixMillis) -> Option<Duration> {
    let is_used_up =
        |left: Option<f64>| status == StatusCode::TOO_MANY_REQUESTS || left.is_none_or(|left| left <= 0.0);
    let structured = || {
        // `limit=100, remaining=0, reset=30`, or for each limit `"default";r=0;t=30`.
        let text = text(headers, "ratelimit")?;
        let limits: Vec<&str> = if text.contains(';') { text.split(',').collect() } else { vec![text] };
        let limits = limits.iter().filter_map(|limit| {
            Some((parameter(limit, &["r", "remaining"]), parameter(limit, &["t", "reset"])?))
        });
        let (used_up, left): (Vec<_>, Vec<_>) =
            limits.partition(|(left, _)| left.is_none_or(|left| left <= 0.0));
        // Of limits that are not used up, the status has to say that one of them is: the one that ends first.
        let longest = used_up.iter().map(|(_, reset)| wait(*reset, now)).max();
        let first = || left.iter().map(|(_, reset)| wait(*reset, now)).min();
        longest.or_else(|| first().filter(|_| status == StatusCode::TOO_MANY_REQUESTS))
    };
    let separate = |(remaining, reset): &(&str, &str)| {
        let left = text(headers, remaining).and_then(number);
        let value = headers.get(*reset).filter(|_| is_used_up(left))?;
        let as_number = || value.to_str().ok().and_then(number).map(|number| wait(number, now));
        as_number().or_else(|| retry_after(value, now))
    };
    structured().or_else(|| LIMITS.iter().find_map(separate))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

/// The first of these parameters of a structured field whose value is a number.
fn parameter(field: &str, names: &[&str]) -> Option<f64> {
    let parameters = field.split([';', ',']).filter_map(|part| part.split_once('='));
    let mut named = parameters.filter(|(name, _)| names.contains(&name.trim()));
    named.find_map(|(_, value)| number(value))
}

/// A number without a sign, with or without a fraction.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_number)
}

/// A wait in seconds, or until a time since 1970 in seconds or milliseconds.
fn wait(number: f64, now: UnixMillis) -> Duration {
    let now = now as f64 / 1e3;
    if number >= EPOCH_MILLIS_MIN {
        seconds(number / 1e3 - now)
    } else if number >= EPOCH_MIN {
        seconds(number - now)
    } else {
        seconds(number)
    }
}

fn seconds(seconds: f64) -> Duration {
    let wait = if seconds <= 0.0 {
        Duration::ZERO
    } else {
        Duration::try_from_secs_f64(seconds).unwrap_or(WAIT_MAX)
    };
    // Rounded up: a wait that ends too early is refused again.
    Duration::from_millis(wait.min(WAIT_MAX).as_micros().div_ceil(1_000) as u64)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-01T00:00:00Z.
    const NOW: UnixMillis = 1_767_225_600_000;

    fn asked(status: u16, headers: &[(&str, &str)]) -> Option<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let pause = asked_pause(&map, StatusCode::from_u16(status).unwrap(), NOW);
        pause.map(|pause| u64::try_from(pause.as_millis()).unwrap())
    }

    #[test]
    fn each_header_asks_for_a_pause() {
        type Headers<'h> = &'h [(&'h str, &'h str)];
        let table: [(Headers<'_>, Option<u64>); 18] = [
            (&[("Retry-After", "2")], Some(2_000)),
            (&[("Retry-After", "Thu, 01 Jan 2026 00:00:03 GMT")], Some(3_000)),
            (&[("Retry-After", "1.5")], None),
            (&[("retry-after-ms", "1500")], Some(1_500)),
            (&[("retry-after-ms", "250.5")], Some(251)),
            (&[("retry-after-ms", "-1")], None),
            (&[("retry-after-ms", "700"), ("Retry-After", "1")], Some(700)),
            (&[("RateLimit", "\"default\";r=0;t=30")], Some(30_000)),
            (&[("RateLimit", "limit=100, remaining=0, reset=7")], Some(7_000)),
            (&[("RateLimit", "\"default\"")], None),
            (&[("RateLimit-Reset", "4")], Some(4_000)),
            (&[("X-RateLimit-Reset", "5")], Some(5_000)),
            (&[("X-RateLimit-Reset", "1767225606")], Some(6_000)),
            (&[("X-RateLimit-Reset", "1767225600.25")], Some(250)),
            (&[("X-RateLimit-Reset", "1767225607000")], Some(7_000)),
            (&[("X-RateLimit-Reset", "1767225000")], Some(0)),
            (&[("X-Rate-Limit-Reset", "8")], Some(8_000)),
            (&[("Retry-After", "1"), ("X-RateLimit-Reset", "1767225700")], Some(1_000)),
        ];
        for (headers, expected) in table {
            assert_eq!(asked(429, headers), expected, "{headers:?}");
            assert_eq!(asked(500, headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn of_several_limits_the_one_that_is_used_up_says_how_long() {
        let two = [("RateLimit", "\"day\";r=900;t=40000, \"second\";r=0;t=1")];
        assert_eq!((asked(429, &two), asked(503, &two)), (Some(1_000), Some(1_000)));
        let both = [("RateLimit", "\"second\";r=0;t=1, \"day\";r=0;t=40")];
        assert_eq!(asked(503, &both), Some(40_000));
        let neither = [("RateLimit", "\"day\";r=900;t=40, \"second\";r=2;t=1")];
        assert_eq!((asked(429, &neither), asked(503, &neither)), (Some(1_000), None));
    }

    #[test]
    fn a_limit_that_is_not_used_up_says_nothing_unless_the_status_does() {
        let left = [
            [("RateLimit", "\"default\";r=5;t=30"), ("x-other", "")],
            [("X-RateLimit-Remaining", "4999"), ("X-RateLimit-Reset", "1767225630")],
        ];
        for headers in left {
            assert_eq!((asked(404, &headers), asked(500, &headers)), (None, None));
            assert_eq!(asked(429, &headers), Some(30_000));
        }
        assert_eq!(asked(503, &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "9")]), Some(9_000));
    }

    proptest! {
        #[test]
        fn no_value_breaks_it(value in "[ -~]{0,40}", digits in "[0-9]{0,30}(\\.[0-9]{0,9})?", now: u64) {
            for text in [value, digits] {
                for name in ["retry-after-ms", "retry-after", "ratelimit", "ratelimit-reset", "x-ratelimit-reset"] {
                    let mut headers = HeaderMap::new();
                    headers.insert(name, text.parse().unwrap());
                    if let Some(wait) = asked_pause(&headers, StatusCode::TOO_MANY_REQUESTS, now) {
                        prop_assert!(wait <= WAIT_MAX);
                        prop_assert!(tokio::time::Instant::now().checked_add(wait).is_some());
                    }
                }
            }
        }
    }
}
