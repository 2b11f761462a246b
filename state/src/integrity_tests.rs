//! What is missing, too many, or in another state than it was last written in is found when the directory is opened; what
//! a crash leaves of a commit is not taken for damage.

use std::{path::Path, sync::Arc};

use crate::{following::Changes, tests::options, *};

fn open(dir: &Path) -> Result<Store, StateFault> {
    Store::open(dir, options(Durability::Process))
}

fn waits(broker: &str, seq: SpillSeq) -> SpilledDelivery {
    SpilledDelivery::untried(Arc::from(broker), seq, tests::event(&format!("e{seq}"), "{}"))
}

fn delivered(id: &str, spilled: Option<SpillRef>) -> Record {
    let digest = BodyDigest::of(b"{}");
    Record::Delivered { key: LedgerKey::new("a", id), digest, failed_attempts: 0, spilled }
}

fn dead(offset: u64) -> Record {
    let letter = Box::new(dead_letters::tests::letter(offset, "not-json"));
    Record::DeadLettered { letter, key: None, spilled: None }
}

/// Ten deliveries wait for each of two brokers, of which three are sent; letters, a checkpoint, a broker that is paused.
fn used(dir: &Path) -> Store {
    let store = open(dir).unwrap();
    let waiting = (1..=10).flat_map(|seq| ["a", "ab"].map(|broker| waits(broker, seq)));
    store.put_all(&waiting.map(|delivery| Record::Spilled(Box::new(delivery))).collect::<Vec<_>>()).unwrap();
    let checkpoint = Checkpoint { epoch: 0, offset: 7, mark: Vec::new() };
    let sent = (1..=3).map(|seq| delivered(&format!("e{seq}"), Some((Arc::from("a"), seq))));
    let rest = [
        dead(1),
        dead(2),
        Record::Checkpoint(Arc::from("file:x"), checkpoint),
        Record::Paused(Arc::from("ab"), Some(Paused { since: 1 })),
    ];
    store.put_all(&sent.chain(rest).collect::<Vec<_>>()).unwrap();
    store
}

/// What is said of a directory in which `change` has been made behind the store's back.
fn said(change: impl FnOnce(&storage::Database)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let store = used(dir.path());
    change(&store.db);
    store.db.flush().unwrap();
    drop(store);
    for _ in 0..2 {
        let fault = open(dir.path()).expect_err("the damage is found, each time");
        assert!(fault.to_string().contains("state repair"), "{fault}");
    }
    open(dir.path()).unwrap_err().to_string()
}

fn remove(tree: &str, at: usize) -> impl FnOnce(&storage::Database) {
    let tree = tree.to_owned();
    move |db| {
        let tree = db.open_tree(tree).unwrap();
        let key = tree.iter().nth(at).unwrap().unwrap().0;
        tree.remove(key).unwrap();
    }
}

#[test]
fn a_delivery_that_is_missing_is_found_and_its_broker_named() {
    let said = said(remove("spill", 0));
    assert!(said.contains("wait for a, ") || said.contains("wait for a 7"), "{said}");
    assert!(said.contains("7 had been written, and 6 are there"), "{said}");
}

#[test]
fn all_deliveries_of_a_broker_missing_are_found() {
    let said = said(|db| db.open_tree("spill").unwrap().clear().unwrap());
    assert!(said.contains("7 had been written, and 0 are there"), "{said}");
}

#[test]
fn a_delivery_that_had_been_sent_and_comes_back_is_found() {
    let said = said(|db| {
        let tree = db.open_tree("spill").unwrap();
        let (key, value) = tree.first().unwrap().unwrap();
        let earlier = [&key[..key.len() - 1], &[1]].concat();
        // As it was written once, envelope and all.
        let bare = &value[envelope::open("spill", &key, &value).unwrap()..];
        tree.insert(&earlier, envelope::seal("spill", &earlier, bare)).unwrap();
    });
    assert!(said.contains("7 had been written, and 8 are there"), "{said}");
}

#[test]
fn an_entry_in_an_earlier_state_is_found() {
    let said = said(|db| {
        let tree = db.open_tree("sources").unwrap();
        let (key, _) = tree.first().unwrap().unwrap();
        let earlier = Checkpoint { epoch: 0, offset: 3, mark: Vec::new() };
        tree.insert(&key, envelope::seal("sources", &key, &codec::encode("sources", &earlier).unwrap()))
            .unwrap();
    });
    assert!(said.contains("sources, 1 in number, some are not what was written last"), "{said}");
}

