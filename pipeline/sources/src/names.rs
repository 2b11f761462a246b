//! Recognises rotated files and the order in which they were written, by their names alone. Pure.
//!
//! With a count (`events.ndjson.2`), a higher one is older, as logrotate counts. Dates, with the numbers after them,
//! are in their own order, whatever separates them. A count and a date, or names without either, cannot be compared.

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
};

/// The longest count. A longer number is a date or a time.
const COUNT_DIGITS_MAX: usize = 5;

/// A name pattern of rotated files: the text before and after the variable part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The directory, absolute or relative like the log's path.
    pub(super) directory: PathBuf,
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    /// Whether the variable part must consist of digits and separators.
    numbers_only: bool,
}

/// A file's compression, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Plain,
    Gzip,
    Zstd,
    /// A compression that is not supported.
    Other,
}

/// When a rotated file was written, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// This many rotations ago.
    Count(u64),
    /// At this date, with the numbers after it.
    Date(String, Vec<u64>),
    /// Unknown.
    None,
}

impl Pattern {
    /// The default patterns: the names of logrotate with all its options.
    pub(super) fn defaults(directory: &Path, name: &[u8]) -> Vec<Self> {
        let pattern = |prefix: &[u8], suffix: &[u8]| Self {
            directory: directory.to_owned(),
            prefix: prefix.to_vec(),
            suffix: suffix.to_vec(),
            numbers_only: true,
        };
        let mut patterns = vec![pattern(name, b"")];
        if let Some(dot) = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0) {
            patterns.push(pattern(&name[..dot], &name[dot..]));
        }
        patterns
    }

    /// Parses a pattern of the config: a file name with one `*`, after a directory if it is not the log's own.
    pub(super) fn parse(directory: &Path, text: &str) -> Option<Self> {
        let (place, name) = text.rsplit_once('/').map_or((None, text), |(place, name)| (Some(place), name));
        let (prefix, suffix) = name.split_once('*')?;
        let directory = match place {
            Some("") => PathBuf::from("/"),
            Some(place) => directory.join(place),
            None => directory.to_owned(),
        };
        let single = !suffix.contains('*') && !place.is_some_and(|place| place.contains('*'));
        single.then(|| Self {
            directory,
            prefix: prefix.as_bytes().to_vec(),
            suffix: suffix.as_bytes().to_vec(),
            numbers_only: false,
        })
    }

    /// The rank of the file `name`, without its compressor's ending; none if it is no rotated file.
    pub(super) fn rank(&self, name: &[u8]) -> Option<Rank> {
        let rest = name.strip_prefix(&self.prefix[..])?;
        let changing = rest.strip_suffix(&self.suffix[..])?;
        if changing.is_empty() || (self.numbers_only && !is_numbers(changing)) {
            return None;
        }
        Some(Rank::of(changing))
    }
}

/// Whether `text` is digits and separators, beginning with a separator.
fn is_numbers(text: &[u8]) -> bool {
    const SEPARATORS: &[u8] = b".-_:+TZ";
    SEPARATORS[..3].contains(&text[0])
        && text.iter().all(|byte| byte.is_ascii_digit() || SEPARATORS.contains(byte))
        && text.iter().any(u8::is_ascii_digit)
}

impl Compression {
    /// The compression of `name`, and the name without its ending.
    pub(super) fn of(name: &[u8]) -> (Self, &[u8]) {
        const ENDINGS: [(&[u8], Compression); 9] = [
            (b".gz", Compression::Gzip),
            (b".zst", Compression::Zstd),
            (b".bz2", Compression::Other),
            (b".xz", Compression::Other),
            (b".lz4", Compression::Other),
            (b".lzma", Compression::Other),
            (b".zip", Compression::Other),
            (b".Z", Compression::Other),
            (b".br", Compression::Other),
        ];
        ENDINGS
            .iter()
            .find_map(|(ending, compression)| name.strip_suffix(*ending).map(|rest| (*compression, rest)))
            .unwrap_or((Self::Plain, name))
    }
}

impl Rank {
    fn of(text: &[u8]) -> Self {
        let runs: Vec<&str> = text
            .split(|byte| !byte.is_ascii_digit())
            .filter_map(|run| std::str::from_utf8(run).ok().filter(|run| !run.is_empty()))
            .collect();
        // Leading zeros are not part of a count: `.001`.
        match &runs[..] {
            [] => Self::None,
            [only] if only.len() <= COUNT_DIGITS_MAX && !is_year(only) => {
                only.parse().map_or(Self::None, Self::Count)
            }
            [year, month, day, rest @ ..] if is_year(year) && month.len() == 2 && day.len() == 2 => {
                Self::dated(format!("{year}{month}{day}"), rest)
            }
            [date, rest @ ..] if is_date(date) => Self::dated((*date).to_owned(), rest),
            _ => Self::None,
        }
    }

