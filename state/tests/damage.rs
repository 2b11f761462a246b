//! Random damage to a state directory: flipped bits, blocks overwritten, zeroed or swapped, a tail that is cut. Whatever
//! waits on disk is there and unchanged after it, or the directory is refused with what was found and what to do; and
//! what can be saved of a refused one is saved, the rest named.
//!
//! `DAMAGES` says how many places are damaged (60), `SEED` repeats a run.

// A test fails by panicking, and says what it did.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use state::*;

const BROKERS: [&str; 3] = ["acme", "bolt", "crate"];

fn options(durability: Durability) -> StoreOptions {
    StoreOptions { durability, dedupe_window: 86_400_000, cache: 16 << 20, clock: Clock::System }
}

fn delivery(broker: &str, seq: SpillSeq, dice: &mut Xoshiro256PlusPlus) -> SpilledDelivery {
    let id = format!("{:016x}", dice.random::<u64>());
    let body = Bytes::from(format!(
        "{{\"id\":\"{id}\",\"filler\":\"{}\"}}",
        "x".repeat(dice.random_range(200..900))
    ));
    let event = Event {
        position: Position::new(Arc::from(SOURCE), 0, seq * 700),
        event_id: Arc::from(id),
        load_id: Arc::from(format!("L-{}", seq % 50)),
        status: Arc::from("matched"),
        occurred_at: 1,
        sequence: None,
        traceparent: None,
        read_at: 3,
        digest: BodyDigest::of(&body),
        body,
    };
    let history = History::default();
    SpilledDelivery { history, ..SpilledDelivery::untried(Arc::from(broker), seq, event) }
}

fn letter(of: &SpilledDelivery) -> Record {
    let event = &of.event;
    let letter = DeadLetter {
        position: event.position.clone(),
        broker: Some(of.broker.clone()),
        stage: StageName::Deliver,
        cause: "refused".to_owned(),
        detail: "422".to_owned(),
        at: 9,
        history: History::default(),
        event_id: Some(event.event_id.to_string()),
        load_id: None,
        status: None,
        body: event.body.to_vec(),
        body_len: event.body.len() as u64,
        row: None,
    };
    let key = LedgerKey::new(&of.broker, &event.event_id);
    Record::DeadLettered { letter: Box::new(letter), key: Some((key, event.digest)), spilled: None }
}

fn delivered(of: &SpilledDelivery, spilled: bool) -> Record {
    Record::Delivered {
        key: LedgerKey::new(&of.broker, &of.event.event_id),
        digest: of.event.digest,
        failed_attempts: 0,
        spilled: spilled.then(|| (of.broker.clone(), of.seq)),
    }
}

/// The source of all of it.
const SOURCE: &str = "file:events.ndjson";

/// How many commits wrote it.
const COMMITS: u64 = 100;

/// Up to where the source was settled with this commit.
fn offset_of(commit: u64) -> u64 {
    commit * 12 * 700
}

/// What waits: the bodies by broker and event id.
type Owed = BTreeMap<(String, String), Bytes>;

/// A directory as a run leaves it that was stopped while three brokers were behind: 3,000 deliveries wait, 6,000 were made,
/// among them 600 from disk, and 120 letters stand.
fn used(dir: &Path, dice: &mut Xoshiro256PlusPlus) -> Owed {
    let mut owed = Owed::new();
    for round in 0..COMMITS / 5 {
        // Opened and closed now and then, so that there are snapshots.
        let store = Store::open(dir, options(Durability::Process)).unwrap();
        for step in 0..5_u64 {
            let first = (round * 5 + step) * 12;
            let mut records = Vec::new();
            for seq in first..first + 12 {
                for broker in BROKERS {
                    let waiting = delivery(broker, seq + 1, dice);
                    records.push(Record::Spilled(Box::new(waiting.clone())));
                    if seq % 6 == 5 {
                        records.push(delivered(&waiting, true));
                    } else {
                        let key = (broker.to_owned(), waiting.event.event_id.to_string());
                        owed.insert(key, waiting.event.body.clone());
                    }
                    records.extend((0..2).map(|_| delivered(&delivery(broker, seq, dice), false)));
                }
            }
            records.push(letter(&delivery(BROKERS[0], 100_000 + first, dice)));
            let checkpoint = Checkpoint { epoch: 0, offset: offset_of(round * 5 + step), mark: vec![7; 32] };
            records.push(Record::Checkpoint(Arc::from(SOURCE), checkpoint));
            store.put_all(&records).unwrap();
        }
    }
    owed
}

