//! The codes of all causes of dead letters, so that an unknown code in a selection is recognised as such.

use state::{QUEUE_FULL, StageName};

/// Each code with the stage that gives it.
pub const DEAD_LETTER_CAUSES: [(StageName, &str); 33] = [
    (StageName::Decode, "unreadable-batch"),
    (StageName::Decode, "no-value"),
    (StageName::Decode, "schema-registry-frame"),
    (StageName::Decode, "content-encoding"),
    (StageName::Decode, "too-large"),
    (StageName::Decode, "not-utf8"),
    (StageName::Decode, "nul-byte"),
    (StageName::Decode, "too-deep"),
    (StageName::Decode, "not-json"),
    (StageName::Decode, "trailing-data"),
    (StageName::Decode, "unreadable-value"),
    (StageName::Decode, "too-many-events"),
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
    (StageName::Deliver, "unsendable"),
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
                None if code.chars().all(|c| c.is_ascii_uppercase() || c == '_') => Some(code),
                None => None,
            }
        })
    }

    #[test]
    fn every_code_that_is_given_is_listed_and_no_other() {
        let sources = [
            include_str!("models/raw.rs"),
            include_str!("decode/problem.rs"),
            include_str!("validate.rs"),
            include_str!("models/verdict.rs"),
        ];
        let given: BTreeSet<&str> = sources.into_iter().flat_map(given_in).collect();
        let listed: BTreeSet<&str> = DEAD_LETTER_CAUSES.iter().map(|(_, code)| *code).collect();
        assert_eq!(given, listed);
        assert_eq!(listed.len(), DEAD_LETTER_CAUSES.len(), "each once");
    }
}
