//! A source goes from one directory to another: what is looked up there, where it resumes and what waits, in which order.

mod broken;
mod interrupted;
mod round_trip;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::*;

pub(super) const SOURCE: &str = "fluvio:events/0";
pub(super) const OTHER: &str = "fluvio:events/1";
pub(super) const WINDOW: u64 = 1_000_000;

/// A directory that knows what the time is.
pub(super) struct Place {
    dir: TempDir,
    now: UnixMillis,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), now: 5 * WINDOW }
    }

    pub(super) fn later(mut self, by: u64) -> Self {
        self.now += by;
        self
    }

    /// Opens it; the clock stands still, because the runtime's does.
    pub(super) fn open(&self) -> Store {
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: WINDOW,
            cache: 16 << 20,
            clock: Clock::simulated(self.now),
        };
        Store::open(&self.dir.path().join("state"), options).unwrap()
    }

    pub(super) fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("partition.export")
    }
}

pub(super) fn brokers() -> Vec<String> {
    ["a", "ab", "b"].map(str::to_owned).to_vec()
}

pub(super) fn import(store: &Store, file: &Path) -> Result<PartitionTransfer, TransferFault> {
    let brokers = brokers();
    let rules = ImportRules {
        sources: "fluvio:events/",
        is_source: &is_source,
        brokers: &brokers,
        spill_broker_max: 1 << 20,
        spill_total_max: 2 << 20,
    };
    store.import(file, &rules)
}

/// Partitions 0 and 1 of a topic.
pub(super) fn is_source(name: &str, mark: &[u8]) -> bool {
    [SOURCE, OTHER].contains(&name) && mark == [7; 21]
}

pub(super) fn checkpoint(offset: u64) -> Checkpoint {
    Checkpoint { epoch: 0, offset, mark: vec![7; 21] }
}

pub(super) fn event(source: &str, id: &str) -> Event {
    let (position, body) =
        (Position::new(Arc::from(source), 0, 7), Bytes::from(format!("{{\"id\":\"{id}\"}}")));
    Event { position, digest: BodyDigest::of(&body), body, ..crate::tests::event(id, "") }
}

pub(super) fn waits(source: &str, broker: &str, seq: SpillSeq, id: &str) -> SpilledDelivery {
    let failed = FailedAttempt {
        at: 9,
        status: Some(503),
        cause: "busy".to_owned(),
        may_have_arrived: true,
        answer: None,
    };
    let history = History { attempts: 2, counted: 1, may_have_arrived: true, last: vec![failed] };
    SpilledDelivery {
        history,
        not_before: 12_345,
        ..SpilledDelivery::untried(Arc::from(broker), seq, event(source, id))
    }
}

pub(super) fn delivered(broker: &str, id: &str) -> Record {
    let digest = event(SOURCE, id).digest;
    Record::Delivered { key: LedgerKey::new(broker, id), digest, failed_attempts: 1, spilled: None }
}

pub(super) fn settled(source: &str, offset: u64) -> Record {
    Record::Checkpoint(Arc::from(source), checkpoint(offset))
}

/// What a directory has: source, ledger, spill.
pub(super) fn contents(store: &Store) -> impl PartialEq + std::fmt::Debug + use<> {
    let entries: Vec<_> = store.buckets.newest_entries().map(Result::unwrap).collect();
    let waiting: Vec<_> = store.spill.all().map(Result::unwrap).collect();
    let sources: Vec<_> = [SOURCE, OTHER]
        .map(|source| {
            let of = store.sources();
            (of.checkpoint(source).unwrap(), of.doubt(source).unwrap(), of.ownership(source).unwrap())
        })
        .into_iter()
        .collect();
    (entries, waiting, sources)
}

pub(super) fn ids(store: &Store, broker: &str) -> Vec<String> {
    let found = store.spill().read(&Arc::from(broker), 0..u64::MAX, 1_000).unwrap();
    found.iter().map(|delivery| delivery.event.event_id.to_string()).collect()
}