#[test]
fn a_letter_or_a_paused_broker_that_is_missing_is_found() {
    assert!(said(remove("dead", 1)).contains("of the dead letters 2 had been written, and 1 are there"));
    assert!(said(remove("brokers", 0)).contains("of the stored brokers 1 had been written"));
}

#[test]
fn a_part_of_the_ledger_that_is_missing_is_found() {
    let said = said(|db| {
        let name = db.tree_names().into_iter().find(|name| name.starts_with(b"ledger-")).unwrap();
        assert!(db.drop_tree(name).unwrap());
    });
    assert!(said.contains("of 20 entries of a part of the ledger 0 are there"), "{said}");
}

#[test]
fn a_value_that_has_changed_is_found_with_its_tree_and_key() {
    for tree in ["spill", "dead", "sources", "brokers", "meta"] {
        let said = said(|db| {
            let tree = db.open_tree(tree).unwrap();
            let (key, value) =
                tree.iter().rev().map(Result::unwrap).find(|(key, _)| key != b"format").unwrap();
            let mut value = value.to_vec();
            *value.last_mut().unwrap() ^= 1;
            tree.insert(key, value).unwrap();
        });
        assert!(said.contains(&format!("a value in {tree}")) && said.contains("checksum"), "{said}");
    }
}

#[test]
fn a_ledger_that_has_lost_entries_is_not_started() {
    let dir = tempfile::tempdir().unwrap();
    let store = used(dir.path());
    let name = store.db.tree_names().into_iter().find(|name| name.starts_with(b"ledger-")).unwrap();
    let tree = store.db.open_tree(name).unwrap();
    tree.remove(tree.first().unwrap().unwrap().0).unwrap();
    store.db.flush().unwrap();
    drop((tree, store));
    let commits = CommitOptions { commit_max: 8, linger: std::time::Duration::ZERO, inbox_max: 8 };
    let fault = Ledger::start(open(dir.path()).unwrap(), commits).unwrap_err().to_string();
    assert!(fault.contains("of 20 entries of a part of the ledger 19 are there"), "{fault}");
}

#[test]
fn entries_that_are_removed_leave_no_number_behind_whatever_a_crash_left_of_them() {
    let starts = |dir: &Path| {
        let commits = CommitOptions { commit_max: 8, linger: std::time::Duration::ZERO, inbox_max: 8 };
        let (ledger, thread) = Ledger::start(open(dir).unwrap(), commits).unwrap();
        drop(ledger);
        thread.join().unwrap();
    };
    let key = |id: String| LedgerKey::new("a", &id);
    // Added by a commit that a crash cut short, so not counted; then all are removed, as a transfer does.
    let dir = tempfile::tempdir().unwrap();
    let store = used(dir.path());
    (0..40).for_each(|n| store.buckets.insert(key(format!("new-{n}")).as_bytes(), b"x").unwrap());
    drop(store);
    let store = open(dir.path()).unwrap();
    let old = (1..=10).map(|n| key(format!("e{n}")));
    for key in (0..40).map(|n| key(format!("new-{n}"))).chain(old) {
        store.buckets.remove_newer(key.as_bytes(), None).unwrap();
    }
    store.put_all(&[dead(3)]).unwrap();
    drop(store);
    starts(dir.path());
    // Removed by a commit that a crash cut short.
    let dir = tempfile::tempdir().unwrap();
    let store = used(dir.path());
    store.buckets.remove_newer(key("e1".to_owned()).as_bytes(), None).unwrap();
    drop(store);
    starts(dir.path());
}

#[tokio::test]
async fn a_ledger_whose_loss_is_found_beside_the_deliveries_ends_the_ledger_thread_with_the_cause() {
    let dir = tempfile::tempdir().unwrap();
    let commits = CommitOptions { commit_max: 8, linger: std::time::Duration::ZERO, inbox_max: 8 };
    let (ledger, thread) = Ledger::start(used(dir.path()), commits).unwrap();
    // As the thread that goes through it does.
    ledger
        .status()
        .fail(StateFault::Damaged { path: dir.path().to_owned(), detail: "of 20 entries".to_owned() });
    let refused = ledger.record(delivered("e9", None)).await.unwrap_err().to_string();
    assert!(refused.contains("of 20 entries"), "{refused}");
    drop(ledger);
    assert!(thread.join().unwrap_err().to_string().contains("of 20 entries"));
}

