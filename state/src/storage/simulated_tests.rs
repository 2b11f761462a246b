//! The simulated disk does what sled does, and every state it can leave after a crash is one a run opens and goes on from.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    BodyDigest, Checkpoint, Clock, CommitOptions, DeadLetter, Durability, EmbeddedLog, Horizon,
    IntakeOptions, Ledger, LedgerKey, Outcome, Record, SpilledDelivery, StateFault, Store, StoreOptions,
    dangling::dangling, dead_letters, tests,
};

/// Something that is done to a database; small numbers are keys, values and trees.
#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8, u8),
    Remove(u8, u8),
    Apply(u8, Vec<(u8, Option<u8>)>),
    Range(u8, u8, u8),
    DropTree(u8),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let tree = 0u8..3;
    let key = 0u8..24;
    prop_oneof![
        6 => (tree.clone(), key.clone(), any::<u8>()).prop_map(|(tree, key, value)| Step::Insert(tree, key, value)),
        3 => (tree.clone(), key.clone()).prop_map(|(tree, key)| Step::Remove(tree, key)),
        1 => (tree.clone(), prop::collection::vec((key.clone(), any::<Option<u8>>()), 0..5))
            .prop_map(|(tree, changes)| Step::Apply(tree, changes)),
        2 => (tree.clone(), key.clone(), key).prop_map(|(tree, from, to)| Step::Range(tree, from.min(to), from.max(to))),
        1 => tree.prop_map(Step::DropTree),
        1 => Just(Step::Flush),
    ]
}

/// What a step gives, in words.
fn done(db: &Database, step: &Step) -> String {
    let tree = |number: &u8| db.open_tree([b't', *number]).unwrap();
    match step {
        Step::Insert(number, key, value) => {
            format!("{:?}", tree(number).insert([*key], vec![*value; 3]).unwrap())
        }
        Step::Remove(number, key) => {
            let had = tree(number).contains_key([*key]).unwrap();
            format!("{had} {:?}", tree(number).remove([*key]).unwrap())
        }
        Step::Apply(number, changes) => {
            let changes: Vec<Change> =
                changes.iter().map(|(key, value)| (vec![*key], value.map(|value| vec![value]))).collect();
            format!("{:?}", tree(number).apply(&changes).is_ok())
        }
        Step::Range(number, from, to) => {
            let tree = tree(number);
            let some: Vec<_> = tree.range([*from]..[*to]).map(|item| item.unwrap()).collect();
            let mut both = tree.range([*from]..=[*to]);
            let ends = (both.next().transpose().unwrap(), both.next_back().transpose().unwrap());
            format!("{some:?} {ends:?} {:?} {:?}", tree.first().unwrap(), tree.last().unwrap())
        }
        Step::DropTree(number) => {
            let stale = tree(number);
            let dropped = db.drop_tree([b't', *number]).unwrap();
            format!("{dropped} {}", matches!(stale.get([0]), Err(Error::CollectionNotFound(_))))
        }
        Step::Flush => format!("{:?}", db.flush().is_ok()),
    }
}

/// Keys and values of the trees, by name.
type Contents = Vec<(IVec, Vec<(IVec, IVec)>)>;

