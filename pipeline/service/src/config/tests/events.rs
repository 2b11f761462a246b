//! docs/events.md: what it says comes of each of its records under the schema above it comes of it.

use std::{fs, path::PathBuf};

use ::state::{Clock, Position, timestamp};
use stages::{
    Events, Split, Stage,
    models::{Exit, RawRecord, Verdict},
};

use super::*;
use crate::assemble::IntakeStages;

const NOW: u64 = 1_790_000_000_000;

/// The code blocks of a page, each with its language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

/// What comes of a record: a line for each event.
async fn outcome(config: &Config, text: &str) -> Vec<String> {
    let stages = IntakeStages::new(config, &[], Clock::simulated(NOW));
    let bytes = bytes::Bytes::copy_from_slice(text.trim().as_bytes());
    let raw = RawRecord::whole(Position::new("page".into(), 0, 0), bytes, NOW);
    let events = match Split::by(&stages.decode).events(raw) {
        Events::One(raw) => vec![raw],
        Events::Several(events) => events,
        Events::Nothing(_) => Vec::new(),
    };
    let mut lines = Vec::new();
    for raw in events {
        let valid = match stages.decode.run(raw).await {
            Ok(event) => stages.validate.run(event).await,
            Err(exit) => Err(exit),
        };
        lines.push(match valid {
            Ok(valid) => {
                let event = valid.event();
                let at = match event.occurred_at {
                    NOW => "reading".to_owned(),
                    at => timestamp::text(at),
                };
                format!("{}  {}  {}  {at}", event.event_id, event.load_id, event.status)
            }
            Err(Exit::Verdict(Verdict::Rejected(rejection))) => format!("rejected {}", rejection.cause),
            Err(other) => panic!("{other:?}"),
        });
    }
    lines
}

#[tokio::test(start_paused = true)]
async fn what_the_page_on_events_says_comes_of_each_record_comes_of_it() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let (mut config, mut found, mut compared) = (None, Vec::new(), 0);
    for (language, text) in blocks(&fs::read_to_string(path).unwrap()) {
        match &*language {
            "toml" => {
                config = Some(parse(&format!("{text}\n{LEAST}")).unwrap_or_else(|errors| panic!("{errors}")));
            }
            "json" => found = outcome(config.as_ref().unwrap(), &text).await,
            "text" => {
                let lines: Vec<&str> = text.lines().collect();
                assert_eq!(found.len(), lines.len(), "{found:?}");
                for (found, line) in found.iter().zip(lines) {
                    let fits = match line.split_once('…') {
                        Some((head, tail)) => found.starts_with(head) && found.ends_with(tail),
                        None => found == line,
                    };
                    assert!(fits, "{found}\n{line}");
                }
                compared += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(compared, 6);
}
