//! A database whose flush never ends, as on a disk that does not answer. In a process of its own: such a flush holds a
//! lock that all databases of a process share.

use std::{fs, sync::Arc, thread, time::Duration};

use state::{Checkpoint, Clock, CommitOptions, Durability, Ledger, Record, StateFault, Store, StoreOptions};

/// A record that the database puts into a file of its own: no body, so it does not stand in parts.
fn large() -> Record {
    Record::Checkpoint(Arc::from("file:e"), Checkpoint { epoch: 0, offset: 1, mark: vec![7; 1 << 20] })
}

#[tokio::test]
async fn a_commit_that_does_not_come_to_its_end_is_a_fault_and_nobody_waits_for_the_database_to_close() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        durability: Durability::Process,
        dedupe_window: 3_600_000,
        cache: 8 << 20,
        clock: Clock::System,
    };
    let store = Store::open(dir.path(), options).unwrap();
    let commits = CommitOptions { commit_max: 64, linger: Duration::ZERO, inbox_max: 64 };
    let limit = Duration::from_millis(200);
    let (ledger, _hangs) = Ledger::start_within(store.clone(), commits, limit).unwrap();
    // A write of a large value that fails elsewhere leaves the database waiting for it: the next flush never ends.
    fs::remove_dir_all(dir.path().join("sled").join("blobs")).unwrap();
    assert!(matches!(store.put_all(&[large()]), Err(StateFault::Io { .. })));
    let told = ledger.record(Record::DrainHorizon("acme".into(), 1));
    let fault = tokio::select! {
        fault = ledger.status().failed() => fault,
        told = told => panic!("the flush was to hang: {told:?}"),
        () = tokio::time::sleep(Duration::from_secs(120)) => panic!("nobody has noticed"),
    };
    assert!(matches!(&fault, StateFault::Stuck { .. }), "{fault}");
    assert!(fault.to_string().contains("does not answer"), "{fault}");
    let dropped = thread::spawn(move || drop((ledger, store)));
    for _ in 0..12_000 {
        if dropped.is_finished() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("dropping the store waits for the disk");
}
