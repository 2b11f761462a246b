//! Numbers as people read them: never longer than eleven characters, never `NaN` or `inf`.

use bytesize::ByteSize;

/// From here on a count is rounded to three digits and a prefix.
const EXACT_BELOW: u64 = 10_000_000;
/// The same where there is little room.
const SHORT_BELOW: u64 = 100_000;
/// What stands for a number that is none.
pub(crate) const NONE: &str = "–";

/// A count: `12,031`, and from ten million on `12.3 M`.
pub(crate) fn count(count: u64) -> String {
    if count < EXACT_BELOW { grouped(count) } else { prefixed(count) }
}

/// A round count where there is little room: `12,000`, `1.5 M`.
pub(super) fn short(count: u64) -> String {
    if count < SHORT_BELOW { grouped(count) } else { prefixed(count).replace(".0 ", " ") }
}

fn prefixed(count: u64) -> String {
    let mut rest = count as f64;
    let mut prefix = "";
    for next in ["k", "M", "G", "T", "P", "E"] {
        // what would be shown as 1000.0 of one is 1.0 of the next
        if rest < 999.95 {
            break;
        }
        rest /= 1000.0;
        prefix = next;
    }
    format!("{rest:.1} {prefix}")
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time given in milliseconds: `3.4 ms`, `412 ms`, `41.2 s`, `2 min 5 s`, `3 h 5 min`.
pub(crate) fn duration(ms: f64) -> String {
    if !ms.is_finite() {
        return NONE.to_owned();
    }
    let ms = ms.max(0.0);
    let seconds = (ms / 1000.0).round() as u64;
    let minutes = (ms / 60_000.0).round() as u64;
    match ms {
        _ if ms == 0.0 => "0 ms".to_owned(),
        _ if ms < 9.95 => format!("{ms:.1} ms"),
        _ if ms < 999.5 => format!("{ms:.0} ms"),
        _ if ms < 59_950.0 => format!("{:.1} s", ms / 1000.0),
        _ if seconds < 3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ if minutes < 6000 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} h", count(minutes / 60)),
    }
}

/// A size in memory: `41.2 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// How many times `below` goes into `above`: `1.2x`; a dash if it cannot be said.
pub(super) fn ratio(above: f64, below: f64) -> String {
    let ratio = above / below;
    if ratio.is_finite() && ratio < 1e6 { format!("{ratio:.1}x") } else { NONE.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_while_they_can_be_read() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (9_999_999, "9,999,999"),
            (12_345_678, "12.3 M"),
            (999_960_000, "1.0 G"),
            (u64::MAX, "18.4 E"),
        ];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
        assert_eq!([99_999, 150_000, 2_500_000].map(short), ["99,999", "150 k", "2.5 M"]);
    }

    #[test]
    fn durations_carry_into_the_next_unit() {
        let cases = [
            (0.0, "0 ms"),
            (3.44, "3.4 ms"),
            (9.96, "10 ms"),
            (999.6, "1.0 s"),
            (41_210.0, "41.2 s"),
            (59_960.0, "1 min 0 s"),
            (125_000.0, "2 min 5 s"),
            (3_599_700.0, "1 h 0 min"),
            (11_100_000.0, "3 h 5 min"),
            (3.6e11, "100,000 h"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text, "{ms}");
        }
    }

    #[test]
    fn a_ratio_to_nothing_is_not_said() {
        assert_eq!(ratio(18.0, 15.0), "1.2x");
        assert_eq!(ratio(18.0, 0.0), NONE);
        assert_eq!(ratio(0.0, 0.0), NONE);
    }
}