/// A directory in which a source has been read for a while, and a run was killed.
pub(super) fn used() -> Place {
    let place = Place::new();
    let store = place.open();
    let mut traced = waits(SOURCE, "b", 9, "traced");
    traced.event.traceparent = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert!(traced.event.traceparent.is_some());
    let spilled = |delivery| Record::Spilled(Box::new(delivery));
    let records = [
        delivered("a", "taken"),
        delivered("b", "taken"),
        spilled(waits(SOURCE, "a", 255, "first")),
        spilled(waits(OTHER, "a", 256, "stays")),
        spilled(waits(SOURCE, "a", 257, "second")),
        spilled(waits(SOURCE, "ab", 3, "third")),
        spilled(traced),
        settled(SOURCE, 1_000),
        settled(OTHER, 77),
        Record::Horizon(Arc::from(SOURCE), Some(Horizon { epoch: 0, offset: 2_024 })),
        Record::DrainHorizon(Arc::from("a"), 256),
    ];
    store.put_all(&records).unwrap();
    place
}

#[tokio::test(start_paused = true)]
async fn what_one_directory_had_the_other_has() {
    let (from, to) = (used(), Place::new());
    let store = from.open();
    let exported = store.export(SOURCE, &from.file()).unwrap();
    assert_eq!((exported.generation, exported.deliveries, exported.entries), (1, 4, 2));
    assert_eq!(exported.bytes, std::fs::metadata(from.file()).unwrap().len());
    assert_eq!((ids(&store, "a"), ids(&store, "ab").len()), (vec!["stays".to_owned()], 0));
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), None, "the checkpoint must not be usable");
    assert_eq!(store.sources().doubt(SOURCE).unwrap(), None);
    assert_eq!(store.sources().checkpoint(OTHER).unwrap(), Some(checkpoint(77)));
    let kept = |id: &str| store.look_up(&LedgerKey::new("a", id)).unwrap().map(|entry| entry.outcome);
    assert_eq!((kept("taken"), kept("stays")), (Some(Outcome::Delivered), Some(Outcome::Spilled)));
    assert_eq!(kept("second"), None, "nothing here would deliver it any more");

    let store = to.open();
    let before = [Record::Spilled(Box::new(waits(OTHER, "a", 4, "earlier"))), delivered("b", "own")];
    store.put_all(&before).unwrap();
    store.put_all(&[Record::DrainHorizon(Arc::from("ab"), 50)]).unwrap();
    let imported = import(&store, &from.file()).unwrap();
    assert_eq!(imported, exported);
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(1_000)));
    assert_eq!(store.sources().doubt(SOURCE).unwrap(), Some(Horizon { epoch: 0, offset: 2_024 }));
    assert_eq!(ids(&store, "a"), ["earlier", "first", "second"]);
    let of_a = store.spill().read(&Arc::from("a"), 5..7, 9).unwrap();
    // The first may have been sent by the run that was killed, the second not.
    let mut first = waits(SOURCE, "a", 5, "first");
    first.may_repeat = true;
    assert_eq!(of_a, [first, waits(SOURCE, "a", 6, "second")]);
    let of_ab = store.spill().read(&Arc::from("ab"), 0..u64::MAX, 9).unwrap();
    assert_eq!(of_ab, [waits(SOURCE, "ab", 50, "third")], "a number that an earlier run may have sent");
    assert!(store.spill().read(&Arc::from("b"), 0..9, 1).unwrap()[0].event.traceparent.is_some());
    let outcome = |broker: &str, id: &str| {
        store.look_up(&LedgerKey::new(broker, id)).unwrap().map(|entry| entry.outcome)
    };
    assert_eq!(outcome("a", "taken"), Some(Outcome::Delivered));
    assert_eq!(outcome("b", "own"), Some(Outcome::Delivered));
    assert_eq!(outcome("a", "second"), Some(Outcome::Spilled));
    assert_eq!(outcome("a", "stays"), None, "nothing here would deliver it");
}

