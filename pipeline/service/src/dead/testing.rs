//! Fixtures for tests of dead letters: letters and a store.

use state::{
    Clock, CommitOptions, DeadLetter, Durability, FailedAttempt, History, Ledger, Position, Record,
    StageName, Store, StoreOptions,
};

use crate::config::Config;

/// A letter at this offset: refused by `broker`, or rejected as unknown status if there is none.
pub(super) fn letter(offset: u64, broker: Option<&str>) -> DeadLetter {
    let mut history = History::default();
    if broker.is_some() {
        let cause = "403 forbidden".to_owned();
        history.push(
            FailedAttempt { at: 1_000, status: Some(403), cause, may_have_arrived: true, answer: None },
            true,
        );
    }
    let body = format!(
        r#"{{"eventId":"e-{offset}","loadId":"L-1","status":"matched","occurredAt":"2026-03-01T08:30:00Z"}}"#
    );
    DeadLetter {
        position: Position::new("test".into(), 0, offset),
        broker: broker.map(Into::into),
        stage: if broker.is_some() { StageName::Deliver } else { StageName::Validate },
        cause: if broker.is_some() { "refused" } else { "unknown-status" }.to_owned(),
        detail: "as it was".to_owned(),
        at: 86_400_000 + offset,
        history,
        event_id: Some(format!("e-{offset}")),
        load_id: Some("L-1".to_owned()),
        status: Some("matched".to_owned()),
        body_len: body.len() as u64,
        body: body.into_bytes(),
        row: None,
    }
}

/// A ledger over a store in `dir`.
pub(super) fn ledger(dir: &std::path::Path) -> Ledger {
    let options = StoreOptions {
        durability: Durability::Process,
        dedupe_window: 3_600_000,
        cache: 16 << 20,
        clock: Clock::System,
    };
    let commits = CommitOptions { commit_max: 64, linger: std::time::Duration::ZERO, inbox_max: 64 };
    Ledger::start(Store::open(dir, options).unwrap(), commits).unwrap().0
}

/// Puts `letters` on record; they keep no ledger entry.
pub(super) async fn put(ledger: &Ledger, letters: impl IntoIterator<Item = DeadLetter>) {
    for letter in letters {
        let record = Record::DeadLettered { letter: Box::new(letter), key: None, spilled: None };
        let _proof = ledger.record(record).await.unwrap();
    }
}

/// A config of two brokers: `acme` for loads `L-…`, and `birch` for all that are matched; `more` comes before them, or
/// behind them if it is another broker.
pub(super) fn config(more: &str) -> Config {
    let (before, behind) = if more.starts_with("[[") { ("", more) } else { (more, "") };
    let broker = |id: &str, wants: &str| {
        format!(
            "[[brokers]]\nid = \"{id}\"\nurl = \"https://{id}.example\"\nsecrets = [\"env:KEY\"]\nrate = 5\n{wants}\n"
        )
    };
    let (acme, birch) =
        (broker("acme", "loads = { prefix = \"L-\" }"), broker("birch", "statuses = [\"matched\"]"));
    let text = format!("source.kind = \"stdin\"\n{before}{acme}{birch}{behind}");
    let key = |_: &str| Ok("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
    Config::parse(&text, std::path::Path::new(""), key).unwrap()
}
