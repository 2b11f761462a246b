//! Large deliveries, letters and records on disk: whole or not there, whatever a crash leaves of their parts.

use std::path::Path;

use bytes::Bytes;

use crate::{
    parts::PART,
    tests::{event, options},
    *,
};

const ALL: std::ops::Range<SpillSeq> = 0..SpillSeq::MAX;

fn open(dir: &Path) -> Result<Store, StateFault> {
    Store::open(dir, options(Durability::Process))
}

/// A delivery whose body has this length; no two parts of it are alike.
fn large(seq: SpillSeq, len: usize) -> SpilledDelivery {
    let body: Vec<u8> = (0..len).map(|at| (at / PART * 31 + at % 251) as u8).collect();
    SpilledDelivery::untried(
        "a".into(),
        seq,
        Event { digest: BodyDigest::of(&body), body: Bytes::from(body), ..event("e", "") },
    )
}

fn letter(at: u64, len: usize) -> DeadLetter {
    DeadLetter { at, body: vec![7; len], body_len: len as u64, ..dead_letters::tests::letter(1, "refused") }
}

fn spilled(delivery: &SpilledDelivery) -> Record {
    Record::Spilled(Box::new(delivery.clone()))
}

/// How many parts there are in the tree of this name.
fn parts(store: &Store, tree: &str) -> usize {
    store.db.open_tree(tree).unwrap().len()
}

#[test]
fn deliveries_of_any_length_come_back_and_count_with_all_of_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let around = (PART - 200..PART + 20).step_by(10).chain([2 * PART, 300_000]);
    let all: Vec<_> = (1..).zip(around).map(|(seq, len)| large(seq, len)).collect();
    let store = open(dir.path()).unwrap();
    store.put_all(&all.iter().map(spilled).collect::<Vec<_>>()).unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.spill().read(&"a".into(), ALL, 1_000).unwrap(), all);
    let usage = store.spill().usage_of("a").unwrap();
    let bodies: usize = all.iter().map(|delivery| delivery.event.body.len()).sum();
    assert!(usage.bytes > bodies as u64, "{usage:?}");
    assert_eq!(store.spill().usage().unwrap()["a"], usage);
    for delivery in &all {
        store.commit(|_now| store.spill().remove("a", delivery.seq)).unwrap();
    }
    assert_eq!(parts(&store, "spill-parts"), 0);
    drop(store);
    assert_eq!(open(dir.path()).unwrap().spill().usage_of("a").unwrap().bytes, 0);
}

#[test]
fn a_large_letter_that_replaces_another_leaves_no_part_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let letters = store.dead_letters();
    for letter in [letter(1, 100_000), letter(2, 100_000), letter(2, 100_000), letter(3, 10_000)] {
        letters.put(&letter).unwrap();
        let found: Vec<_> = letters.iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(found, [letter]);
    }
    assert_eq!(parts(&store, "dead-parts"), 3);
    letters.put(&letter(4, 10)).unwrap();
    assert_eq!(parts(&store, "dead-parts"), 0);
    letters.put(&letter(5, 10_000)).unwrap();
    letters.remove(&letter(5, 10_000)).unwrap();
    assert_eq!((letters.count(), parts(&store, "dead-parts")), (0, 0));
}

#[test]
fn parts_that_a_crash_has_left_without_their_head_are_removed_and_change_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (large(1, 50_000), large(2, 60_000));
    let store = open(dir.path()).unwrap();
    store.put_all(&[spilled(&one), spilled(&other)]).unwrap();
    let whole = parts(&store, "spill-parts");
    // Before the head of a new one, before the head of one that replaces another, and behind the removal of a head.
    let table = store.spill().table();
    for (seq, len) in [(0, 9_000), (1, 20_000), (3, 9_000), (2, 70_000)] {
        let _head = table.parts().seal(&spill::key("a", seq), &vec![1; len]).unwrap();
    }
    let tree = store.db.open_tree("spill-parts").unwrap();
    tree.insert([0; 3], &[1]).unwrap();
    let last_of_another = tree.last().unwrap().unwrap().0;
    tree.remove(last_of_another).unwrap();
    assert!(parts(&store, "spill-parts") > whole);
    store.db.flush().unwrap();
    drop((tree, store));
    let store = open(dir.path()).unwrap();
    assert_eq!(store.spill().read(&"a".into(), ALL, 9).unwrap(), [one, other]);
    assert_eq!(parts(&store, "spill-parts"), whole);
}

