//! The state directory as its users meet it: what is proven is there after reopening, and what cannot be opened says why.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::*;

pub(crate) fn options(durability: Durability) -> StoreOptions {
    StoreOptions { durability, dedupe_window: 3_600_000, cache: 16 << 20, clock: Clock::System }
}

fn open(dir: &Path) -> (Ledger, LedgerThread) {
    let store = Store::open(dir, options(Durability::Process)).unwrap();
    let commits = CommitOptions { commit_max: 64, linger: Duration::from_millis(1), inbox_max: 10_000 };
    Ledger::start(store, commits).unwrap()
}

pub(crate) fn event(id: &str, body: &'static str) -> Event {
    Event {
        position: Position::new(Arc::from("test"), 0, 7),
        event_id: Arc::from(id),
        load_id: Arc::from("L-1"),
        status: Arc::from("matched"),
        occurred_at: 1,
        sequence: Some(2),
        traceparent: None,
        read_at: 3,
        body: Bytes::from_static(body.as_bytes()),
        digest: BodyDigest::of(body.as_bytes()),
    }
}

fn spilled(broker: &str, seq: SpillSeq) -> SpilledDelivery {
    SpilledDelivery::untried(Arc::from(broker), seq, event(&format!("e{seq}"), "{}"))
}

fn delivered(broker: &str, id: &str, spilled: Option<SpillRef>) -> Record {
    let digest = BodyDigest::of(b"{}");
    Record::Delivered { key: LedgerKey::new(broker, id), digest, failed_attempts: 1, spilled }
}

#[tokio::test]
async fn a_recorded_delivery_is_found_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, thread) = open(dir.path());
    let _proof = ledger.record(delivered("acme", "e1", None)).await.unwrap();
    drop(ledger);
    thread.join().unwrap();
    let (ledger, _thread) = open(dir.path());
    let entry = ledger.look_up(&LedgerKey::new("acme", "e1")).unwrap().unwrap();
    assert_eq!((entry.outcome, entry.failed_attempts), (Outcome::Delivered, 1));
    assert!(ledger.look_up(&LedgerKey::new("bolt", "e1")).unwrap().is_none(), "another broker's entry");
}

#[tokio::test]
async fn spilled_deliveries_come_back_in_arrival_order_per_broker() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, thread) = open(dir.path());
    // Numbers beyond a byte, written out of order, and a broker whose name is another one's beginning.
    let numbers = [300, 2, 255, 256, 1];
    let records =
        numbers.iter().flat_map(|seq| ["a", "ab"].map(|b| Record::Spilled(Box::new(spilled(b, *seq)))));
    assert_eq!(ledger.record_all(records.collect()).await.unwrap().len(), 10);
    let _proof = ledger.record(delivered("a", "e2", Some((Arc::from("a"), 2)))).await.unwrap();
    drop(ledger);
    thread.join().unwrap();

    let (ledger, _thread) = open(dir.path());
    let spill = ledger.store().spill();
    let read = |broker: &str, from| spill.read(&Arc::from(broker), from..1_000, 100).unwrap();
    assert_eq!(read("a", 0).iter().map(|d| d.seq).collect::<Vec<_>>(), [1, 255, 256, 300]);
    assert_eq!(read("ab", 255)[0], spilled("ab", 255));
    let usage = spill.usage().unwrap();
    assert_eq!((usage["a"].deliveries, usage["ab"].deliveries, usage["a"].next_seq), (4, 5, 301));
    let cost: u64 = read("a", 0).iter().map(Spill::cost).sum();
    assert!(
        usage["a"].bytes <= cost,
        "the cost {cost} must not understate the bytes stored, {}",
        usage["a"].bytes
    );
    assert_eq!(ledger.look_up(&LedgerKey::new("a", "e255")).unwrap().unwrap().outcome, Outcome::Spilled);
}

#[tokio::test]
async fn a_dead_letter_recorded_twice_is_one_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _thread) = open(dir.path());
    let letter = DeadLetter {
        position: Position::new(Arc::from("test"), 0, 9),
        broker: None,
        stage: StageName::Decode,
        cause: "not-json".to_owned(),
        detail: "expected value at line 1 column 1".to_owned(),
        at: 5,
        history: History::default(),
        event_id: None,
        load_id: None,
        status: None,
        body: vec![0xff, 0],
        body_len: 2,
        row: None,
    };
    for _ in 0..2 {
        let record = Record::DeadLettered { letter: Box::new(letter.clone()), key: None, spilled: None };
        let _proof = ledger.record(record).await.unwrap();
    }
    let letters: Vec<_> = ledger.store().dead_letters().iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(letters, [letter]);
}

