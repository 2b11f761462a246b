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
            TransferFault::Damaged { .. } | TransferFault::Foreign { .. } | TransferFault::TooNew { .. }
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
    let fits = ImportRules {
        sources: "fluvio:events/",
        is_source: &is_source,
        brokers: &all,
        spill_broker_max: 1 << 20,
        spill_total_max: 1 << 20,
    };
    let refused = |rules: ImportRules<'_>| store.import(&from.file(), &rules).unwrap_err().to_string();
    let topic = refused(ImportRules { sources: "fluvio:other/", ..fits.clone() });
    assert!(topic.contains("holds fluvio:events/0, which is none of fluvio:other/*"), "{topic}");
    let unknown = refused(ImportRules { brokers: &all[..1], ..fits.clone() });
    assert!(unknown.starts_with("1 deliveries in the file are for broker ab,"), "{unknown}");
    let queue = refused(ImportRules { spill_broker_max: 100, ..fits.clone() });
    assert!(queue.starts_with("the disk queue of a holds 0 bytes, "), "{queue}");
    let whole = refused(ImportRules { spill_total_max: 600, ..fits.clone() });
    assert!(whole.starts_with("all disk queues hold 0 bytes, "), "{whole}");
    assert_eq!(contents(&store), before);
    store.import(&from.file(), &fits).unwrap();
}