#[test]
fn a_part_that_is_damaged_or_missing_is_found_when_the_directory_is_opened_and_by_a_check() {
    for damage in 0..3_usize {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let store = open(&state).unwrap();
        store.put_all(&[spilled(&large(1, 50_000)), spilled(&large(2, 50_000))]).unwrap();
        let tree = store.db.open_tree("spill-parts").unwrap();
        let (key, mut part) = tree.iter().nth(3 + damage).unwrap().unwrap();
        match damage {
            0 => drop(tree.remove(&key).unwrap()),
            1 => {
                part[7] ^= 1;
                tree.insert(&key, part).unwrap();
            }
            _ => drop(tree.insert(&key, &part[1..]).unwrap()),
        }
        store.db.flush().unwrap();
        drop((tree, store));
        let fault = open(&state).unwrap_err().to_string();
        assert!(fault.contains("a value in spill cannot be read"), "{fault}");
        let saved = open(&dir.path().join("saved")).unwrap();
        let check =
            StateCheck::salvage(&state, &dir.path().join("scratch"), Durability::Process, &saved).unwrap();
        assert!(!check.is_whole() && check.damage[0].contains("a value in spill"), "{:?}", check.damage);
        assert_eq!(saved.spill().read(&"a".into(), ALL, 9).unwrap(), [large(2, 50_000)]);
    }
}

#[test]
fn a_whole_directory_with_large_values_is_whole_by_a_check_too() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let store = open(&state).unwrap();
    let dead = Record::DeadLettered { letter: Box::new(letter(1, 9_000)), key: None, spilled: None };
    store.put_all(&[spilled(&large(1, 50_000)), dead]).unwrap();
    drop(store);
    let saved = open(&dir.path().join("saved")).unwrap();
    let check =
        StateCheck::salvage(&state, &dir.path().join("scratch"), Durability::Process, &saved).unwrap();
    assert!(check.is_whole(), "{:?} {:?}", check.damage, check.missing);
    assert_eq!(saved.spill().read(&"a".into(), ALL, 9).unwrap(), [large(1, 50_000)]);
    assert_eq!(saved.dead_letters().iter().next().unwrap().unwrap(), letter(1, 9_000));
}

#[test]
fn a_reader_passes_over_what_is_removed_while_it_reads_and_sees_what_has_taken_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let letters = store.dead_letters();
    letters.put(&letter(1, 10_000)).unwrap();
    let table = letters.table();
    let (key, stored) = table.range(..).next().unwrap().unwrap();
    letters.put(&letter(2, 10_000)).unwrap();
    assert_eq!(table.decode_found(&key, &stored).unwrap(), Some(letter(2, 10_000)));
    letters.put(&letter(3, 10)).unwrap();
    assert_eq!(table.decode_found(&key, &stored).unwrap(), Some(letter(3, 10)));
    letters.remove(&letter(3, 10)).unwrap();
    assert_eq!(table.decode_found::<DeadLetter>(&key, &stored).unwrap(), None);
}

#[test]
fn a_large_value_from_before_there_were_parts_is_read_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let (key, old) = (spill::key("a", 1), large(1, 50_000));
    let inline = envelope::seal("spill", &key, &store.spill().encode(&old).unwrap());
    store.db.open_tree("spill").unwrap().insert(&key, inline).unwrap();
    assert_eq!(store.spill().read(&"a".into(), ALL, 9).unwrap(), [old]);
    store.spill().remove("a", 1).unwrap();
    assert_eq!(store.spill().read(&"a".into(), ALL, 9).unwrap(), []);
}
