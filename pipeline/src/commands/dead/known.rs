//! Whether a condition can be met at all: a slip in a cause's code or in a broker's name finds no letter, which must not
//! read like good news.

use stages::CAUSES;

use crate::{config::Place, dead::Selection};

/// What is wrong with a condition that nothing meets; none if it could be met.
pub(super) fn impossible(selection: &Selection, place: &Place) -> Option<String> {
    let of_stage = |code: &str| selection.stage.is_none_or(|stage| CAUSES.contains(&(stage, code)));
    if let Some(cause) = &selection.cause {
        let codes = CAUSES.iter().map(|(_, code)| *code).filter(|code| of_stage(code));
        if !codes.clone().any(|code| code == cause) {
            let of = selection.stage.map_or(String::new(), |stage| format!(" of {}", stage.as_str()));
            let known = codes.collect::<Vec<_>>().join(", ");
            return Some(format!(
                "--cause {cause:?}: no letter has it, and it is no cause{of}: give one of {known}"
            ));
        }
    }
    let broker = selection.broker.as_ref().filter(|broker| !place.brokers.contains(broker))?;
    let known = place.brokers.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match place.brokers.len().saturating_sub(20) {
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
        let place = Place::load(Path::new(&config)).unwrap();
        let with = |cause: Option<&str>, broker: Option<&str>, stage| {
            let (cause, broker) = (cause.map(str::to_owned), broker.map(str::to_owned));
            impossible(&Selection { cause, broker, stage, ..Selection::default() }, &place)
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
