//! The file in which a partition's state travels: any bytes are taken in as a whole, or refused and nothing has changed.
//! The checksum is made to fit, or no change behind it would ever be looked at.

use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use state::{
    BodyDigest, Checkpoint, Clock, Durability, Event, FailedAttempt, History, ImportRules, LedgerKey,
    Position, Record, SimulatedDisk, SpilledDelivery, Store, StoreOptions,
};

const SOURCE: &str = "fluvio:events/0";
/// Milliseconds.
const WINDOW: u64 = 1_000_000;
/// Bytes of the checksum at the file's end.
const DIGEST: usize = 32;

/// A file as an export writes it.
#[must_use]
pub fn exported() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("export");
    let store = open(&SimulatedDisk::new());
    let spilled = |seq, id| Record::Spilled(Box::new(waiting(seq, id)));
    let checkpoint = Checkpoint { epoch: 0, offset: 1_000, mark: vec![7; 21] };
    let taken = event("taken").digest;
    let delivered = Record::Delivered {
        key: LedgerKey::new("a", "taken"),
        digest: taken,
        failed_attempts: 1,
        spilled: None,
    };
    let records = [
        delivered,
        spilled(1, "first"),
        spilled(2, "second"),
        Record::Checkpoint(Arc::from(SOURCE), checkpoint),
    ];
    store.put_all(&records).unwrap();
    store.export(SOURCE, &file).unwrap();
    fs::read(&file).unwrap()
}

/// Takes `input` as such a file; `file` is where it may be written.
pub fn state_transfer(input: &[u8], file: &Path) {
    let mut bytes = input.to_vec();
    if let Some(end) = bytes.len().checked_sub(DIGEST) {
        let digest = Sha256::digest(&bytes[..end]);
        bytes[end..].copy_from_slice(&digest);
    }
    fs::write(file, &bytes).unwrap();
    let disk = SimulatedDisk::new();
    let store = open(&disk);
    let brokers = ["a".to_owned()];
    let rules = ImportRules {
        sources: "fluvio:events/",
        is_source: &|name, mark| name == SOURCE && mark == [7; 21],
        brokers: &brokers,
        spill_broker_max: 1 << 20,
        spill_total_max: 2 << 20,
    };
    let imported = store.import(file, &rules);
    drop(store);
    // What was taken in can be read, all of it, and the directory can be opened.
    let store = open(&disk);
    let waiting = store.spill().usage().unwrap();
    let deliveries: u64 = waiting.values().map(|usage| usage.deliveries).sum();
    for broker in waiting.keys() {
        let read = store.spill().read(broker, 0..u64::MAX, usize::MAX).unwrap();
        assert_eq!(read.len() as u64, waiting[broker].deliveries);
    }
    let checkpoint = store.sources().checkpoint(SOURCE).unwrap();
    match imported {
        Ok(moved) => assert_eq!((checkpoint, deliveries), (Some(moved.checkpoint), moved.deliveries)),
        Err(_) => assert_eq!((checkpoint, deliveries), (None, 0), "a refused file has changed something"),
    }
}

fn open(disk: &SimulatedDisk) -> Store {
    let options = StoreOptions {
        durability: Durability::Process,
        dedupe_window: WINDOW,
        cache: 16 << 20,
        clock: Clock::simulated(5 * WINDOW),
    };
    Store::open_simulated(disk, options).unwrap()
}

fn event(id: &str) -> Event {
    let body = Bytes::from(format!("{{\"id\":\"{id}\"}}"));
    Event {
        position: Position::new(Arc::from(SOURCE), 0, 7),
        event_id: Arc::from(id),
        load_id: Arc::from("L-1"),
        status: Arc::from("posted"),
        occurred_at: 0,
        sequence: None,
        traceparent: None,
        digest: BodyDigest::of(&body),
        body,
        read_at: 1,
    }
}

fn waiting(seq: u64, id: &str) -> SpilledDelivery {
    let failed = FailedAttempt {
        at: 9,
        status: Some(503),
        cause: "busy".to_owned(),
        may_have_arrived: true,
        answer: None,
    };
    SpilledDelivery {
        history: History { attempts: 1, counted: 1, may_have_arrived: true, last: vec![failed] },
        not_before: 12_345,
        ..SpilledDelivery::untried(Arc::from("a"), seq, event(id))
    }
}
