//! What a state directory remembers when the wall clock is set: all of it, for as long as if nobody had touched the clock.

use std::{path::Path, time::Duration};

use bytes::Bytes;

use crate::{tests::options, *};

const DAY: i64 = 86_400_000;

fn open(dir: &Path, clock: &Clock) -> (Ledger, LedgerThread) {
    let options = StoreOptions { clock: clock.clone(), ..options(Durability::Process) };
    let commits = CommitOptions { commit_max: 64, linger: Duration::ZERO, inbox_max: 1_000 };
    Ledger::start(Store::open(dir, options).unwrap(), commits).unwrap()
}

async fn deliver(ledger: &Ledger, number: u64) {
    let id = format!("e{number}");
    let (key, digest) = (LedgerKey::new("acme", &id), BodyDigest::of(id.as_bytes()));
    let record = Record::Delivered { key, digest, failed_attempts: 0, spilled: None };
    let _proof = ledger.record(record).await.unwrap();
}

fn knows_all(ledger: &Ledger, numbers: u64) -> bool {
    let knows = |number| ledger.look_up(&LedgerKey::new("acme", &format!("e{number}"))).unwrap().is_some();
    (0..numbers).all(knows)
}

#[tokio::test]
async fn a_wall_clock_that_is_set_drops_nothing_of_the_ledger_while_a_process_runs_or_between_two() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, steps) = Clock::stepping(1_700_000_000_000);
    let (ledger, thread) = open(dir.path(), &clock);
    for number in 0..100 {
        deliver(&ledger, number).await;
    }
    for (number, step) in [(100, 11 * DAY), (101, -11 * DAY), (102, -400 * DAY), (103, 400 * DAY)] {
        steps.step(step);
        deliver(&ledger, number).await;
        assert!(knows_all(&ledger, number + 1), "after a step of {step} ms");
    }
    drop(ledger);
    thread.join().unwrap();
    steps.step(11 * DAY);
    let (ledger, _thread) = open(dir.path(), &clock);
    deliver(&ledger, 104).await;
    assert!(knows_all(&ledger, 105));
}

#[tokio::test]
async fn posted_records_are_kept_together_and_for_as_long_whatever_the_wall_clock_says() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, steps) = Clock::stepping(1_700_000_000_000);
    let (ledger, _thread) = open(dir.path(), &clock);
    let keeps = IntakeOptions { backlog_max: 1_000, backlog_bytes_max: 1 << 30, retention: 5 * 3_600_000 };
    let log = EmbeddedLog::new(&ledger, keeps);
    let post = || log.accept(vec![Bytes::from_static(b"{}")]).unwrap();
    post().await.unwrap();
    steps.step(11 * DAY);
    // By the wall clock the next post would be in another hour, and so in another segment.
    for _ in 0..3 {
        let next = post().await.unwrap();
        assert_eq!(ledger.store().intake.segments(), [0], "{next:?}");
    }
}

#[tokio::test]
async fn a_wait_that_was_written_down_is_no_longer_after_the_wall_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, steps) = Clock::stepping(1_700_000_000_000);
    let (ledger, thread) = open(dir.path(), &clock);
    let until = ledger.store().clock().monotonic() + 5_000;
    deliver(&ledger, 0).await;
    drop(ledger);
    thread.join().unwrap();
    steps.step(-3_600_000);
    let (ledger, _thread) = open(dir.path(), &clock);
    assert!(until.saturating_sub(ledger.store().clock().monotonic()) <= 5_000);
}
