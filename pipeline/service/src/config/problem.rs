//! A problem of a config: names the key, the value and the way out; never a secret.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// One problem of a config file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The key, such as `limits.grace` or `brokers[2].url` (counted from 0); `(file)` for the file as a whole.
    pub key: String,
    /// The broker's id, if the key is a broker's and its id could be read.
    pub broker: Option<String>,
    /// The line in the file, counted from 1; none for a key that is missing.
    pub line: Option<usize>,
    /// The value in the file, shortened; none if it is missing, long, or may be a secret.
    pub value: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(broker) = &self.broker {
            write!(f, " [{broker}]")?;
        }
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        write!(f, ": {}", self.problem)?;
        if let Some(value) = &self.value {
            write!(f, " ({value})")?;
        }
        write!(f, "; {}", self.remedy)
    }
}

/// All problems of a config file, in the order of its sections; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        let count = self.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{count} {noun} in {}", self.path.display())
    }
}

/// A problem of a value, without its location.
///
/// Typed faults (of a URL, of a secret) turn into this; their `Display` is the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is wrong.
    pub(super) problem: String,
    /// What to do about it.
    pub(super) remedy: String,
}

impl Refusal {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}