#[tokio::test]
async fn checkpoints_horizons_and_disabled_brokers_are_kept_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _thread) = open(dir.path());
    let (source, broker): (Arc<str>, Arc<str>) = (Arc::from("file:x"), Arc::from("acme"));
    let checkpoint = Checkpoint { epoch: 1, offset: 2, mark: vec![3] };
    let horizon = Horizon { epoch: 1, offset: 9 };
    let disabled = Disabled { since: 4, reason: "answered 410".to_owned() };
    let records = vec![
        Record::Checkpoint(source.clone(), checkpoint.clone()),
        Record::Horizon(source.clone(), Some(horizon)),
        Record::DrainHorizon(broker.clone(), 77),
        Record::Disabled(broker.clone(), Some(disabled.clone())),
    ];
    let _proofs = ledger.record_all(records).await.unwrap();
    let (sources, brokers) = (ledger.store().sources(), ledger.store().brokers());
    assert_eq!(
        (sources.checkpoint("file:x").unwrap(), sources.horizon("file:x").unwrap()),
        (Some(checkpoint), Some(horizon))
    );
    assert_eq!(
        (brokers.drain_horizon("acme").unwrap(), brokers.disabled("acme").unwrap()),
        (77, Some(disabled))
    );
    let _proofs =
        ledger.record_all(vec![Record::Horizon(source, None), Record::Disabled(broker, None)]).await.unwrap();
    assert_eq!((sources.horizon("file:x").unwrap(), brokers.disabled("acme").unwrap()), (None, None));
}

#[tokio::test]
async fn many_records_share_one_flush() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _thread) = open(dir.path());
    let all = (0..640).map(|n| ledger.record(delivered("acme", &n.to_string(), None))).collect::<Vec<_>>();
    for proof in all {
        let _proof = proof.await.unwrap();
    }
    assert_eq!(ledger.stats().records(), 640);
    assert!(ledger.stats().commits() <= 160, "{} commits for 640 records", ledger.stats().commits());
}

#[test]
fn a_second_process_is_refused_with_the_directory_and_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Store::open(dir.path(), options(Durability::Power)).unwrap();
    let fault = Store::open(dir.path(), options(Durability::Power)).unwrap_err();
    assert!(matches!(fault, StateFault::Locked { .. }), "{fault}");
    assert!(
        fault.to_string().contains(dir.path().to_str().unwrap()) && fault.to_string().contains("state.dir")
    );
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    store.db.open_tree("meta").unwrap().insert("format", codec::encode("meta", &9u32).unwrap()).unwrap();
    store.put_all(&[]).unwrap();
    drop(store);
    for _ in 0..2 {
        let fault = Store::open(dir.path(), options(Durability::Process)).unwrap_err();
        assert!(matches!(fault, StateFault::TooNew { found: 9, known: 7, .. }), "{fault}");
    }
}

#[test]
fn a_store_of_the_first_format_is_taken_over_and_an_older_version_would_refuse_it_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let format = |store: &Store, number: Option<u32>| {
        let meta = store.db.open_tree("meta").unwrap();
        if let Some(number) = number {
            meta.insert("format", codec::encode("meta", &number).unwrap()).unwrap();
        }
        codec::decode::<u32>("meta", &meta.get("format").unwrap().unwrap()).unwrap()
    };
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    store.put_all(&[delivered("acme", "e1", None)]).unwrap();
    assert_eq!(format(&store, Some(1)), 1);
    drop(store);
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    assert_eq!(format(&store, None), 7);
    assert!(store.look_up(&LedgerKey::new("acme", "e1")).unwrap().is_some());
}

/// A state directory with 20,000 deliveries on record.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    for batch in 0..20 {
        let records: Vec<_> = (0..1_000).map(|n| delivered("acme", &format!("{batch}-{n}"), None)).collect();
        store.put_all(&records).unwrap();
    }
    assert_eq!(store.buckets.len(), 20_000);
    dir
}

#[test]
fn a_store_whose_log_was_cut_is_refused_rather_than_opened_empty() {
    let dir = filled();
    std::fs::File::options().write(true).open(dir.path().join("sled/db")).unwrap().set_len(200_000).unwrap();
    let fault = Store::open(dir.path(), options(Durability::Process)).unwrap_err();
    assert!(matches!(fault, StateFault::Damaged { .. }), "{fault}");
}

/// A copy of a state directory.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join("sled")).unwrap();
    for directory in ["", "sled"] {
        for entry in std::fs::read_dir(from.join(directory)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.path().join(directory).join(entry.file_name())).unwrap();
            }
        }
    }
    to
}