/// A whole file of one delivery and one entry, each changed before it is written.
fn crafted(
    place: &Place,
    change: impl FnOnce(&mut file::Header, &mut SpilledDelivery, &mut file::KeptEntry),
) -> std::path::PathBuf {
    let store = Place::new().open();
    let mut header = file::Header {
        source: Arc::from(SOURCE),
        generation: 1,
        exported_at: 5 * WINDOW,
        checkpoint: checkpoint(5),
        horizon: Some(Horizon { epoch: 0, offset: 9 }),
    };
    let mut delivery = waits(SOURCE, "a", 1, "e");
    let entry = LedgerEntry {
        outcome: Outcome::Delivered,
        digest: BodyDigest::of(b"x"),
        failed_attempts: 0,
        at: 5 * WINDOW,
    };
    let mut kept = file::KeptEntry { key: LedgerKey::new("a", "other").as_bytes().to_vec(), entry };
    change(&mut header, &mut delivery, &mut kept);
    let path = place.dir.path().join("crafted.export");
    let mut writer = file::Writer::begin(fs::File::create(&path).unwrap(), &path, &header, false).unwrap();
    let (broker, value) = (delivery.broker.clone(), store.spill().encode(&delivery).unwrap());
    writer.delivery(&file::MovedDelivery { broker, value, entry: None }).unwrap();
    writer.entry(&kept).unwrap();
    writer.finish().unwrap();
    path
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_read_is_told_as_the_files_damage_and_not_as_the_directorys() {
    let place = Place::new();
    let store = place.open();
    let value = store.spill().encode(&waits(SOURCE, "a", 1, "e")).unwrap();
    let path = place.dir.path().join("cut.export");
    let header = file::Header {
        source: Arc::from(SOURCE),
        generation: 1,
        exported_at: 5 * WINDOW,
        checkpoint: checkpoint(5),
        horizon: None,
    };
    let mut writer = file::Writer::begin(fs::File::create(&path).unwrap(), &path, &header, false).unwrap();
    let value = value[..value.len() - 3].to_vec();
    writer.delivery(&file::MovedDelivery { broker: "a".into(), value, entry: None }).unwrap();
    writer.finish().unwrap();
    let told = import(&store, &path).unwrap_err();
    assert!(matches!(told, TransferFault::Damaged { .. }), "{told}");
    let told = told.to_string();
    assert!(told.contains("cut.export is damaged: a value in it cannot be read"), "{told}");
    assert!(!told.contains("state directory"), "{told}");
}

type Change = fn(&mut file::Header, &mut SpilledDelivery, &mut file::KeptEntry);

#[tokio::test(start_paused = true)]
async fn a_whole_file_that_no_export_writes_is_refused_by_what_is_wrong_and_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    let before = contents(&store);
    let table: [(&str, Change); 27] = [
        ("number of the move is 0", |header, _, _| header.generation = 0),
        ("number of the move is 18446744073709551615", |header, _, _| header.generation = u64::MAX),
        ("time of the export", |header, _, _| header.exported_at = u64::MAX),
        ("checkpoint's offset", |header, _, _| header.checkpoint.offset = u64::MAX),
        ("checkpoint's mark", |header, _, _| header.checkpoint.mark = vec![7; 1_000_000]),
        ("is none of fluvio:events/0", |header, _, _| header.checkpoint.mark = vec![8; 21]),
        ("horizon's offset", |header, _, _| header.horizon = Some(Horizon { epoch: 0, offset: u64::MAX })),
        ("is none of \"fluvio:events/0x\\u{1b}[2J\"", |header, delivery, _| {
            header.source = Arc::from("fluvio:events/0x\u{1b}[2J");
            delivery.event.position.source = header.source.clone();
        }),
        ("a delivery is of fluvio:events/1", |_, delivery, _| delivery.event.position.source = OTHER.into()),
        ("\"a\\u{0}\\u{5}\" is no name of a broker", |_, delivery, _| delivery.broker = "a\0\u{5}".into()),
        ("\"\" is no name of a broker", |_, delivery, _| delivery.broker = "".into()),
        ("an event id", |_, delivery, _| delivery.event.event_id = "".into()),
        ("an event id", |_, delivery, _| delivery.event.event_id = "a\r\nFAKE 2026 ERROR".into()),
        ("an event id", |_, delivery, _| delivery.event.event_id = "x".repeat(5_000_000).into()),
        ("a load id", |_, delivery, _| delivery.event.load_id = "\u{1b}]0;t\u{7}".into()),
        ("a status", |_, delivery, _| delivery.event.status = "".into()),
        ("a delivery's offset", |_, delivery, _| delivery.event.position.offset = u64::MAX),
        ("not the one of its digest", |_, delivery, _| delivery.event.digest = BodyDigest::of(b"y")),
        ("time of an event", |_, delivery, _| delivery.event.occurred_at = u64::MAX),
        ("an event was read", |_, delivery, _| delivery.event.read_at = u64::MAX),
        ("is not tried", |_, delivery, _| delivery.not_before = u64::MAX),
        ("attempts kept", |_, delivery, _| {
            let attempt = delivery.history.last[0].clone();
            delivery.history.last = vec![attempt; HISTORY_MAX + 1];
        }),
        ("cause of an attempt", |_, delivery, _| delivery.history.last[0].cause = "\u{1b}[31m".to_owned()),
        ("key of a ledger entry", |_, _, kept| kept.key = b"abc".to_vec()),
        ("key of a ledger entry", |_, _, kept| kept.key = b"\xff\0a".to_vec()),
        ("an event id", |_, _, kept| kept.key = LedgerKey::new("a", &"x".repeat(1_025)).as_bytes().to_vec()),
        ("time of a ledger entry", |_, _, kept| kept.entry.at = u64::MAX),
    ];
    for (why, change) in table {
        let told = import(&store, &crafted(&place, change)).unwrap_err();
        assert!(matches!(told, TransferFault::Unfit { .. }), "{why}: {told}");
        let told = told.to_string();
        assert!(told.contains(why) && told.len() < 400, "{why}: {told}");
        assert!(!told.contains(is_unprintable), "{told:?}");
        assert_eq!(contents(&store), before, "{why}: something has changed");
    }
    import(&store, &crafted(&place, |_, _, _| {})).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_file_is_refused_and_not_waited_for() {
    let place = Place::new();
    let pipe = place.dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for path in [&pipe, place.dir.path(), Path::new("/dev/zero")] {
        let told = import(&place.open(), path).unwrap_err();
        assert!(matches!(told, TransferFault::NoFile { .. }), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_file_is_overwritten_only_its_owner_may_read_it_and_a_failed_export_changes_nothing() {
    let place = used();
    let store = place.open();
    let before = contents(&store);
    fs::write(place.file(), b"precious").unwrap();
    let there = store.export(SOURCE, &place.file()).unwrap_err();
    assert!(matches!(there, TransferFault::FileExists { .. }), "{there}");
    assert_eq!(fs::read(place.file()).unwrap(), b"precious");
    let none = store.export("fluvio:events/5", &place.dir.path().join("new")).unwrap_err();
    assert!(matches!(none, TransferFault::NotHere { .. }), "{none}");
    assert_eq!(contents(&store), before);
    let nowhere = store.export(SOURCE, &place.dir.path().join("no/where")).unwrap_err();
    assert!(matches!(nowhere, TransferFault::File { .. }), "{nowhere}");
    assert_eq!(store.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(1_000)));
    assert_eq!(ids(&store, "a"), ["first", "stays", "second"]);
    fs::remove_file(place.file()).unwrap();
    store.export(SOURCE, &place.file()).unwrap();
    let mode = fs::metadata(place.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let files: Vec<_> = fs::read_dir(place.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "something else is left: {files:?}");
}
