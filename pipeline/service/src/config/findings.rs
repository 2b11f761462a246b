//! What is collected while a config is read: problems, the location of each key, and the known keys.

use std::{collections::BTreeMap, env, path::Path};

use super::{
    problem::{Problem, Refusal},
    units::Kind,
};

/// How an environment variable is looked up; tests give their own, because a process has only one environment.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Result<String, env::VarError>;

/// How much of a value a problem shows, in characters.
const SHOWN_MAX: usize = 60;

/// The location of a value.
#[derive(Clone, Debug)]
pub(super) struct KeyLocation {
    /// Its full key.
    pub(super) key: String,
    /// The id of the broker it belongs to.
    pub(super) broker: Option<String>,
    /// Its line, counted from 1; none if it is missing.
    pub(super) line: Option<usize>,
}

/// A known key, with what the documentation must say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownKey {
    /// The key without indexes: `brokers.url`.
    pub(super) path: String,
    /// The default; none if there is none.
    pub(super) default: Option<String>,
    /// The bounds, for a value that has some.
    pub(super) bounds: Option<String>,
}

/// How two values must relate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// The first is at most the second.
    AtMost,
    /// The first is less than the second.
    Below,
}

/// Everything found in one reading of a config.
pub(super) struct Findings<'d> {
    /// The directory relative paths start from.
    pub(super) base: &'d Path,
    /// The environment secrets may come from.
    pub(super) environment: Environment<'d>,
    /// The problems so far.
    pub(super) problems: Vec<Problem>,
    /// Warnings: no problems, but worth knowing.
    pub(super) warnings: Vec<Problem>,
    /// The known keys so far.
    pub(super) known: Vec<KnownKey>,
    given: BTreeMap<String, KeyLocation>,
    line_starts: Vec<usize>,
}

impl<'d> Findings<'d> {
    pub(super) fn new(text: &str, base: &'d Path, environment: Environment<'d>) -> Self {
        Self {
            base,
            environment,
            problems: Vec::new(),
            warnings: Vec::new(),
            known: Vec::new(),
            given: BTreeMap::new(),
            line_starts: line_starts(text),
        }
    }

    /// The line of a byte in the file, counted from 1.
    pub(super) fn line_of(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= byte)
    }

    /// Marks a key as present.
    pub(super) fn give(&mut self, location: &KeyLocation) {
        self.given.insert(location.key.clone(), location.clone());
    }

    /// Whether the file has the key.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Whether the key or a value within it has a problem.
    pub(super) fn has_problem(&self, key: &str) -> bool {
        let is_inside = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        self.problems.iter().any(|known| known.key.strip_prefix(key).is_some_and(is_inside))
    }

    /// Reports a problem.
    pub(super) fn report(&mut self, location: &KeyLocation, value: Option<String>, refusal: Refusal) {
        self.problems.push(problem(location, value, refusal));
    }

    /// Reports a warning, without the value.
    pub(super) fn warn(&mut self, location: &KeyLocation, refusal: Refusal) {
        self.warnings.push(problem(location, None, refusal));
    }

    /// Reports a problem of a key whose value is valid by itself.
    pub(super) fn refuse(&mut self, key: &str, value: &str, refusal: Refusal) {
        let location = self.given.get(key).cloned();
        let location = location.unwrap_or(KeyLocation { key: key.to_owned(), broker: None, line: None });
        self.report(&location, Some(value.to_owned()), refusal);
    }

    /// Checks a relation between two keys; `reason` says why it must hold.
    ///
    /// Skipped if one of them has a problem of its own, because its value is only a stand-in. The problem is reported
    /// at the key that is in the file, because a default is never wrong, and at a broker's own key before a general
    /// one.
    pub(super) fn ordered<T: PartialOrd>(
        &mut self,
        order: Order,
        (small_key, small): (&str, &T),
        (large_key, large): (&str, &T),
        kind: &Kind<T>,
        why: &str,
    ) {
        let holds = match order {
            Order::AtMost => small <= large,
            Order::Below => small < large,
        };
        if holds || self.problems.iter().any(|known| known.key == small_key || known.key == large_key) {
            return;
        }
        let (small_words, large_words) = match order {
            Order::AtMost => ("at most", "at least"),
            Order::Below => ("less than", "more than"),
        };
        let is_own = |key: &str| self.given.get(key).is_some_and(|location| location.broker.is_some());
        let (key, value, words, other_key, other) = if self.is_given(small_key) && !is_own(large_key) {
            (small_key, small, small_words, large_key, large)
        } else {
            (large_key, large, large_words, small_key, small)
        };
        let location = self.given.get(key).cloned().unwrap_or(KeyLocation {
            key: key.to_owned(),
            broker: None,
            line: None,
        });
        let note = if self.is_given(other_key) { "" } else { ", by default" };
        let problem = format!("must be {words} {other_key}, which is {}{note}: {why}", (kind.show)(other));
        self.report(
            &location,
            Some((kind.show)(value)),
            Refusal::new(problem, format!("change it or {other_key}")),
        );
    }
}

fn problem(location: &KeyLocation, value: Option<String>, refusal: Refusal) -> Problem {
    Problem {
        key: location.key.clone(),
        broker: location.broker.clone(),
        line: location.line,
        value,
        problem: refusal.problem,
        remedy: refusal.remedy,
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// A value as shown in a problem: its first line, shortened; nothing if it contains a signing key, or PEM.
pub(super) fn shown(raw: &str) -> Option<String> {
    let lower = raw.to_ascii_lowercase();
    if lower.contains("whsec_") || lower.contains("whsk_") || lower.contains("-----begin") {
        return None;
    }
    let line = raw.lines().next()?;
    match line.char_indices().nth(SHOWN_MAX) {
        Some((cut, _)) => Some(format!("{}…", &line[..cut])),
        None => Some(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signing_key_is_never_shown_and_a_long_value_is_cut() {
        assert_eq!(shown("\"WHSEC_abc\""), None);
        assert_eq!(shown("\"-----BEGIN PRIVATE KEY-----abc\""), None);
        assert_eq!(shown("5"), Some("5".to_owned()));
        assert_eq!(shown(&"é".repeat(61)), Some(format!("{}…", "é".repeat(60))));
    }

    #[test]
    fn a_byte_knows_its_line() {
        let starts = line_starts("a\nbc\n");
        let line = |byte: usize| starts.partition_point(|start| *start <= byte);
        assert_eq!((line(0), line(1), line(2), line(3), line(5)), (1, 1, 2, 2, 3));
    }
}
