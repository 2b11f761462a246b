//! Dead letters on disk: their order, their counts, their removal.

use std::collections::BTreeMap;

use super::{counts::bytes, *};
use crate::{
    Durability, History, Store,
    dead_letter::{QUEUE_FULL, StageName},
    tests::options,
};

/// A record at `offset` that was no event.
pub(crate) fn letter(offset: u64, cause: &str) -> DeadLetter {
    DeadLetter {
        position: Position::new("file:e".into(), 0, offset),
        broker: None,
        stage: StageName::Decode,
        cause: cause.to_owned(),
        detail: String::new(),
        at: 0,
        history: History::default(),
        event_id: None,
        load_id: None,
        status: None,
        body: Vec::new(),
        body_len: 0,
        row: None,
    }
}

fn counted(letters: &DeadLetters) -> BTreeMap<String, u64> {
    letters.counts().by_cause.into_iter().map(|((_, cause), count)| (cause, count)).collect()
}

#[test]
fn a_reader_goes_on_behind_the_last_letter_it_has_seen_also_when_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    let letters = store.dead_letters();
    let for_broker =
        |offset, broker: &str| DeadLetter { broker: Some(Arc::from(broker)), ..letter(offset, "refused") };
    for letter in [for_broker(256, "a"), for_broker(2, "b"), letter(2, "not-json"), for_broker(2, "a")] {
        letters.put(&letter).unwrap();
    }
    let behind = |offset, broker| -> Vec<(u64, Option<String>)> {
        let position = Position::new("file:e".into(), 0, offset);
        let read = letters.after(&position, broker).map(Result::unwrap);
        read.map(|letter| (letter.position.offset, letter.broker.map(|name| name.to_string()))).collect()
    };
    let all = [(2, None), (2, Some("a")), (2, Some("b")), (256, Some("a"))];
    let all = all.map(|(offset, broker)| (offset, broker.map(str::to_owned)));
    assert_eq!(behind(0, None), all);
    assert_eq!(behind(2, None), all[1..]);
    assert_eq!(behind(2, Some("aa")), all[2..]);
    assert_eq!(behind(256, Some("a")), []);
    let position = Position::new("file:e".into(), 0, 2);
    assert_eq!(letters.get(&position, Some("b")).unwrap(), Some(for_broker(2, "b")));
    assert_eq!(letters.get(&position, Some("c")).unwrap(), None);
}

#[test]
fn the_bytes_of_letters_of_a_full_disk_queue_are_known_once_all_are_counted_and_kept_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    let letters = store.dead_letters();
    for (offset, cause) in [(10, QUEUE_FULL), (20, "refused"), (30, QUEUE_FULL)] {
        letters.put(&letter(offset, cause)).unwrap();
    }
    assert!(!letters.count_on(2).unwrap() && letters.queue_full_bytes().is_none());
    while !letters.count_on(2).unwrap() {}
    let one = bytes(&letter(10, QUEUE_FULL));
    assert_eq!(letters.queue_full_bytes(), Some(2 * one));
    letters.put(&letter(40, QUEUE_FULL)).unwrap();
    letters.put(&letter(30, "refused")).unwrap();
    assert_eq!(letters.queue_full_bytes(), Some(2 * one));
    letters.remove(&letter(10, QUEUE_FULL)).unwrap();
    assert_eq!(letters.queue_full_bytes(), Some(one));
}

#[test]
fn the_counts_are_right_whatever_is_written_before_behind_and_ahead_of_the_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    let letters = store.dead_letters();
    for offset in [10, 20, 30, 40, 50] {
        letters.put(&letter(offset, "not-json")).unwrap();
    }
    assert!(!letters.count_on(3).unwrap() && !letters.counts().complete);
    assert_eq!(counted(letters), BTreeMap::from([("not-json".to_owned(), 3)]));
    // One behind the count, one ahead of it, and one each that replaces its own.
    for (offset, cause) in [(15, "too-long"), (45, "too-long"), (20, "too-long"), (50, "too-long")] {
        letters.put(&letter(offset, cause)).unwrap();
    }
    while !letters.count_on(1).unwrap() {}
    letters.put(&letter(50, "not-json")).unwrap();
    let expected = BTreeMap::from([("not-json".to_owned(), 4), ("too-long".to_owned(), 3)]);
    assert_eq!(counted(letters), expected);
    assert_eq!(letters.count(), 7);
}

#[test]
fn a_letter_is_removed_and_no_longer_counted_but_one_that_took_its_place_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
    let letters = store.dead_letters();
    for offset in [10, 20, 30] {
        letters.put(&letter(offset, "refused")).unwrap();
    }
    assert!(!letters.count_on(2).unwrap());
    letters.remove(&letter(20, "refused")).unwrap();
    letters.remove(&letter(30, "refused")).unwrap();
    while !letters.count_on(1).unwrap() {}
    assert_eq!((counted(letters), letters.count()), (BTreeMap::from([("refused".to_owned(), 1)]), 1));
    letters.put(&DeadLetter { at: 5, ..letter(10, "refused") }).unwrap();
    letters.remove(&letter(10, "refused")).unwrap();
    letters.remove(&letter(40, "refused")).unwrap();
    assert_eq!((counted(letters), letters.count()), (BTreeMap::from([("refused".to_owned(), 1)]), 1));
}
