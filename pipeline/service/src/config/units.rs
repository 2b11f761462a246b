//! Parses and prints values with bounds: counts, numbers, durations and sizes.

use std::{fmt::Display, time::Duration};

use bytesize::ByteSize;
use toml::de::DeValue;

/// One kind of value: what it is called, how it is read, how it is shown.
pub(super) struct Kind<T> {
    /// The kind in words, with an example.
    pub(super) name: &'static str,
    /// Reads it; none if the TOML value is of another kind.
    pub(super) parse: fn(&DeValue<'_>) -> Option<T>,
    /// Shows it as it could stand in the file.
    pub(super) show: fn(&T) -> String,
}

/// A whole number.
pub(super) const fn count<N: TryFrom<i64> + Display>() -> Kind<N> {
    Kind {
        name: "a whole number",
        parse: |value| N::try_from(integer(value)?).ok(),
        show: |count| count.to_string(),
    }
}

/// A number, with or without a fraction.
pub(super) const NUMBER: Kind<f64> = Kind {
    name: "a number",
    parse: |value| match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        // Numbers this small are exact in an f64; the bounds refuse the rest.
        other => integer(other).map(|whole| whole as f64),
    },
    show: |number| number.to_string(),
};

/// A duration in humantime's notation: a number and a unit, or several (`1h 30m`).
pub(super) const DURATION: Kind<Duration> = Kind {
    name: "a duration such as \"5s\" or \"250ms\"",
    parse: |value| humantime::parse_duration(value.as_str()?).ok(),
    show: |duration| show_duration(*duration),
};

/// A size in bytes: `"64KiB"`, or a bare whole number.
pub(super) const fn size<N: TryFrom<u64> + TryInto<u64> + Copy>() -> Kind<N> {
    Kind {
        name: "a size such as \"64KiB\"",
        parse: |value| {
            let bytes = match value.as_str() {
                Some(text) => text.parse().ok().map(|ByteSize(bytes)| bytes)?,
                None => u64::try_from(integer(value)?).ok()?,
            };
            N::try_from(bytes).ok()
        },
        show: |bytes| show_size((*bytes).try_into().unwrap_or(u64::MAX)),
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The duration in the largest unit that divides it: `7d`, `90m`, `250ms`.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)) != duration {
        return humantime::format_duration(duration).to_string();
    }
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.into_iter().find(|(_, unit)| millis.is_multiple_of(*unit)) {
        Some(_) if millis == 0 => "0s".to_owned(),
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

/// The size in the largest binary unit that divides it: `4GiB`, `256B`.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1u64 << 10)];
    match units.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed<T>(kind: &Kind<T>, toml: &str) -> Option<T> {
        (kind.parse)(DeValue::parse(toml).unwrap().get_ref())
    }

    #[test]
    fn a_size_is_text_with_a_unit_or_bare_bytes() {
        assert_eq!(parsed(&size::<u64>(), "\"64KiB\""), Some(65_536));
        assert_eq!(parsed(&size::<u64>(), "1_000"), Some(1_000));
        assert_eq!(parsed(&size::<u64>(), "-1"), None);
        assert_eq!(parsed(&size::<u64>(), "\"a lot\""), None);
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(parsed(&DURATION, "\"1h 30m\""), Some(Duration::from_secs(5_400)));
        assert_eq!(parsed(&DURATION, "5"), None);
        assert_eq!(parsed(&DURATION, "\"5\""), None);
    }

    #[test]
    fn a_number_may_be_whole_and_a_count_may_not_have_a_fraction() {
        assert_eq!(parsed(&NUMBER, "50"), Some(50.0));
        assert_eq!(parsed(&count::<u32>(), "0x10"), Some(16));
        assert_eq!(parsed(&count::<u32>(), "1.5"), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(millis in 0u64..10_000_000_000, bytes in 0u64..1 << 50) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parsed(&DURATION, &format!("{:?}", show_duration(duration))), Some(duration));
            prop_assert_eq!(parsed(&size::<u64>(), &format!("{:?}", show_size(bytes))), Some(bytes));
        }
    }
}
