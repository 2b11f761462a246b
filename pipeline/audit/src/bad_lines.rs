//! Lines that could not be read: all are counted, the first of them kept.

use serde::Serialize;

/// How many bad lines are kept.
pub const BAD_LINES_KEPT: usize = 1_000;
/// How many characters of a bad line are kept.
const TEXT_MAX: usize = 1_024;

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// The log.
    pub file: String,
    /// The number of the line, from 1.
    pub line: u64,
    /// Why it could not be read.
    pub why: String,
    /// Its beginning.
    pub text: String,
}

/// The first bad lines.
#[derive(Debug, Default)]
pub(crate) struct BadLines {
    pub(crate) first: Vec<BadLine>,
}

impl BadLines {
    pub(crate) fn add(&mut self, file: &str, line: u64, why: String, bytes: &[u8]) {
        if self.first.len() < BAD_LINES_KEPT {
            let bytes = &bytes[..bytes.len().min(TEXT_MAX * 4)];
            let text = String::from_utf8_lossy(bytes).chars().take(TEXT_MAX).collect();
            self.first.push(BadLine { file: file.to_owned(), line, why, text });
        }
    }
}