/// Begins a commit as the ledger thread does, writes only the first `written` of `records`, and is gone.
fn torn(store: &Store, records: &[Record], written: usize) {
    let touched = store.touched(records.iter()).unwrap();
    store.commit_marker().begin(touched).unwrap();
    records[..written].iter().for_each(|record| record.write(store, 1, &mut Changes::default()).unwrap());
    store.db.flush().unwrap();
}

#[test]
fn whatever_a_crash_leaves_of_a_commit_is_no_damage_and_damage_beside_it_is_found() {
    let sent = |seq: u64| delivered(&format!("e{seq}"), Some((Arc::from("a"), seq)));
    let changed = SpilledDelivery { not_before: 9, ..waits("ab", 4) };
    let records = [
        sent(4),
        Record::Spilled(Box::new(waits("a", 11))),
        Record::Spilled(Box::new(changed)),
        sent(11),
        dead(3),
        Record::LetterRemoved(Box::new(dead_letters::tests::letter(1, "not-json"))),
        Record::Spilled(Box::new(waits("new", 1))),
        Record::Paused(Arc::from("ab"), None),
        Record::Checkpoint(Arc::from("file:x"), Checkpoint { epoch: 0, offset: 9, mark: Vec::new() }),
        delivered("other", None),
    ];
    for written in 0..=records.len() {
        let dir = tempfile::tempdir().unwrap();
        torn(&used(dir.path()), &records, written);
        // Twice: what is right now is kept, whatever the next commit touches.
        let store = open(dir.path()).unwrap();
        store.put_all(&[delivered("one more", None), Record::DrainHorizon(Arc::from("a"), 5)]).unwrap();
        drop(store);
        torn(&open(dir.path()).unwrap(), &records, 0);
        let store = open(dir.path()).unwrap();
        remove("spill", 5)(&store.db);
        store.db.flush().unwrap();
        drop(store);
        let fault = open(dir.path()).unwrap_err().to_string();
        assert!(fault.contains("of the deliveries that wait for a"), "{written}: {fault}");
    }
}

#[test]
fn a_commit_of_which_it_is_not_known_what_it_changes_is_no_damage_where_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = used(dir.path());
    store.commit_marker().begin(commit_marker::ChangeSet::Unknown).unwrap();
    store.spill().remove("a", 5).unwrap();
    store.db.flush().unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.spill().usage().unwrap()["a"].deliveries, 6);
    store.commit(|_now| store.spill().remove("a", 6)).unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    remove("spill", 0)(&store.db);
    store.db.flush().unwrap();
    drop(store);
    assert!(open(dir.path()).is_err(), "after one that ended, damage is found");
}

#[test]
fn deliveries_that_are_missing_together_with_what_was_kept_of_them_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = used(dir.path());
    let key = commit_marker::digest_key("spill", b"a");
    let meta = store.db.open_tree("meta").unwrap();
    let before = meta.get(&key).unwrap().unwrap();
    store
        .put_all(&[Record::Spilled(Box::new(waits("a", 11))), Record::Spilled(Box::new(waits("ab", 11)))])
        .unwrap();
    // As a segment that is lost takes both away.
    meta.insert(&key, before).unwrap();
    store.db.open_tree("spill").unwrap().remove(spill::key("a", 11)).unwrap();
    store.db.flush().unwrap();
    drop((meta, store));
    let fault = open(dir.path()).unwrap_err().to_string();
    assert!(fault.contains("what must be there is not all of that commit"), "{fault}");
}

#[test]
fn a_commit_that_had_been_written_and_whose_end_is_missing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = used(dir.path());
    let meta = store.db.open_tree("meta").unwrap();
    let (root, tally) = (
        meta.get("root").unwrap().unwrap(),
        meta.get(commit_marker::digest_key("spill", b"a")).unwrap().unwrap(),
    );
    store.put_all(&[Record::Spilled(Box::new(waits("a", 11)))]).unwrap();
    meta.insert("root", root).unwrap();
    meta.insert(commit_marker::digest_key("spill", b"a"), tally).unwrap();
    store.db.open_tree("spill").unwrap().remove(spill::key("a", 11)).unwrap();
    store.db.flush().unwrap();
    drop((meta, store));
    let fault = open(dir.path()).unwrap_err().to_string();
    assert!(fault.contains("commit 3 had been written, and its end is not there"), "{fault}");
}
