//! The codes of all reasons for which a dead letter is made, so that a code nobody gives can be told from one that no
//! letter has.

use state::{QUEUE_FULL, StageName};

use crate::UNREADABLE_BATCH;

/// Each code with the stage that gives it.
pub const CAUSES: [(StageName, &str); 29] = [
    (StageName::Decode, UNREADABLE_BATCH),
    (StageName::Decode, "too-large"),
    (StageName::Decode, "byte-order-mark"),
    (StageName::Decode, "not-utf8"),
    (StageName::Decode, "nul-byte"),
    (StageName::Decode, "too-deep"),
    (StageName::Decode, "not-json"),
    (StageName::Decode, "trailing-data"),
    (StageName::Decode, "unreadable-value"),
    (StageName::Decode, "not-an-object"),
    (StageName::Decode, "duplicate-key"),
    (StageName::Decode, "missing-field"),
    (StageName::Decode, "wrong-type"),
    (StageName::Decode, "bad-time"),
    (StageName::Decode, "unknown-specversion"),
    (StageName::Validate, "empty-id"),
    (StageName::Validate, "id-too-long"),
    (StageName::Validate, "control-character-in-id"),
    (StageName::Validate, "white-space-around-id"),
    (StageName::Validate, "unknown-status"),
    (StageName::Validate, "time-ahead"),
    (StageName::Validate, "time-too-old"),
    (StageName::Dedupe, "conflict"),
    (StageName::Deliver, "refused"),
    (StageName::Deliver, "attempts-exhausted"),
    (StageName::Deliver, "too-old"),
    (StageName::Deliver, QUEUE_FULL),
    (StageName::Deliver, "broker-disabled"),
    (StageName::Deliver, "address-refused"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The codes in a `match` of this source, of which some have names.
    fn given_in(source: &str) -> impl Iterator<Item = &str> {
        source.lines().filter_map(|line| {
            let code = line.trim().split_once("=> ")?.1.strip_suffix(',')?;
            match code.strip_prefix('"').and_then(|code| code.strip_suffix('"')) {
                Some(code) => Some(code),
                None if code == "QUEUE_FULL" => Some(QUEUE_FULL),
                None if code == "UNREADABLE_BATCH" => Some(UNREADABLE_BATCH),
                None if code.chars().all(|c| c.is_ascii_uppercase() || c == '_') => Some(code),
                None => None,
            }
        })
    }

    #[test]
    fn every_code_that_is_given_is_listed_and_no_other() {
        let sources = [
            include_str!("decode/problem.rs"),
            include_str!("validate.rs"),
            include_str!("models/verdict.rs"),
        ];
        let given: BTreeSet<&str> = sources.into_iter().flat_map(given_in).collect();
        let listed: BTreeSet<&str> = CAUSES.iter().map(|(_, code)| *code).collect();
        assert_eq!(given, listed);
        assert_eq!(listed.len(), CAUSES.len(), "each once");
    }
}