#[tokio::test(start_paused = true)]
async fn an_entry_counts_from_when_it_was_recorded_and_an_old_one_does_not_come() {
    let from = used();
    drop(from.open());
    let from = from.later(WINDOW / 2);
    let store = from.open();
    store.put_all(&[delivered("a", "later")]).unwrap();
    drop(store);
    let from = from.later(WINDOW / 2 + 1);
    let exported = from.open().export(SOURCE, &from.file()).unwrap();
    assert_eq!(exported.entries, 1, "what is older than the window stays");
    let to = Place::new().later(WINDOW + 1);
    import(&to.open(), &from.file()).unwrap();
    let found = |place: &Place| place.open().look_up(&LedgerKey::new("a", "later")).unwrap();
    assert_eq!(found(&to).unwrap().at, 5 * WINDOW + WINDOW / 2);
    let to = to.later(WINDOW / 2 - 1);
    assert!(found(&to).is_some(), "it is within the window");
    let to = to.later(WINDOW);
    assert!(found(&to).is_none(), "it lives longer than one that was recorded here");
}

#[tokio::test(start_paused = true)]
async fn the_same_move_is_imported_once_and_a_source_that_is_read_is_not_taken_over() {
    let (from, to) = (used(), Place::new());
    let store = from.open();
    store.export(SOURCE, &from.file()).unwrap();
    let again = store.export(SOURCE, &from.dir.path().join("other")).unwrap_err();
    assert!(again.to_string().contains("partition.export (move 1)"), "{again}");
    drop(store);
    let target = to.open();
    import(&target, &from.file()).unwrap();
    let once = import(&target, &from.file()).unwrap_err();
    assert!(matches!(once, TransferFault::Superseded { found: 1, known: 1, .. }), "{once}");
    drop(target);
    let taken = used();
    let taken = import(&taken.open(), &from.file()).unwrap_err();
    assert!(matches!(taken, TransferFault::Occupied { offset: 1_000, .. }), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn a_source_comes_back_with_what_was_delivered_meanwhile_and_an_older_move_does_not() {
    let (from, to) = (used(), Place::new());
    from.open().export(SOURCE, &from.file()).unwrap();
    let store = to.open();
    import(&store, &from.file()).unwrap();
    let delivery = store.spill().read(&Arc::from("a"), 0..9, 1).unwrap().remove(0);
    let key = LedgerKey::new("a", "first");
    let spilled = Some((delivery.broker, delivery.seq));
    let digest = delivery.event.digest;
    let taken = Record::Delivered { key, digest, failed_attempts: 3, spilled };
    store.put_all(&[taken, settled(SOURCE, 2_000)]).unwrap();
    let back = store.export(SOURCE, &to.file()).unwrap();
    assert_eq!((back.generation, back.deliveries), (2, 3));
    drop(store);

    let store = from.open();
    import(&store, &to.file()).unwrap();
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(2_000)));
    assert_eq!(ids(&store, "a"), ["stays", "second"]);
    let entry = store.look_up(&LedgerKey::new("a", "first")).unwrap().unwrap();
    assert_eq!((entry.outcome, entry.failed_attempts), (Outcome::Delivered, 3));
    let old = import(&store, &from.file()).unwrap_err();
    assert!(matches!(old, TransferFault::Superseded { found: 1, known: 2, .. }), "{old}");
    // The number goes on where it was.
    assert_eq!(store.export(SOURCE, &from.dir.path().join("third")).unwrap().generation, 3);
}

#[tokio::test(start_paused = true)]
async fn the_file_itself_takes_a_source_back_where_it_was_exported_also_for_a_broker_that_has_left() {
    let place = used();
    let store = place.open();
    let gone = Record::Spilled(Box::new(waits(SOURCE, "gone", 1, "stranded")));
    store.put_all(&[gone]).unwrap();
    store.export(SOURCE, &place.file()).unwrap();
    let elsewhere = import(&Place::new().open(), &place.file()).unwrap_err();
    let named = "1 deliveries in the file are for broker gone";
    assert!(elsewhere.to_string().starts_with(named), "{elsewhere}");
    import(&store, &place.file()).unwrap();
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(1_000)));
    assert_eq!(ids(&store, "a"), ["stays", "first", "second"]);
    assert_eq!(ids(&store, "gone"), ["stranded"]);
}