#[test]
fn a_segment_whose_damage_is_noticed_is_refused_with_a_reason() {
    let dir = filled();
    let len = std::fs::metadata(dir.path().join("sled/db")).unwrap().len();
    let mut refused = 0;
    for segment in 1..len / (512 * 1024) {
        let dir = copy(dir.path());
        let log = std::fs::File::options().write(true).open(dir.path().join("sled/db")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&log, &[0xAA; 4096], segment * 512 * 1024).unwrap();
        // Not noticed is one that held nothing in use, and one that held nothing but entries: to sled it is then one that
        // has been freed (docs/guarantees.md says what that means).
        let Err(fault) = Store::open(dir.path(), options(Durability::Power)) else { continue };
        refused += 1;
        assert!(matches!(fault, StateFault::Damaged { .. }), "{fault}");
        assert!(fault.to_string().contains("keep a copy"), "{fault}");
    }
    assert!(refused > 0, "none of {len} bytes mattered");
}

#[tokio::test]
async fn an_unfinished_snapshot_is_removed_and_nothing_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, thread) = open(dir.path());
    let _proof = ledger.record(delivered("acme", "e1", None)).await.unwrap();
    drop(ledger);
    thread.join().unwrap();
    let leftover = dir.path().join("sled/snap.0000000000000000.generating");
    std::fs::write(&leftover, b"half a snapshot").unwrap();
    let (ledger, _thread) = open(dir.path());
    assert!(!leftover.exists());
    assert!(ledger.look_up(&LedgerKey::new("acme", "e1")).unwrap().is_some());
}

#[tokio::test]
async fn an_oversized_body_is_kept_whole_under_power_durability() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(Durability::Power)).unwrap();
    let commits = CommitOptions { commit_max: 8, linger: Duration::ZERO, inbox_max: 8 };
    let (ledger, _thread) = Ledger::start(store, commits).unwrap();
    let mut delivery = spilled("acme", 1);
    delivery.event.body = Bytes::from(vec![b'x'; 2 << 20]);
    let _proof = ledger.record(Record::Spilled(Box::new(delivery.clone()))).await.unwrap();
    assert_eq!(ledger.store().spill().read(&Arc::from("acme"), 0..9, 1).unwrap(), [delivery]);
}

#[test]
fn a_database_that_is_still_being_closed_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), options(Durability::Process)).unwrap());
    // As if sled's helper threads held it: its own lock, without the directory's. They may still hold it indeed.
    let sled = sled::Config::new().path(dir.path().join("sled"));
    let held = (0..10_000).find_map(|_| {
        std::thread::park_timeout(Duration::from_millis(1));
        sled.open().ok()
    });
    let held = held.expect("sled's helper threads end");
    let closing = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_millis(100));
        drop(held);
    });
    assert!(Store::open(dir.path(), options(Durability::Process)).is_ok());
    closing.join().unwrap();
}

fn letter(broker: &str, spilled: &SpilledDelivery) -> DeadLetter {
    let event = &spilled.event;
    DeadLetter {
        position: event.position.clone(),
        broker: Some(Arc::from(broker)),
        stage: StageName::Deliver,
        cause: "refused".to_owned(),
        detail: String::new(),
        at: 9,
        history: History::default(),
        event_id: Some(event.event_id.to_string()),
        load_id: None,
        status: None,
        body: event.body.to_vec(),
        body_len: event.body.len() as u64,
        row: None,
    }
}

/// Makes `delivery` a dead letter and puts it on disk again; what the ledger and the letters say then.
fn replayed(store: &Store, delivery: &SpilledDelivery, recorded: &[Record]) -> (Outcome, usize) {
    let key = LedgerKey::new(&delivery.broker, &delivery.event.event_id);
    let letter = Box::new(letter(&delivery.broker, delivery));
    let dead = Record::DeadLettered {
        letter: letter.clone(),
        key: Some((key.clone(), delivery.event.digest)),
        spilled: None,
    };
    store.put_all(&[dead]).unwrap();
    store.put_all(recorded).unwrap();
    store
        .put_all(&[Record::Replayed { delivery: Box::new(delivery.clone()), letter: Some(letter) }])
        .unwrap();
    (store.look_up(&key).unwrap().unwrap().outcome, store.dead_letters().count())
}

