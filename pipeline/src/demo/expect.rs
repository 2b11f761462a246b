//! What each broker of the demo should get, worked out from the events without any of the line's code: the report
//! compares the receivers with this.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{DemoBroker, Loads};

/// The statuses the demo's config knows, with the spelling that stands for each.
const STATUSES: [(&str, &str); 8] = [
    ("posted", "posted"),
    ("matched", "matched"),
    ("accepted", "accepted"),
    ("in-transit", "in-transit"),
    ("in_transit", "in-transit"),
    ("delivered", "delivered"),
    ("cancelled", "cancelled"),
    ("canceled", "cancelled"),
];

/// How many events of `events` (NDJSON) `broker` should be given: each once, exact duplicates not counted, a
/// conflicting one counted.
#[must_use]
pub fn expected(broker: &DemoBroker, events: &[u8]) -> u64 {
    let mut wanted = BTreeSet::new();
    for line in events.split(|byte| *byte == b'\n') {
        if let Some((load, status)) = load_and_status(line)
            && wants(broker, &load, status)
        {
            wanted.insert(line.strip_suffix(b"\r").unwrap_or(line));
        }
    }
    wanted.len() as u64
}

fn load_and_status(line: &[u8]) -> Option<(String, &'static str)> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let load = event.get("loadId")?.as_str()?;
    let written = event.get("status")?.as_str()?;
    let (_, status) = STATUSES.iter().find(|(spelling, _)| *spelling == written)?;
    Some((load.to_owned(), status))
}

fn wants(broker: &DemoBroker, load: &str, status: &str) -> bool {
    let load = match broker.loads {
        Loads::All => true,
        Loads::Prefix(prefix) => load.starts_with(prefix),
    };
    load && (broker.statuses.is_empty() || broker.statuses.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::brokers;

    #[test]
    fn duplicates_count_once_conflicts_twice_and_what_is_no_event_not_at_all() {
        let events = br#"{"loadId":"CHI-1","status":"matched","n":1}
{"loadId":"CHI-1","status":"matched","n":1}
{"loadId":"CHI-1","status":"matched","n":2}
{"loadId":"CHI-1","status":"detained"}
{"loadId":"CHI-1","sta

{"loadId":"DAL-1","status":"matched"}
"#;
        let brokers = brokers();
        let amber = brokers.iter().find(|broker| broker.id == "amber").unwrap();
        assert_eq!(expected(amber, events), 2);
    }
}