    fn dated(date: String, rest: &[&str]) -> Self {
        let rest: Result<Vec<u64>, _> = rest.iter().map(|run| run.parse()).collect();
        rest.map_or(Self::None, |rest| Self::Date(date, rest))
    }

    /// Which was written first: `Less` if `self` was. None if the names do not decide it.
    pub(super) fn written(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Count(one), Self::Count(two)) => Some(two.cmp(one)),
            // 20261130 comes before 2026113014: the same day, before its hours were told apart.
            (Self::Date(one, rest), Self::Date(two, others)) => {
                let comparable = one.len() == two.len() || (is_calendar(one) && is_calendar(two));
                comparable.then(|| one.cmp(two).then_with(|| rest.cmp(others)))
            }
            _ => None,
        }
    }
}

fn is_year(run: &str) -> bool {
    run.len() == 4 && ("1970".."2200").contains(&run)
}

/// A date from the year on, or seconds since 1970.
fn is_date(run: &str) -> bool {
    is_calendar(run) || (run.len() >= 9 && run.len() <= 19) || (run.len() == 6 && is_year(&run[..4]))
}

/// A date that begins with year, month and day.
fn is_calendar(run: &str) -> bool {
    run.len() >= 8
        && run.len() <= 17
        && is_year(&run[..4])
        && ("01".."13").contains(&&run[4..6])
        && ("01".."32").contains(&&run[6..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(name: &str) -> Option<Rank> {
        let patterns = Pattern::defaults(Path::new("/log"), b"events.ndjson");
        let (_, bare) = Compression::of(name.as_bytes());
        patterns.iter().find_map(|pattern| pattern.rank(bare))
    }

    #[test]
    fn the_names_of_each_way_to_rotate_are_known_and_in_order() {
        for names in [
            ["events.ndjson.10", "events.ndjson.2.gz", "events.ndjson.1"],
            ["events.10.ndjson.zst", "events.2.ndjson", "events.1.ndjson"],
            ["events.ndjson-20261129.gz", "events.ndjson-20261130", "events.ndjson-20261130-1"],
            ["events-20261130.ndjson", "events-20261130-2.ndjson", "events-20261130-10.ndjson"],
            ["events.ndjson.2026-11-30", "events.ndjson.2026-11-30T14:00:00Z", "events.ndjson-20261201"],
            ["events.ndjson-20261130", "events.ndjson-2026113009", "events.ndjson-20261201"],
            [
                "events.ndjson-20261130-1764489600",
                "events.ndjson-20261130-1764489601",
                "events.ndjson-20261201-5",
            ],
            ["events.ndjson-1764489600", "events.ndjson-1764489601", "events.ndjson-1764500000"],
        ] {
            let ranks = names.map(|name| rank(name).unwrap_or_else(|| panic!("{name}")));
            for (one, two) in [(0, 1), (1, 2), (0, 2)] {
                assert_eq!(ranks[one].written(&ranks[two]), Some(Ordering::Less), "{names:?}");
                assert_eq!(ranks[two].written(&ranks[one]), Some(Ordering::Greater), "{names:?}");
            }
        }
    }

    #[test]
    fn what_is_no_rotated_file_is_none_and_what_cannot_be_compared_is_not() {
        for name in [
            "events.ndjson",
            "events.ndjson.bak",
            "events.ndjson2",
            "event.ndjson.1",
            "events.old.ndjson",
            "x",
        ] {
            assert_eq!(rank(name), None, "{name}");
        }
        let [count, date, odd] = ["events.ndjson.7", "events.ndjson-20261130", "events.ndjson-30112026"]
            .map(|name| rank(name).unwrap());
        assert_eq!(odd, Rank::None, "no date that sorts");
        for (one, two) in [(&count, &date), (&date, &odd), (&odd, &odd)] {
            assert_eq!(one.written(two), None);
        }
    }

    #[test]
    fn a_pattern_of_the_config_has_one_star_and_may_name_a_directory() {
        let pattern = Pattern::parse(Path::new("/log"), "old/e-*.log").unwrap();
        assert_eq!(pattern.directory, Path::new("/log/old"));
        assert_eq!(pattern.rank(b"e-x12.log"), Some(Rank::Count(12)));
        assert_eq!(pattern.rank(b"e-.log"), None);
        assert_eq!(pattern.rank(b"e-last.log"), Some(Rank::None));
        assert_eq!(Pattern::parse(Path::new("/log"), "/var/*").unwrap().directory, Path::new("/var"));
        for wrong in ["plain", "a*b*", "d*/x*"] {
            assert_eq!(Pattern::parse(Path::new("/log"), wrong), None, "{wrong}");
        }
    }
}
