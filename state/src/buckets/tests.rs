//! The ledger's trees: rotation, expiry, entries of another time, scans.

use super::*;
use crate::storage::open_database;

fn open(dir: &Path, now: UnixMillis) -> (Database, Buckets) {
    // Not sled's own `open`: its helper threads may still hold what a test has just dropped.
    let db = open_database(dir, dir, 8 << 20).unwrap();
    let path = Arc::from(dir);
    let meta = Table::open(&db, "meta", &path).unwrap();
    let kept = crate::commit_marker::kept(&meta).unwrap();
    let buckets = Buckets::open(&db, meta, (&path, 1_000), 1 << 20, &kept, now).unwrap();
    (db, buckets)
}

fn trees(buckets: &Buckets) -> usize {
    buckets.trees.read().len()
}

#[test]
fn an_entry_is_found_for_at_least_a_window_and_gone_after_two() {
    let dir = tempfile::tempdir().unwrap();
    let (db, buckets) = open(dir.path(), 10_000);
    for now in (10_000..20_000).step_by(50) {
        buckets.rotate(&db, now).unwrap();
        let key = now.to_be_bytes();
        buckets.insert(&key, &[1]).unwrap();
        let within = (now - 1_000).max(10_000);
        assert!(
            buckets.get(&within.to_be_bytes()).unwrap().is_some(),
            "an entry of {within} is missing at {now}"
        );
        if now >= 12_000 {
            assert!(
                buckets.get(&(now - 2_000).to_be_bytes()).unwrap().is_none(),
                "an old entry is kept at {now}"
            );
        }
        assert!(trees(&buckets) <= 4);
    }
}

#[test]
fn the_newest_value_of_a_key_wins_across_trees_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (db, buckets) = open(dir.path(), 0);
    buckets.insert(b"k", &[1]).unwrap();
    buckets.rotate(&db, 600).unwrap();
    buckets.insert(b"k", &[2]).unwrap();
    drop((db, buckets));
    let (_db, buckets) = open(dir.path(), 700);
    assert_eq!(buckets.get(b"k").unwrap().as_deref(), Some(&[2][..]));
}

#[test]
fn an_entry_of_another_time_lives_as_long_as_if_it_had_been_recorded_here() {
    for at in (9_000..=10_300).step_by(50) {
        let dir = tempfile::tempdir().unwrap();
        let (db, buckets) = open(dir.path(), 9_900);
        buckets.rotate(&db, 10_000).unwrap();
        let start = buckets.insert_at(&db, at, b"k", &[1]).unwrap();
        assert!(start <= at && trees(&buckets) <= 2);
        for now in (10_000..12_000).step_by(50) {
            buckets.rotate(&db, now).unwrap();
            let found = buckets.get(b"k").unwrap().is_some();
            assert!(found || now > at + 1_000, "an entry of {at} is missing at {now}");
            assert!(!found || now <= at.max(10_000) + 2_000, "an entry of {at} is kept at {now}");
        }
    }
}

#[test]
fn few_trees_serve_all_that_comes_and_the_newest_value_of_each_key_is_given_once() {
    let dir = tempfile::tempdir().unwrap();
    let (db, buckets) = open(dir.path(), 10_000);
    for at in 9_000..=10_000_u64 {
        buckets.insert_at(&db, at, &(at % 100).to_be_bytes(), &at.to_be_bytes()).unwrap();
    }
    assert!(trees(&buckets) <= 4, "{}", trees(&buckets));
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
    let given = buckets.newest_entries().map(|item| item.map(|(key, value)| (number(&key), number(&value))));
    let expected: Vec<_> = (0..100).map(|key| (key, if key == 0 { 10_000 } else { 9_900 + key })).collect();
    assert_eq!(given.collect::<Result<Vec<_>, _>>().unwrap(), expected);
    let (key, get) = (42_u64.to_be_bytes(), || buckets.get(&42_u64.to_be_bytes()).unwrap());
    buckets.remove_newer(&key, Some(9_000)).unwrap();
    assert_eq!(number(&get().unwrap()), 9_442);
    buckets.remove_newer(&key, None).unwrap();
    assert!(get().is_none());
}

#[test]
fn what_stood_in_a_tree_before_it_was_opened_is_found_before_and_after_it_was_gone_through() {
    let dir = tempfile::tempdir().unwrap();
    let (db, buckets) = open(dir.path(), 0);
    (0..1_000_u64).for_each(|key| buckets.insert(&key.to_be_bytes(), &[1]).unwrap());
    drop((db, buckets));
    let (_db, buckets) = open(dir.path(), 100);
    let all = |buckets: &Buckets, keys: std::ops::Range<u64>| {
        keys.into_iter().all(|key| buckets.get(&key.to_be_bytes()).unwrap().is_some())
    };
    assert!(all(&buckets, 0..1_000));
    // Cut short, it says nothing; and what is written while it goes through is found too.
    assert!(!buckets.unscanned().scan(10, || false).unwrap());
    assert!(all(&buckets, 0..1_000) && !buckets.unscanned().is_empty());
    let mut next = 1_000;
    let write_one = || {
        buckets.insert(&u64::to_be_bytes(next), &[1]).unwrap();
        next += 1;
        true
    };
    assert!(buckets.unscanned().scan(10, write_one).unwrap());
    assert!(all(&buckets, 0..1_050) && buckets.unscanned().is_empty());
    let trees = buckets.trees.read().clone();
    assert!(!trees.iter().any(|bucket| bucket.filter.may_contain(b"neither")), "nothing was learnt");
}

#[test]
fn a_tree_that_expires_while_it_is_asked_or_gone_through_holds_nothing_and_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (db, buckets) = open(dir.path(), 0);
    (0..5_000_u64).for_each(|key| buckets.insert(&key.to_be_bytes(), &[1; 40]).unwrap());
    drop((db, buckets));
    let (db, buckets) = open(dir.path(), 100);
    let before = buckets.trees.read().clone();
    let expire = || {
        buckets.rotate(&db, 5_000).unwrap();
        true
    };
    assert!(buckets.unscanned().scan(100, expire).unwrap());
    // As a reader has it who took the list just before.
    *buckets.trees.write() = before;
    assert_eq!(buckets.get(&1_u64.to_be_bytes()).unwrap(), None);
}

#[test]
fn a_clock_that_steps_back_neither_rotates_nor_drops() {
    let dir = tempfile::tempdir().unwrap();
    let (db, buckets) = open(dir.path(), 10_000);
    buckets.rotate(&db, 10).unwrap();
    assert_eq!(trees(&buckets), 1);
}
