//! What Loadline says in JSON at the end of a run, and of its dead letters.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// The end of `loadline --json run`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Summary {
    /// Records read.
    pub records: u64,
    /// Records settled.
    pub settled: u64,
    /// Deliveries that were taken.
    pub delivered: u64,
    /// Deliveries that were not needed.
    pub duplicates: u64,
    /// Records and deliveries given up.
    pub dead_letters: u64,
    /// Deliveries that wait on disk.
    pub spilled: u64,
    /// Deliveries that were on the wire when the run was stopped.
    pub abandoned: u64,
    /// Attempts that may have been repeats.
    pub possible_repeats: PossibleRepeats,
    /// Losses of the source.
    pub losses: u64,
    /// Commits, each with one flush.
    pub commits: u64,
}

/// Attempts that may have been repeats, by why Loadline cannot know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PossibleRepeats {
    /// An earlier run ended without notice.
    pub crash: u64,
    /// An attempt before it had no answer.
    pub no_answer: u64,
    /// An attempt before it was refused.
    #[serde(default)]
    pub refusal: u64,
}

/// One line of `loadline --json dead list`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Where the record began, in bytes for a file.
    pub offset: u64,
    /// The broker; none if the record never became an event.
    pub broker: Option<String>,
    /// Where its way ended.
    pub stage: String,
    /// The kind of reason.
    pub cause: String,
    /// The reason in words.
    pub detail: String,
    /// How many attempts were made.
    pub attempts: u64,
    /// The event's id, if it could be read.
    pub event_id: Option<String>,
    /// The record's length, in bytes.
    pub bytes: u64,
    /// The record, if it is text.
    body: Option<String>,
    /// The record, if it is not.
    body_base64: Option<String>,
}

impl DeadLetter {
    /// The record's own bytes, as far as they were kept.
    ///
    /// # Panics
    /// If the listing has none.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).expect("base64"),
            _ => panic!("a body, once: {self:?}"),
        }
    }
}
