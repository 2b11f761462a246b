//! A directory that an earlier release wrote: it is opened, nothing of it is missing, and it cannot go back unnoticed.

use std::{fs, path::Path, sync::Arc};

use crate::{tests::options, *};

/// A directory of format 3, in which no value has an envelope.
fn earlier() -> tempfile::TempDir {
    let (from, to) =
        (Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/format-3")), tempfile::tempdir().unwrap());
    fs::create_dir(to.path().join("sled")).unwrap();
    for file in ["commits", "sled/db", "sled/conf"] {
        fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    to
}

fn open(dir: &Path) -> Store {
    // The ledger's entries are of the day the directory was made.
    let options = StoreOptions { dedupe_window: u64::MAX / 4, ..options(Durability::Process) };
    Store::open(dir, options).unwrap()
}

#[test]
fn a_directory_without_envelopes_is_read_whole_and_written_on() {
    let dir = earlier();
    for _ in 0..2 {
        let store = open(dir.path());
        let usage = store.spill().usage().unwrap();
        assert_eq!((usage["acme"].deliveries, usage["bolt"].deliveries), (7, 10));
        let read = store.spill().read(&Arc::from("acme"), 0..100, 100).unwrap();
        assert_eq!(read.iter().map(|delivery| delivery.seq).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9, 10]);
        let letters = store.dead_letters().iter().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(letters.iter().map(|letter| letter.position.offset).collect::<Vec<_>>(), [1, 2, 3]);
        let outcome = |id| store.look_up(&LedgerKey::new("acme", id)).unwrap().unwrap().outcome;
        assert_eq!(
            (outcome("d19"), outcome("e3"), outcome("e4")),
            (Outcome::Delivered, Outcome::DeadLettered, Outcome::Spilled)
        );
        let sources = store.sources();
        assert_eq!(sources.checkpoint("file:x").unwrap().unwrap().mark, [3]);
        // It has no attempts journal: what it may have read is in doubt from now on.
        assert_eq!(sources.horizon("file:x").unwrap(), None);
        assert_eq!(sources.doubt("file:x").unwrap(), Some(Horizon { epoch: 1, offset: 9 }));
        assert_eq!(store.brokers().doubt("bolt").unwrap(), 77);
        assert_eq!(store.brokers().paused("bolt").unwrap(), Some(Paused { since: 4 }));
        assert_eq!(store.intake_end(), 2);
        assert_eq!(store.intake.read(0, 100).unwrap().len(), 2);
        // What is written again gets its envelope; the next round reads it.
        store.put_all(&[Record::Spilled(Box::new(read[0].clone()))]).unwrap();
    }
}

#[test]
fn an_earlier_release_can_read_that_it_is_too_old() {
    let dir = earlier();
    let store = open(dir.path());
    let format = store.db.open_tree("meta").unwrap().get("format").unwrap().unwrap();
    assert_eq!(codec::decode::<u32>("meta", &format).unwrap(), 7);
}

#[test]
fn a_directory_of_the_format_before_is_read_whole_and_takes_deliveries_with_rows() {
    let dir = tempfile::tempdir().unwrap();
    let letter = dead_letters::tests::letter(3, "refused");
    let options = options(Durability::Process);
    let as_before = {
        let from = open(earlier().path());
        let read = from.spill().read(&Arc::from("acme"), 4..6, 2).unwrap();
        let store = Store::open(dir.path(), options.clone()).unwrap();
        let spilled = read.iter().map(|delivery| Record::Spilled(Box::new(delivery.clone())));
        let dead = Record::DeadLettered { letter: Box::new(letter.clone()), key: None, spilled: None };
        store.put_all(&spilled.chain([dead]).collect::<Vec<_>>()).unwrap();
        // Without rows every value is as format 6 has it.
        let meta = store.db.open_tree("meta").unwrap();
        meta.insert("format", codec::encode("meta", &6_u32).unwrap()).unwrap();
        read
    };
    for round in 0..2 {
        let store = Store::open(dir.path(), options.clone()).unwrap();
        let read = store.spill().read(&Arc::from("acme"), 0..100, 100).unwrap();
        assert_eq!(read[..2], as_before);
        assert_eq!(store.dead_letters().iter().next().unwrap().unwrap(), letter);
        let row = SpilledDelivery { seq: 50, row: Some(4_711), ..read[0].clone() };
        if round == 0 {
            store.put_all(&[Record::Spilled(Box::new(row))]).unwrap();
        } else {
            assert_eq!(read[2..], [row]);
        }
    }
}
