//! Detects conditions that can match nothing: a typing error in a cause or a broker's name finds no letter, and must
//! not look like good news.

use stages::DEAD_LETTER_CAUSES;

use service::{config::Target, dead::Selection};

/// Why a condition can match nothing; none if it could match.
pub(super) fn why(selection: &Selection, target: &Target) -> Option<String> {
    let of_stage =
        |code: &str| selection.stage.is_none_or(|stage| DEAD_LETTER_CAUSES.contains(&(stage, code)));
    if let Some(cause) = &selection.cause {
        let codes = DEAD_LETTER_CAUSES.iter().map(|(_, code)| *code).filter(|code| of_stage(code));
        if !codes.clone().any(|code| code == cause) {
            let of = selection.stage.map_or(String::new(), |stage| format!(" of {}", stage.as_str()));
            let known = codes.collect::<Vec<_>>().join(", ");
            return Some(format!(
                "--cause {cause:?}: no letter has it, and it is no cause{of}: give one of {known}"
            ));
        }
    }
    let broker = selection.broker.as_ref().filter(|broker| !target.brokers.contains(broker))?;
    let known = target.brokers.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match target.brokers.len().saturating_sub(20) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "--broker {broker:?}: no letter is for it, and the config does not name it; it names {known}{more}"
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use state::StageName;

    use super::*;

    #[test]
    fn a_slip_is_told_with_what_could_have_been_meant() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("loadline.toml");
        std::fs::write(&config, "[[brokers]]\nid = \"acme\"\n").unwrap();
        let target = Target::load(Path::new(&config)).unwrap();
        let with = |cause: Option<&str>, broker: Option<&str>, stage| {
            let (cause, broker) = (cause.map(str::to_owned), broker.map(str::to_owned));
            why(&Selection { cause, broker, stage, ..Selection::default() }, &target)
        };
        assert_eq!(with(Some("refused"), Some("acme"), None), None);
        let why = with(Some("bogus"), None, None).unwrap();
        assert!(why.contains("\"bogus\"") && why.contains("not-json") && why.contains("refused"), "{why}");
        let why = with(Some("not-json"), None, Some(StageName::Deliver)).unwrap();
        assert!(why.contains("of deliver") && !why.contains("not-json,"), "{why}");
        let why = with(None, Some("amce"), None).unwrap();
        assert!(why.contains("\"amce\"") && why.contains("it names acme"), "{why}");
    }
}