/// What waits in an open directory, as a run would read it.
fn waiting(store: &Store) -> Result<Owed, StateFault> {
    let mut found = Owed::new();
    for broker in BROKERS {
        for delivery in store.spill().read(&Arc::from(broker), 0..SpillSeq::MAX, usize::MAX)? {
            let key = LedgerKey::new(broker, &delivery.event.event_id);
            // As a run does for each: one that was delivered and has come back is a duplicate, and not sent.
            if store.look_up(&key)?.is_some_and(|entry| entry.outcome != Outcome::Spilled) {
                continue;
            }
            found.insert((broker.to_owned(), delivery.event.event_id.to_string()), delivery.event.body);
        }
    }
    Ok(found)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Damages one place of the database and says how.
fn damage(dir: &Path, dice: &mut Xoshiro256PlusPlus) -> String {
    let mut files: Vec<_> =
        fs::read_dir(dir.join("sled")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    // The log is nearly all of it.
    let log = dir.join("sled/db");
    let file = if dice.random_bool(0.9) { &log } else { &files[dice.random_range(0..files.len())] };
    let handle = File::options().read(true).write(true).open(file).unwrap();
    let len = handle.metadata().unwrap().len();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let block = |dice: &mut Xoshiro256PlusPlus| dice.random_range(0..len.div_ceil(4096)) * 4096;
    let read = |at: u64| {
        let mut bytes = vec![0; usize::try_from((len - at).min(4096)).unwrap()];
        handle.read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    match dice.random_range(0..5) {
        0 => {
            let (at, bit) = (dice.random_range(0..len), dice.random_range(0..8));
            let mut byte = [0];
            handle.read_exact_at(&mut byte, at).unwrap();
            handle.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
            format!("{name}: bit {bit} of byte {at} flipped")
        }
        1 => {
            let at = block(dice);
            let noise: Vec<u8> = read(at).iter().map(|_| dice.random()).collect();
            handle.write_all_at(&noise, at).unwrap();
            format!("{name}: block at {at} overwritten")
        }
        2 => {
            let at = block(dice);
            handle.write_all_at(&vec![0; read(at).len()], at).unwrap();
            format!("{name}: block at {at} zeroed")
        }
        3 => {
            let (one, other) = (block(dice), block(dice));
            let (first, second) = (read(one), read(other));
            handle.write_all_at(&first, other).unwrap();
            handle.write_all_at(&second, one).unwrap();
            format!("{name}: blocks at {one} and {other} swapped")
        }
        _ => {
            let to = dice.random_range(0..len);
            handle.set_len(to).unwrap();
            format!("{name}: cut to {to} of {len}")
        }
    }
}

/// What became of a damaged directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Nothing that matters was hit.
    Whole,
    /// It was refused before anything could be delivered, and what was whole was saved.
    Refused,
    /// It was refused, and nothing could be read any more.
    Unreadable,
}

/// Opens a directory as a run does before it delivers.
fn begin(dir: &Path) -> Result<(Ledger, LedgerThread), StateFault> {
    let commits = CommitOptions { commit_max: 8, linger: std::time::Duration::ZERO, inbox_max: 8 };
    Ledger::start(Store::open(dir, options(Durability::Power))?, commits)
}

fn fate(dir: &Path, scratch: &Path, owed: &Owed, how: &str) -> Fate {
    let untouched = scratch.join("untouched");
    copy(dir, &untouched);
    let fault = match begin(dir) {
        Ok((ledger, thread)) => {
            let found =
                waiting(ledger.store()).unwrap_or_else(|fault| panic!("{how}: begun, and then {fault}"));
            let missing: Vec<_> = owed.keys().filter(|key| found.get(*key) != owed.get(*key)).collect();
            let more: Vec<_> = found.keys().filter(|key| !owed.contains_key(*key)).collect();
            assert!(
                missing.is_empty() && more.is_empty(),
                "{how}: missing without a word {missing:?}, sent again {more:?}"
            );
            drop(ledger);
            thread.join().unwrap();
            return Fate::Whole;
        }
        Err(fault) => fault.to_string(),
    };
    assert!(fault.contains("loadline state repair"), "{how}: {fault}");
    let new = Store::open(&scratch.join("new"), options(Durability::Process)).unwrap();
    let check = StateCheck::salvage(&untouched, &scratch.join("copy"), Durability::Power, &new).unwrap();
    assert!(!check.is_whole(), "{how}: refused with {fault}, and nothing is said to be damaged");
    if !check.readable {
        println!("{how}: {:?}", check.damage);
        return Fate::Unreadable;
    }
    let saved = waiting(&new).unwrap();
    let missing: BTreeSet<_> =
        check.missing.into_iter().map(|missing| (missing.broker, missing.event_id)).collect();
    let lost = ["its last commit is", "its end is not there"];
    let lost_commits = check.damage.iter().any(|damage| lost.iter().any(|lost| damage.contains(lost)));
    // What was written last of a commit is its checkpoint.
    let checkpoint = new.sources().checkpoint(SOURCE).unwrap().map_or(0, |checkpoint| checkpoint.offset);
    let given_again = lost_commits && checkpoint < offset_of(COMMITS - 1);
    for (key, body) in owed {
        // Of lost commits the checkpoint is lost as well: the source gives their events again.
        // Where the ledger is damaged as well, the broker and how many are named.
        let of = format!("wait for {}", key.0);
        let unknown = "deliveries that wait cannot be read";
        let counted = check.damage.iter().any(|damage| damage.contains(&of) || damage.contains(unknown));
        let named = missing.contains(key) || counted || given_again;
        assert!(
            saved.get(key) == Some(body) || named,
            "{how}: {key:?} is neither saved nor named: {:?}",
            check.damage
        );
    }
    drop(new);
    // What was saved is a directory like any other.
    assert_eq!(
        waiting(&Store::open(&scratch.join("new"), options(Durability::Power)).unwrap()).unwrap(),
        saved
    );
    Fate::Refused
}

#[test]
fn no_damage_takes_a_waiting_delivery_without_a_word() {
    let number =
        |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (damages, seed) = (number("DAMAGES", 60), number("SEED", 15));
    println!("DAMAGES={damages} SEED={seed}");
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    let scratch = tempfile::tempdir().unwrap();
    let original = scratch.path().join("original");
    let owed = used(&original, &mut dice);
    let mut fates: BTreeMap<Fate, u64> = BTreeMap::new();
    for number in 0..damages {
        let here = tempfile::tempdir().unwrap();
        let dir = here.path().join("state");
        copy(&original, &dir);
        let how = format!("{number}: {}", damage(&dir, &mut dice));
        let fate = fate(&dir, here.path(), &owed, &how);
        println!("{how}: {fate:?}");
        *fates.entry(fate).or_default() += 1;
    }
    println!("{} deliveries waited; {fates:?}", owed.len());
    assert!(fates.contains_key(&Fate::Refused), "nothing that matters was hit");
}
