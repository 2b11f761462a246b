//! What a run that is gone has left behind, as the next ones know it.

use std::{path::Path, sync::Arc, time::Duration};

use crate::*;

fn store(dir: &Path) -> Store {
    Store::open(dir, tests::options(Durability::Process)).unwrap()
}

fn start(dir: &Path) -> (Ledger, LedgerThread) {
    let commits = CommitOptions { commit_max: 64, linger: Duration::from_millis(1), inbox_max: 100 };
    Ledger::start(store(dir), commits).unwrap()
}

fn key(event: &str) -> LedgerKey {
    LedgerKey::new("acme", event)
}

fn delivered(event: &str) -> Record {
    Record::Delivered { key: key(event), digest: BodyDigest::of(b""), failed_attempts: 0, spilled: None }
}

async fn mark(ledger: &Ledger, event: &str) -> Mark {
    ledger.claim(key(event)).await.mark().unwrap()
}

/// A state directory as it is found after a `kill -9` of its process now.
fn killed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_all(dir, copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The same after the machine was started anew: the file says that it was written before.
fn another_boot(dir: &Path) {
    let path = dir.join("attempts");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    let sum = crc32fast::hash(&[&u32::MAX.to_be_bytes()[..], &bytes[..38]].concat());
    bytes[38..42].copy_from_slice(&sum.to_be_bytes());
    std::fs::write(path, bytes).unwrap();
}

fn unresolved(store: &Store, events: &[&str]) -> Vec<bool> {
    events.iter().map(|event| store.is_unresolved(&key(event))).collect()
}

/// A run in which `sent` and `taken` went out, and only the latter's outcome is on record.
async fn run(dir: &Path) -> (Ledger, LedgerThread) {
    let (ledger, thread) = start(dir);
    let sent = Record::Horizon(Arc::from("log"), Some(Horizon { epoch: 1, offset: 100 }));
    let _proof = ledger.record(sent).await.unwrap();
    let _proof = ledger.record(Record::DrainHorizon(Arc::from("acme"), 50)).await.unwrap();
    drop(mark(&ledger, "sent").await);
    let taken = mark(&ledger, "taken").await;
    let _proof = ledger.record(delivered("taken")).await.unwrap();
    taken.release();
    (ledger, thread)
}

fn doubts(store: &Store) -> (Option<Horizon>, SpillSeq) {
    (store.sources().doubt("log").unwrap(), store.brokers().doubt("acme").unwrap())
}

#[tokio::test]
async fn what_was_sent_stays_unresolved_over_any_number_of_runs_until_its_outcome_is_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let (_ledger, _thread) = run(dir.path()).await;
    let copy = killed(dir.path());
    for _ in 0..3 {
        // Runs that are stopped in good order before they come to it.
        let (ledger, thread) = start(copy.path());
        assert_eq!(unresolved(ledger.store(), &["sent", "taken", "never"]), [true, false, false]);
        assert_eq!(doubts(ledger.store()), (None, 0), "the journal says it all");
        drop(ledger);
        thread.join().unwrap();
    }
    let (ledger, thread) = start(copy.path());
    let claim = ledger.claim(key("sent")).await;
    assert!(claim.is_unresolved() && claim.count_once() && !claim.count_once(), "counted once in each run");
    let _proof = ledger.record(delivered("sent")).await.unwrap();
    assert!(!claim.is_unresolved());
    drop((claim, ledger));
    thread.join().unwrap();
    assert_eq!(unresolved(&store(copy.path()), &["sent"]), [false]);
}

#[tokio::test]
async fn what_a_run_in_good_order_leaves_open_is_known_even_after_the_machine_was_started_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, thread) = run(dir.path()).await;
    assert_eq!(ledger.attempts_open(), 1);
    drop(ledger);
    thread.join().unwrap();
    another_boot(dir.path());
    let store = store(dir.path());
    assert_eq!(unresolved(&store, &["sent", "taken"]), [true, false]);
    assert_eq!(doubts(&store), (None, 0));
}

#[tokio::test]
async fn without_its_journal_everything_below_the_horizons_is_in_doubt_and_stays_so() {
    for spoil in [
        another_boot,
        |dir: &Path| std::fs::remove_file(dir.join("attempts")).unwrap(),
        |dir: &Path| {
            std::fs::write(dir.join("attempts"), "text").unwrap();
        },
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (_ledger, _thread) = run(dir.path()).await;
        let copy = killed(dir.path());
        spoil(copy.path());
        let doubt = (Some(Horizon { epoch: 1, offset: 100 }), 50);
        for _ in 0..2 {
            let (ledger, thread) = start(copy.path());
            assert_eq!(doubts(ledger.store()), doubt);
            assert_eq!(ledger.store().sources().horizon("log").unwrap(), None);
            // A run that comes less far is killed in its turn, with its journal.
            let less = Record::Horizon(Arc::from("log"), Some(Horizon { epoch: 1, offset: 30 }));
            let _proof = ledger.record(less).await.unwrap();
            drop(ledger);
            thread.join().unwrap();
        }
        let (ledger, thread) = start(copy.path());
        let _proof = ledger.record(Record::DoubtPassed(Arc::from("log"))).await.unwrap();
        drop(ledger);
        thread.join().unwrap();
        assert_eq!(doubts(&store(copy.path())).0, None);
    }
}

#[tokio::test]
async fn the_unresolved_move_with_a_source() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ledger, _thread) = run(dir.path()).await;
    let settled = Checkpoint { epoch: 1, offset: 5, mark: Vec::new() };
    let _proof = ledger.record(Record::Checkpoint(Arc::from("log"), settled)).await.unwrap();
    let copy = killed(dir.path());
    let file = other.path().join("log.export");
    store(copy.path()).export("log", &file).unwrap();
    let target = store(&other.path().join("state"));
    let rules = ImportRules {
        sources: "log",
        is_source: &|_, _| true,
        brokers: &[],
        spill_broker_max: 1 << 20,
        spill_total_max: 1 << 20,
    };
    target.import(&file, &rules).unwrap();
    assert_eq!(unresolved(&target, &["sent", "taken"]), [true, false]);
    drop(target);
    assert_eq!(unresolved(&store(&other.path().join("state")), &["sent"]), [true]);
}