#[test]
fn a_replayed_letter_waits_on_disk_and_what_has_been_delivered_since_stays_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let delivery = spilled("acme", 4);
    {
        let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
        assert_eq!(replayed(&store, &delivery, &[]), (Outcome::Spilled, 0));
        let since = delivered("acme", "e5", None);
        assert_eq!(replayed(&store, &spilled("acme", 5), &[since]), (Outcome::Delivered, 0));
    }
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    assert_eq!(store.spill().read(&Arc::from("acme"), 0..5, 9).unwrap(), [delivery]);
    let entry = store.look_up(&LedgerKey::new("acme", "e4")).unwrap().unwrap();
    assert_eq!(entry.outcome, Outcome::Spilled, "so that its turn, and no duplicate, comes to it");
}

#[test]
fn a_letter_whose_event_came_with_another_body_does_not_reopen_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    let mut other = spilled("acme", 4);
    other.event = Event { event_id: Arc::from("e4"), ..event("e4", "[]") };
    assert_eq!(replayed(&store, &spilled("acme", 4), &[]).0, Outcome::Spilled);
    let dead = Record::DeadLettered {
        letter: Box::new(letter("acme", &other)),
        key: Some((LedgerKey::new("acme", "e4"), BodyDigest::of(b"{}"))),
        spilled: None,
    };
    store.put_all(&[dead, Record::Replayed { delivery: Box::new(other), letter: None }]).unwrap();
    let entry = store.look_up(&LedgerKey::new("acme", "e4")).unwrap().unwrap();
    assert_eq!((entry.outcome, entry.digest), (Outcome::DeadLettered, BodyDigest::of(b"{}")));
}

/// The bytes of a delivery on disk as the first layout has them: no version of Loadline may forget how to read them.
const FIRST_LAYOUT: &str = "01040000000000000074657374000000000000000007000000000000000200000000000000653703000000000000004c2d31\
    07000000000000006d6174636865640100000000000000010200000000000000030000000000000044136fa355b3678a1146\
    ad16f7e8649e000000000000000000000000000000000000000000000000000002000000000000007b7d";

#[tokio::test]
async fn a_delivery_on_disk_from_before_there_were_traces_is_read_and_written_as_ever() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options(Durability::Process)).unwrap();
    let old: Vec<u8> = (0..FIRST_LAYOUT.len() / 2)
        .map(|at| u8::from_str_radix(&FIRST_LAYOUT[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let tree = store.db.open_tree("spill").unwrap();
    let key = [&b"a\0"[..], &7_u64.to_be_bytes()].concat();
    tree.insert(&key, old.clone()).unwrap();
    assert_eq!(store.spill().read(&Arc::from("a"), 0..8, 9).unwrap(), [spilled("a", 7)]);
    store.spill().put(&spilled("a", 7)).unwrap();
    let stored = tree.get(&key).unwrap().unwrap();
    assert_eq!(stored[envelope::open("spill", &key, &stored).unwrap()..], old);
}

#[tokio::test]
async fn a_place_in_a_trace_survives_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mut traced = spilled("a", 1);
    traced.event.traceparent = TraceParent::new([7; 16], [8; 8], true);
    {
        let store = Store::open(directory.path(), options(Durability::Process)).unwrap();
        store.put_all(&[Record::Spilled(Box::new(traced.clone()))]).unwrap();
    }
    let store = Store::open(directory.path(), options(Durability::Process)).unwrap();
    assert_eq!(store.spill().read(&Arc::from("a"), 0..8, 9).unwrap(), [traced]);
}

#[tokio::test]
async fn what_is_forgotten_without_an_outcome_is_known_at_once_and_after_reopening_until_it_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, thread) = open(dir.path());
    let key = LedgerKey::new("acme", "e1");
    let forgotten = ledger.forget(vec![key.clone()]);
    let claim = ledger.claim(key.clone()).await;
    assert!(claim.is_unresolved() && claim.count_once() && !claim.count_once());
    forgotten.await.unwrap();
    assert!(!claim.count_once(), "that it is on record makes no other repeat of it");
    drop(claim);
    ledger.forget(vec![key.clone()]).await.unwrap();
    let claim = ledger.claim(key.clone()).await;
    assert!(claim.count_once(), "it was sent and forgotten again");
    drop((claim, ledger));
    thread.join().unwrap();
    let (ledger, thread) = open(dir.path());
    assert!(ledger.claim(key.clone()).await.is_unresolved());
    let _proof = ledger.record(delivered("acme", "e1", None)).await.unwrap();
    assert!(!ledger.claim(key.clone()).await.is_unresolved());
    drop(ledger);
    thread.join().unwrap();
    assert!(!open(dir.path()).0.store().is_unresolved(&key));
}
