//! What is gathered while a config is read: the problems, where each key stands, and which keys there are at all.

use std::{collections::BTreeMap, env, path::Path};

use super::{
    problem::{Problem, Refusal},
    units::Kind,
};

/// How an environment variable is looked up; tests give their own, because a process has only one environment.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Result<String, env::VarError>;

/// How much of a value a problem shows, in characters.
const SHOWN_MAX: usize = 60;

/// Where a value stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its full key.
    pub(super) key: String,
    /// The id of the broker it belongs to.
    pub(super) broker: Option<String>,
    /// Its line, counted from 1; none if it is missing.
    pub(super) line: Option<usize>,
}

/// A key the reader has asked for, with what the documentation has to say of it.
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
    /// What is no problem and should be known.
    pub(super) warnings: Vec<Problem>,
    /// The keys asked for so far.
    pub(super) known: Vec<KnownKey>,
    given: BTreeMap<String, Place>,
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

    /// Notes that a key is there.
    pub(super) fn give(&mut self, place: &Place) {
        self.given.insert(place.key.clone(), place.clone());
    }

    /// Whether the file has the key.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Whether something is wrong with the key or with what stands in it.
    pub(super) fn has_problem(&self, key: &str) -> bool {
        let is_inside = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        self.problems.iter().any(|known| known.key.strip_prefix(key).is_some_and(is_inside))
    }

    /// Notes a problem.
    pub(super) fn report(&mut self, place: &Place, value: Option<String>, refusal: Refusal) {
        self.problems.push(problem(place, value, refusal));
    }

    /// Notes what is no problem and should be known; a value is not shown.
    pub(super) fn warn(&mut self, place: &Place, refusal: Refusal) {
        self.warnings.push(problem(place, None, refusal));
    }

    /// Notes a problem of a key whose value is fine by itself.
    pub(super) fn refuse(&mut self, key: &str, value: &str, refusal: Refusal) {
        let place = self.given.get(key).cloned();
        let place = place.unwrap_or(Place { key: key.to_owned(), broker: None, line: None });
        self.report(&place, Some(value.to_owned()), refusal);
    }

    /// Checks a relation between two keys, and says why it has to hold.
    ///
    /// Says nothing if one of them has a problem of its own: its value stands in for the real one. The problem goes
    /// to the key that is in the file, for a default is never at fault, and to a broker's own before one for all.
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
        let is_own = |key: &str| self.given.get(key).is_some_and(|place| place.broker.is_some());
        let (key, value, words, other_key, other) = if self.is_given(small_key) && !is_own(large_key) {
            (small_key, small, small_words, large_key, large)
        } else {
            (large_key, large, large_words, small_key, small)
        };
        let place =
            self.given.get(key).cloned().unwrap_or(Place { key: key.to_owned(), broker: None, line: None });
        let note = if self.is_given(other_key) { "" } else { ", by default" };
        let problem = format!("must be {words} {other_key}, which is {}{note}: {why}", (kind.show)(other));
        self.report(
            &place,
            Some((kind.show)(value)),
            Refusal::new(problem, format!("change it or {other_key}")),
        );
    }
}

fn problem(place: &Place, value: Option<String>, refusal: Refusal) -> Problem {
    Problem {
        key: place.key.clone(),
        broker: place.broker.clone(),
        line: place.line,
        value,
        problem: refusal.problem,
        remedy: refusal.remedy,
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// A value as a problem may show it: its first line, shortened; nothing of it if there is a signing key in it, or a key or certificate in PEM.
pub(super) fn shown(raw: &str) -> Option<String> {
    let lower = raw.to_ascii_lowercase();
    if lower.contains("whsec_") || lower.contains("-----begin") {
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
