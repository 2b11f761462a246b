//! What the ledger does when the database cannot be written: it says so at once, and nobody waits for it any more.

use std::{
    fs,
    path::Path,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use crate::{tests::options, *};

/// Far longer than anything here takes, so that only what never ends fails.
const PATIENCE: Duration = Duration::from_secs(120);

fn open(dir: &Path, limit: Duration) -> (Ledger, LedgerThread) {
    let store = Store::open(dir, options(Durability::Process)).unwrap();
    let commits = CommitOptions { commit_max: 64, linger: Duration::ZERO, inbox_max: 64 };
    Ledger::start_within(store, commits, limit).unwrap()
}

/// A record that the database puts into a file of its own: no body, so it does not stand in parts.
fn large() -> Record {
    Record::Checkpoint("file:e".into(), Checkpoint { epoch: 0, offset: 1, mark: vec![7; 1 << 20] })
}

/// Takes away the directory of those files: writing one fails, as without room or without a descriptor.
fn break_large_writes(dir: &Path) {
    fs::remove_dir_all(dir.join("sled").join("blobs")).unwrap();
}

/// Does `work` on a thread, and fails if it does not end.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, told) = sync_channel(1);
    let thread = thread::spawn(move || done.send(work()).unwrap());
    match told.recv_timeout(PATIENCE) {
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        told => {
            thread.join().unwrap();
            told.unwrap()
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_failed_write_of_a_large_record_is_a_fault_and_nobody_waits_for_the_database_to_close() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let (told, after, joined) = within(move || {
        let (ledger, thread) = open(&path, Ledger::COMMIT_TIMEOUT);
        break_large_writes(&path);
        let told = block_on(ledger.record(large())).unwrap_err();
        let after = block_on(ledger.record(Record::DrainHorizon("acme".into(), 1))).unwrap_err();
        assert!(ledger.is_closed());
        let ledger_status = ledger.status().clone();
        drop(ledger);
        assert!(ledger_status.fault().is_some());
        (told, after, thread.join().unwrap_err())
    });
    for fault in [told, after, joined] {
        assert!(matches!(fault, StateFault::Io { .. }), "the cause is told to everyone: {fault}");
    }
}

#[test]
fn a_tool_that_cannot_write_a_large_record_is_told_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let fault = within(move || {
        let store = Store::open(&path, options(Durability::Process)).unwrap();
        break_large_writes(&path);
        store.put_all(&[large()]).unwrap_err()
    });
    assert!(matches!(fault, StateFault::Io { .. }), "{fault}");
}

#[test]
fn a_fault_that_was_noted_elsewhere_ends_the_ledger_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let told = within(move || {
        let (ledger, thread) = open(&path, Ledger::COMMIT_TIMEOUT);
        ledger.status().fail(StateFault::panicked("thread sled-io-1", &"broken"));
        let told = block_on(ledger.record(Record::DrainHorizon("acme".into(), 1))).unwrap_err();
        drop(ledger);
        assert!(thread.join().is_err());
        told
    });
    assert!(matches!(told, StateFault::Panicked { .. }), "{told}");
}