fn contents(db: &Database) -> Contents {
    let mut names: Vec<_> = db.tree_names().into_iter().filter(|name| name[0] == b't').collect();
    names.sort();
    names
        .into_iter()
        .map(|name| (name.clone(), db.open_tree(&name).unwrap().iter().map(|item| item.unwrap()).collect()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_simulated_disk_answers_as_sled_does(steps in prop::collection::vec(step(), 1..80)) {
        let dir = tempfile::tempdir().unwrap();
        let sled = open_database(dir.path(), dir.path(), 8 << 20).unwrap();
        let simulated = Database::Simulated(SimulatedDisk::new());
        for step in &steps {
            prop_assert_eq!(done(&sled, step), done(&simulated, step), "{:?}", step);
        }
        prop_assert_eq!(contents(&sled), contents(&simulated));
    }

    #[test]
    fn a_crash_leaves_the_writes_up_to_the_last_flush_and_as_many_behind_it_as_it_keeps(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let disk = SimulatedDisk::new();
        let db = Database::Simulated(disk.clone());
        // What was there after each write; a step may be none, or two.
        let mut states = vec![(disk.writes(), contents(&db))];
        let mut flushed = 0;
        for step in &steps {
            done(&db, step);
            states.push((disk.writes(), contents(&db)));
            if matches!(step, Step::Flush) {
                flushed = disk.writes();
            }
        }
        prop_assert_eq!(disk.unflushed() as u64, disk.writes() - flushed);
        for (writes, expected) in states.into_iter().filter(|(writes, _)| *writes >= flushed) {
            let after = disk.crash(Crash::Process, |unflushed| {
                assert_eq!(unflushed, disk.unflushed());
                usize::try_from(writes - flushed).unwrap()
            });
            prop_assert_eq!(contents(&Database::Simulated(after)), expected);
        }
    }
}

fn options(durability: Durability, clock: &Clock) -> StoreOptions {
    StoreOptions { clock: clock.clone(), ..tests::options(durability) }
}

const LATENCY: Duration = Duration::from_millis(10);

/// A ledger over `disk` that works on this thread; it is there for as long as the runtime.
fn start(disk: &SimulatedDisk, durability: Durability, clock: &Clock) -> Ledger {
    let store = Store::open_simulated(disk, options(durability, clock)).unwrap();
    let commits = CommitOptions { commit_max: 64, linger: Duration::ZERO, inbox_max: 1_000 };
    let (ledger, work) = Ledger::start_inline(store, commits).unwrap();
    tokio::spawn(work);
    ledger
}

fn body(number: u64) -> &'static str {
    // Every third one stands in parts.
    if number.is_multiple_of(3) { LARGE } else { "{}" }
}

const LARGE: &str = match std::str::from_utf8(&[b'x'; 9_000]) {
    Ok(text) => text,
    Err(_) => "",
};

fn waiting(number: u64) -> SpilledDelivery {
    SpilledDelivery {
        history: Default::default(),
        ..SpilledDelivery::untried("acme".into(), number, tests::event(&format!("e{number}"), body(number)))
    }
}

fn key(number: u64) -> LedgerKey {
    LedgerKey::new("acme", &format!("e{number}"))
}

fn letter(number: u64) -> DeadLetter {
    DeadLetter {
        broker: Some("acme".into()),
        event_id: Some(format!("e{number}")),
        body: body(number).into(),
        ..dead_letters::tests::letter(number, "refused")
    }
}

fn digest(number: u64) -> BodyDigest {
    BodyDigest::of(body(number).as_bytes())
}

/// The records of a round: deliveries go to disk, some of the round before are delivered, and some become dead letters.
fn round(number: u64) -> Vec<Record> {
    let first = number * 6;
    let spill = (first..first + 6).map(|number| Record::Spilled(Box::new(waiting(number))));
    let ended = (first.saturating_sub(6)..first).map(|number| {
        let spilled = Some(("acme".into(), number));
        match number % 2 {
            0 => Record::Delivered { key: key(number), digest: digest(number), failed_attempts: 0, spilled },
            _ => Record::DeadLettered {
                letter: Box::new(letter(number)),
                key: Some((key(number), digest(number))),
                spilled,
            },
        }
    });
    let checkpoint = Checkpoint { epoch: 0, offset: first, mark: Vec::new() };
    let place = Record::Checkpoint("file:x".into(), checkpoint);
    let horizon = Record::Horizon("file:x".into(), Some(Horizon { epoch: 0, offset: first + 100 }));
    spill.chain(ended).chain([place, horizon]).collect()
}

/// Opens the disk as the next run does. Whatever the rounds before `proven` have recorded must be there, and whatever the
/// ledger says waits or is a dead letter must be what it says; `lossy` is for a disk that may have lost its last commits.
fn check(disk: &SimulatedDisk, durability: Durability, clock: &Clock, proven: u64, lossy: bool) {
    let store = Store::open_simulated(disk, options(durability, clock)).unwrap();
    assert_eq!(dangling(&store).unwrap(), []);
    for number in 0..(proven + 1) * 6 {
        let waits = store.spill().read(&Arc::from("acme"), number..number + 1, 1).unwrap().pop();
        let position = letter(number).position;
        let letter = store.dead_letters().get(&position, Some("acme")).unwrap();
        let entry = store.look_up(&key(number)).unwrap();
        let outcome = entry.as_ref().map(|entry| entry.outcome);
        assert!(
            letter.is_none() || outcome == Some(Outcome::DeadLettered),
            "{number}: a letter of {outcome:?}"
        );
        match entry.map(|entry| entry.outcome) {
            Some(Outcome::Delivered) => assert_eq!(number % 2, 0),
            Some(Outcome::DeadLettered) => assert!(letter.is_some(), "{number}"),
            Some(Outcome::Spilled) => assert_eq!(waits, Some(waiting(number))),
            // Its value comes before its entry, so it may be there already.
            None => assert!(lossy || number >= proven * 6, "{number} was proven"),
        }
        let ended = number < proven.saturating_sub(1) * 6;
        assert!(lossy || !ended || waits.is_none(), "{number} was ended");
    }
    if !lossy && proven > 0 {
        let offset = store.sources().checkpoint("file:x").unwrap().unwrap().offset;
        assert!(offset >= (proven - 1) * 6, "{offset}");
    }
}

async fn every_crash_in_every_round(durability: Durability) {
    let clock = Clock::simulated(1_700_000_000_000);
    let disk = SimulatedDisk::new();
    let ledger = start(&disk, durability, &clock);
    disk.set_latency(LATENCY);
    for number in 0..4 {
        let proofs = ledger.record_all(round(number));
        let proofs = tokio::spawn(proofs);
        tokio::time::sleep(LATENCY / 4).await;
        assert!(disk.unflushed() > 20, "{}", disk.unflushed());
        for keep in 0..=disk.unflushed() {
            check(&disk.crash(Crash::Process, |_| keep), durability, &clock, number, false);
        }
        // Whatever the power takes: with `Power` no more than a killed process loses.
        let mut at_risk = 0;
        let _all = disk.crash(Crash::Power, |count| {
            at_risk = at_risk.max(count);
            count
        });
        assert!(durability == Durability::Process || at_risk == disk.unflushed());
        for keep in (0..=at_risk).step_by(5) {
            // What was written to files goes with the power, or is there although the database has lost more: the
            // database's part comes first.
            for of_files in [0, usize::MAX] {
                let mut kept = Some(keep);
                let after = disk.crash(Crash::Power, |_| kept.take().unwrap_or(of_files));
                check(&after, durability, &clock, number, durability == Durability::Process);
            }
        }
        // Flushed, and nobody knows yet.
        tokio::time::sleep(LATENCY / 2).await;
        assert!(disk.unflushed() == 0 && !proofs.is_finished());
        check(&disk.crash(Crash::Process, |_| 0), durability, &clock, number + 1, false);
        assert_eq!(proofs.await.unwrap().unwrap().len(), round(number).len());
    }
}

#[tokio::test(start_paused = true)]
async fn every_beginning_of_a_commit_is_opened_and_holds_what_was_proven() {
    every_crash_in_every_round(Durability::Power).await;
    every_crash_in_every_round(Durability::Process).await;
}

#[tokio::test(start_paused = true)]
async fn a_post_is_there_as_a_whole_or_not_at_all() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::simulated(1_700_000_000_000));
    let ledger = start(&disk, Durability::Process, &clock);
    let keeps = IntakeOptions { backlog_max: 1_000, backlog_bytes_max: 1 << 30, retention: u64::MAX };
    let log = EmbeddedLog::new(&ledger, keeps);
    let post = || log.accept(vec![body(0).into(), "{}".into(), body(0).into()]).unwrap();
    assert_eq!(post().await.unwrap(), 0..3);
    disk.set_latency(LATENCY);
    let second = tokio::spawn(post());
    tokio::time::sleep(LATENCY / 4).await;
    let ends: Vec<u64> = (0..=disk.unflushed())
        .map(|keep| {
            let after = disk.crash(Crash::Process, |_| keep);
            let store = Store::open_simulated(&after, options(Durability::Process, &clock)).unwrap();
            assert_eq!(store.intake.read(0, u64::MAX).unwrap().len() as u64, store.intake_end());
            store.intake_end()
        })
        .collect();
    assert!(ends.is_sorted() && ends[0] == 3 && ends[ends.len() - 1] == 6, "{ends:?}");
    assert!(ends.iter().all(|end| [3, 6].contains(end)), "{ends:?}");
    assert_eq!(second.await.unwrap().unwrap(), 3..6);
}

