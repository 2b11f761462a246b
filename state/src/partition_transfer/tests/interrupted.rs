//! A process ends between two steps.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_export_that_ends_before_the_fence_leaves_the_source_here_and_its_file_is_of_no_use_later() {
    let place = used();
    let store = place.open();
    assert_eq!(store.number_move(SOURCE).unwrap().generation, 1);
    drop(store);
    let store = place.open();
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(1_000)));
    let header = store.number_move(SOURCE).unwrap();
    assert_eq!(header.generation, 2, "no two files may have one number");
    store.write_move(&header, &place.file()).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(1_000)));
    assert_eq!(ids(&store, "a"), ["first", "stays", "second"]);
    let second = place.dir.path().join("second");
    let exported = store.export(SOURCE, &second).unwrap();
    assert_eq!((exported.generation, exported.deliveries), (3, 4));
    let stale = import(&store, &place.file()).unwrap_err();
    assert!(matches!(stale, TransferFault::Superseded { found: 2, known: 3, .. }), "{stale}");
    import(&store, &second).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_export_that_ends_behind_the_fence_is_finished_when_the_directory_is_opened() {
    let place = used();
    let store = place.open();
    let header = store.number_move(SOURCE).unwrap();
    store.write_move(&header, &place.file()).unwrap();
    store.fence(&header, &place.file()).unwrap();
    assert_eq!(ids(&store, "a").len(), 3, "nothing is removed yet");
    drop(store);
    let store = place.open();
    assert_eq!(ids(&store, "a"), ["stays"]);
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), None);
    let ownership = store.sources().ownership(SOURCE).unwrap().unwrap();
    assert!(matches!(ownership.owner, Owner::Exported { cleared: true, .. }), "{ownership:?}");
    // What comes back from a dead letter later is this directory's to deliver.
    let replayed = waits(SOURCE, "a", 300, "replayed");
    store.put_all(&[Record::Replayed { delivery: Box::new(replayed), letter: None }]).unwrap();
    drop(store);
    assert_eq!(ids(&place.open(), "a"), ["stays", "replayed"]);
}

#[tokio::test(start_paused = true)]
async fn an_import_that_ends_in_the_middle_delivers_nothing_and_is_finished_by_another() {
    let (from, to) = (used(), Place::new());
    from.open().export(SOURCE, &from.file()).unwrap();
    let store = to.open();
    let own = Record::Spilled(Box::new(waits(OTHER, "a", 4, "own")));
    store.put_all(&[own, delivered("b", "third")]).unwrap();
    let brokers = brokers();
    let rules = ImportRules {
        sources: "fluvio:",
        is_source: &is_source,
        brokers: &brokers,
        spill_broker_max: 1 << 20,
        spill_total_max: 1 << 20,
    };
    let half_way = |store: &Store, taken: bool| {
        let (reader, header, incoming) = store.validate(&from.file(), &rules).unwrap();
        let numbers = store.reserve_numbers(&from.file(), &header, &incoming).unwrap();
        if taken {
            store.take_in(reader, &header, numbers).unwrap();
        }
    };
    half_way(&store, false);
    drop(store);
    let store = to.open();
    half_way(&store, true);
    assert_eq!(ids(&store, "a"), ["own", "first", "second"]);
    drop(store);

    let store = to.open();
    assert_eq!(ids(&store, "a"), ["own"], "what has arrived in part would be delivered");
    assert!(store.sources().checkpoint(SOURCE).unwrap().is_none());
    let owner = store.sources().ownership(SOURCE).unwrap().unwrap().owner;
    assert!(matches!(owner, Owner::Importing { ref queued, .. } if queued.is_empty()), "{owner:?}");
    let found = |id: &str| store.look_up(&LedgerKey::new("a", id)).unwrap();
    assert!(found("first").is_none(), "the event looks taken care of");
    assert!(found("taken").is_some());
    let fault = store.export(SOURCE, &to.file()).unwrap_err();
    assert!(matches!(fault, TransferFault::ImportInterrupted { .. }), "{fault}");

    // Something came meanwhile.
    store.put_all(&[Record::Spilled(Box::new(waits(OTHER, "a", 5, "next")))]).unwrap();
    import(&store, &from.file()).unwrap();
    assert_eq!(ids(&store, "a"), ["own", "next", "first", "second"]);
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(1_000)));
    assert!(found("first").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_while_it_is_imported_leaves_nothing_to_deliver() {
    let (from, to) = (used(), Place::new());
    from.open().export(SOURCE, &from.file()).unwrap();
    let store = to.open();
    let brokers = brokers();
    let rules = ImportRules {
        sources: "fluvio:",
        is_source: &is_source,
        brokers: &brokers,
        spill_broker_max: 1 << 20,
        spill_total_max: 1 << 20,
    };
    let (reader, header, incoming) = store.validate(&from.file(), &rules).unwrap();
    let numbers = store.reserve_numbers(&from.file(), &header, &incoming).unwrap();
    // In place: whole, of the same move, with other contents.
    let whole = std::fs::read(from.file()).unwrap();
    let partial = from.dir.path().join("other");
    let file = std::fs::File::create(&partial).unwrap();
    file::Writer::begin(file, &partial, &header, false).unwrap().finish().unwrap();
    std::fs::write(from.file(), std::fs::read(&partial).unwrap()).unwrap();
    let fault = store.take_in(reader, &header, numbers).unwrap_err();
    assert!(matches!(fault, TransferFault::Changed { .. }), "{fault}");
    drop(store);
    std::fs::write(from.file(), whole).unwrap();
    let store = to.open();
    assert!(ids(&store, "a").is_empty());
    import(&store, &from.file()).unwrap();
    assert_eq!(ids(&store, "a"), ["first", "second"]);
}
