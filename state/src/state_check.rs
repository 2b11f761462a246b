//! Reads everything that can be read of a state directory and reports what is damaged: `state check` and `state repair`.
//!
//! It works on a copy, because sled changes a damaged database when it opens it. Damage does not end the check: it is
//! reported, and the rest is read. A directory without damage is then opened as a run opens it, so that nothing is
//! called whole that a run would refuse.

mod read;
mod report;

use std::{path::Path, sync::Arc};

use self::read::TreeReader;
pub use self::report::StateCheck;
use crate::{
    clock::Clock,
    commit_marker,
    directory_copy::DirectoryCopy,
    durability::Durability,
    fault::StateFault,
    storage::{Database, lock, open_database},
    store::{Store, StoreOptions},
};

impl StateCheck {
    /// Checks the state directory at `path`, which no process may have open, in a copy at `scratch`, which must not
    /// exist and is removed afterwards. The copy needs as much room as the directory. It is not damaged if a run with this
    /// durability opens it.
    ///
    /// # Errors
    /// [`StateFault::Locked`] if a process has it open, [`StateFault::TooNew`], [`StateFault::Io`] if the copy cannot
    /// be made. Damage is no error.
    pub fn of(path: &Path, scratch: &Path, cache: u64, durability: Durability) -> Result<Self, StateFault> {
        check(path, scratch, (cache, durability), None)
    }

    /// As [`of`](Self::of), and writes every undamaged entry to `to`, a new directory.
    ///
    /// # Errors
    /// As [`of`](Self::of), and faults of writing `to`.
    pub fn salvage(
        path: &Path,
        scratch: &Path,
        durability: Durability,
        to: &Store,
    ) -> Result<Self, StateFault> {
        check(path, scratch, (to.options.cache, durability), Some(to))
    }
}

fn check(
    path: &Path,
    scratch: &Path,
    (cache, durability): (u64, Durability),
    to: Option<&Store>,
) -> Result<StateCheck, StateFault> {
    let _lock = lock(path)?;
    let mut report = StateCheck::default();
    let database = path.join("sled");
    if !database.is_dir() {
        // A directory in which no run has begun yet is not damaged.
        let written = commit_marker::finished(path)?;
        report.readable = written == 0;
        if written > 0 {
            let name = database.display();
            report.say(format!(
                "its database is missing: {name} is no directory, and commit {written} had been written"
            ));
        }
        return Ok(report);
    }
    let copy = DirectoryCopy::of(path, scratch)?;
    if let Some(db) = open_copy(&copy, path, cache, &mut report) {
        report.readable = true;
        TreeReader { report: &mut report, path: Arc::from(path), durability, to }.read(&db)?;
        drop(db);
        if report.is_whole() {
            open_as_a_run(&copy, (cache, durability), &mut report);
        }
    }
    Ok(report)
}

/// Opens the copy. If that fails, opens it without sled's settings, which are always the same, or without its
/// snapshot, which is only a cache of its log.
fn open_copy(copy: &DirectoryCopy, path: &Path, cache: u64, report: &mut StateCheck) -> Option<Database> {
    match open_database(path, &copy.database(), cache) {
        Ok(db) => return Some(db),
        Err(fault) => report.note(&fault),
    }
    [&["conf"][..], &["snap."], &["conf", "snap."]].into_iter().find_map(|names| {
        copy.again_without(names).and_then(|()| open_database(path, &copy.database(), cache)).ok()
    })
}

/// Reports what would keep a run from opening the directory.
fn open_as_a_run(copy: &DirectoryCopy, (cache, durability): (u64, Durability), report: &mut StateCheck) {
    let options = StoreOptions {
        durability,
        // So that nothing expires.
        dedupe_window: u64::MAX,
        cache,
        clock: Clock::System,
    };
    if let Err(fault) = Store::open(copy.path(), options) {
        report.note(&fault);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{record::Record, tests};

    fn look(path: &Path) -> StateCheck {
        look_as(path, Durability::Process)
    }

    fn look_as(path: &Path, durability: Durability) -> StateCheck {
        StateCheck::of(path, &path.with_file_name("copy"), 8 << 20, durability).unwrap()
    }

    #[test]
    fn what_a_loss_of_power_may_cost_is_told_and_damage_only_where_a_run_refuses_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let store = Store::open(&path, tests::options(Durability::Process)).unwrap();
        store.put_all(&[Record::LettersPublished(0)]).unwrap();
        drop(store);
        let whole = look(&path);
        assert!(whole.is_whole() && whole.lost.is_empty());
        // The file beside the database has outlived the power, and the last three commits have not.
        let written = commit_marker::finished(&path).unwrap();
        fs::write(path.join("commits"), (written + 3).to_be_bytes()).unwrap();
        let refused = look_as(&path, Durability::Power);
        assert!(!refused.is_whole() && refused.lost.is_empty());
        assert!(Store::open(&path, tests::options(Durability::Power)).is_err());
        let cut = look(&path);
        assert!(cut.is_whole(), "{:?}", cut.damage);
        assert!(cut.lost[0].contains(&format!("commit {} had been written", written + 3)), "{:?}", cut.lost);
        assert!(Store::open(&path, tests::options(Durability::Process)).is_ok());
    }

    #[test]
    fn what_a_run_would_refuse_is_not_called_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let store = Store::open(&path, tests::options(Durability::Process)).unwrap();
        store.put_all(&[Record::LettersPublished(0)]).unwrap();
        drop(store);
        assert!(look(&path).is_whole());
        // Which is of no delivery and no letter, and so read by nothing else here.
        let db = open_database(&path, &path.join("sled"), 8 << 20).unwrap();
        let order = db.open_tree("dead-order").unwrap();
        order.insert("p", &b"\xC5damaged"[..]).unwrap();
        db.flush().unwrap();
        drop((order, db));
        let refused = Store::open(&path, tests::options(Durability::Process)).unwrap_err().to_string();
        let [damage] = &look(&path).damage[..] else { panic!("called whole") };
        assert!(refused.contains("dead-order") && damage.contains("dead-order"), "{refused}: {damage}");
    }

    #[test]
    fn a_directory_without_its_database_is_damaged_unless_no_run_has_begun_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::create_dir(&path).unwrap();
        assert!(look(&path).is_whole());
        fs::write(path.join("commits"), 109_u64.to_be_bytes()).unwrap();
        let check = look(&path);
        assert!(!check.readable);
        let [damage] = &check.damage[..] else { panic!("{check:?}") };
        assert!(damage.contains("its database is missing") && damage.contains("commit 109"), "{damage}");
    }
}