#[tokio::test(start_paused = true)]
async fn the_attempts_journal_outlives_the_process_and_not_the_power() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::simulated(1_700_000_000_000));
    let ledger = start(&disk, Durability::Process, &clock);
    let horizon = Horizon { epoch: 0, offset: 9 };
    let _proof = ledger.record(Record::Horizon("file:x".into(), Some(horizon))).await.unwrap();
    let claim = ledger.claim(key(1)).await;
    let _mark = claim.mark().unwrap();
    let after = |crash| {
        let store =
            Store::open_simulated(&disk.crash(crash, |_| 0), options(Durability::Process, &clock)).unwrap();
        (store.is_unresolved(&key(1)), store.sources().doubt("file:x").unwrap())
    };
    assert_eq!(after(Crash::Process), (true, None), "the journal names it");
    // Nothing was synced, so the horizon is lost with everything else, or it stands and is in doubt.
    assert_eq!(after(Crash::Power), (false, None));
    let kept = disk.crash(Crash::Power, |count| count);
    let store = Store::open_simulated(&kept, options(Durability::Process, &clock)).unwrap();
    assert_eq!(
        (store.is_unresolved(&key(1)), store.sources().doubt("file:x").unwrap()),
        (false, Some(horizon))
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_in_good_order_leaves_a_closed_journal_and_frees_the_disk() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::simulated(1_700_000_000_000));
    let store = Store::open_simulated(&disk, options(Durability::Power, &clock)).unwrap();
    let locked = Store::open_simulated(&disk, options(Durability::Power, &clock)).unwrap_err();
    assert!(matches!(locked, StateFault::Locked { .. }), "{locked}");
    let commits = CommitOptions { commit_max: 64, linger: Duration::ZERO, inbox_max: 1_000 };
    let (ledger, work) = Ledger::start_inline(store, commits).unwrap();
    let work = tokio::spawn(work);
    let claim = ledger.claim(key(1)).await;
    let mark = claim.mark().unwrap();
    let record = Record::Delivered { key: key(1), digest: digest(1), failed_attempts: 0, spilled: None };
    let _proof = ledger.record(record).await.unwrap();
    mark.release();
    drop((claim, ledger));
    work.await.unwrap().unwrap();
    let store =
        Store::open_simulated(&disk.crash(Crash::Power, |_| 0), options(Durability::Power, &clock)).unwrap();
    assert_eq!(store.look_up(&key(1)).unwrap().unwrap().outcome, Outcome::Delivered);
    assert!(!store.is_unresolved(&key(1)));
    drop(store);
    assert!(Store::open_simulated(&disk, options(Durability::Power, &clock)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_flush_is_noticed() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::simulated(1_700_000_000_000));
    let ledger = start(&disk, Durability::Power, &clock);
    disk.ignore_flushes();
    let _proofs = ledger.record_all(round(0)).await.unwrap();
    let after = disk.crash(Crash::Process, |_| 0);
    let fault = Store::open_simulated(&after, options(Durability::Power, &clock)).unwrap_err();
    assert!(matches!(fault, StateFault::Damaged { .. }), "{fault}");
}

#[test]
fn a_dropped_tree_stays_dropped_for_whoever_has_it_open_when_its_name_is_given_again() {
    let db = Database::Simulated(SimulatedDisk::new());
    let stale = db.open_tree("t").unwrap();
    assert!(db.drop_tree("t").unwrap());
    db.open_tree("t").unwrap().insert("k", "v").unwrap();
    assert!(matches!(stale.get("k"), Err(Error::CollectionNotFound(_))));
    assert!(matches!(stale.insert("k", "w"), Err(Error::CollectionNotFound(_))));
}
