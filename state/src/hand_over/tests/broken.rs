//! What is refused, and that nothing has changed then.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_or_changed_anywhere_is_refused_and_changes_nothing() {
    let (from, to) = (used(), Place::new());
    from.open().export(SOURCE, &from.file()).unwrap();
    let whole = fs::read(from.file()).unwrap();
    let store = to.open();
    store.put_all(&[delivered("a", "own"), Record::Spilled(Box::new(waits(OTHER, "a", 4, "own")))]).unwrap();
    let before = contents(&store);
    let broken = to.file();
    let refuse = |bytes: &[u8], what: &str| {
        fs::write(&broken, bytes).unwrap();
        let fault = import(&store, &broken).unwrap_err();
        let expected = matches!(
            fault,
            HandOverFault::Damaged { .. } | HandOverFault::Foreign { .. } | HandOverFault::TooNew { .. }
        );
        assert!(expected, "{what}: {fault}");
    };
    for at in 0..whole.len() {
        refuse(&whole[..at], &format!("cut at {at}"));
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        refuse(&changed, &format!("a bit of byte {at} changed"));
    }
    refuse(&[&whole[..], b"\n"].concat(), "a byte more");
    refuse(&[&whole[..], &whole[..]].concat(), "twice");
    assert_eq!(contents(&store), before);
    fs::write(&broken, &whole).unwrap();
    import(&store, &broken).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_or_belong_here_is_refused_with_numbers_and_changes_nothing() {
    let (from, to) = (used(), Place::new());
    from.open().export(SOURCE, &from.file()).unwrap();
    let store = to.open();
    let before = contents(&store);
    let all = brokers();
    let fits = Arrival {
        sources: "fluvio:events/",
        brokers: &all,
        spill_broker_max: 1 << 20,
        spill_total_max: 1 << 20,
    };
    let refused = |arrival: Arrival<'_>| store.import(&from.file(), &arrival).unwrap_err().to_string();
    let topic = refused(Arrival { sources: "fluvio:other/", ..fits.clone() });
    assert!(topic.contains("holds fluvio:events/0, which is none of fluvio:other/*"), "{topic}");
    let unknown = refused(Arrival { brokers: &all[..1], ..fits.clone() });
    assert!(unknown.starts_with("1 deliveries in the file are for broker ab,"), "{unknown}");
    let queue = refused(Arrival { spill_broker_max: 100, ..fits.clone() });
    assert!(queue.starts_with("the disk queue of a holds 0 bytes, "), "{queue}");
    let whole = refused(Arrival { spill_total_max: 600, ..fits.clone() });
    assert!(whole.starts_with("all disk queues hold 0 bytes, "), "{whole}");
    assert_eq!(contents(&store), before);
    store.import(&from.file(), &fits).unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_file_is_overwritten_only_its_owner_may_read_it_and_a_failed_export_changes_nothing() {
    let place = used();
    let store = place.open();
    let before = contents(&store);
    fs::write(place.file(), b"precious").unwrap();
    let there = store.export(SOURCE, &place.file()).unwrap_err();
    assert!(matches!(there, HandOverFault::FileExists { .. }), "{there}");
    assert_eq!(fs::read(place.file()).unwrap(), b"precious");
    let none = store.export("fluvio:events/5", &place.dir.path().join("new")).unwrap_err();
    assert!(matches!(none, HandOverFault::NotHere { .. }), "{none}");
    assert_eq!(contents(&store), before);
    let nowhere = store.export(SOURCE, &place.dir.path().join("no/where")).unwrap_err();
    assert!(matches!(nowhere, HandOverFault::File { .. }), "{nowhere}");
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(1_000)));
    assert_eq!(ids(&store, "a"), ["first", "stays", "second"]);
    fs::remove_file(place.file()).unwrap();
    store.export(SOURCE, &place.file()).unwrap();
    let mode = fs::metadata(place.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let files: Vec<_> = fs::read_dir(place.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "something else is left: {files:?}");
}
