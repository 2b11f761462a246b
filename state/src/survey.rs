//! Reads all that can be read of a state directory, and says what is damaged: for `state check` and `state repair`.
//!
//! It works on a copy of the database, for sled changes a damaged one when it opens it. Nothing it meets ends it early:
//! what cannot be read is named, and the rest is read.

use std::{borrow::Cow, collections::BTreeMap, path::Path, sync::Arc};

use rustc_hash::FxHashSet;
use sled::IVec;

use crate::{
    account::differences,
    brokers::Brokers,
    codec,
    copy::Copy,
    dangling::Missing,
    dead::DeadLetter,
    envelope,
    fault::StateFault,
    guard::{guarded, guarded_items},
    intake_log,
    outcome::{LedgerEntry, LedgerKey, Outcome},
    parts::Parts,
    salvage::Salvage,
    seal::{self, AllKept, Begun, kept},
    sources::Sources,
    spill::Spill,
    store::{FORMAT, Store, lock, open_database},
    table::Table,
    tally::Groups,
    unresolved,
};

/// What is in a state directory, and what should be and is not.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// What is damaged, in words; none if the directory is whole.
    pub damage: Vec<String>,
    /// Deliveries that the ledger says wait, and that are not there.
    pub missing: Vec<Missing>,
    /// Whether anything could be read at all.
    pub readable: bool,
    /// Deliveries that wait on disk, by broker.
    pub waiting: BTreeMap<String, u64>,
    /// Dead letters.
    pub dead_letters: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Posted records that are not settled.
    pub posted: u64,
}

impl Survey {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.missing.is_empty()
    }

    /// Looks at the state directory at `path`, which no process may have open, in a copy at `scratch`, which must not
    /// exist and is removed again. It needs as much room as the directory has.
    ///
    /// # Errors
    /// [`StateFault::Locked`] if a process has it open, [`StateFault::TooNew`], [`StateFault::Io`] if the copy cannot
    /// be made. Damage is no error.
    pub fn of(path: &Path, scratch: &Path, cache: u64) -> Result<Self, StateFault> {
        survey(path, scratch, cache, None)
    }

    /// The same; and writes everything that is whole to `to`, a new directory.
    ///
    /// # Errors
    /// As [`of`](Self::of); and whatever keeps `to` from being written.
    pub fn salvage(path: &Path, scratch: &Path, to: &Store) -> Result<Self, StateFault> {
        survey(path, scratch, to.options.cache, Some(to))
    }
}

fn survey(path: &Path, scratch: &Path, cache: u64, to: Option<&Store>) -> Result<Survey, StateFault> {
    let _lock = lock(path)?;
    let mut surveyor = Surveyor { survey: Survey::default(), path: Arc::from(path), to };
    let database = path.join("sled");
    if !database.is_dir() {
        // A directory in which no run has begun yet has nothing to lose.
        let written = seal::finished(path)?;
        surveyor.survey.readable = written == 0;
        if written > 0 {
            let name = database.display();
            surveyor.say(format!(
                "its database is missing: {name} is no directory, and commit {written} had been written"
            ));
        }
        return Ok(surveyor.survey);
    }
    let copy = Copy::of(&database, scratch)?;
    if let Some(db) = surveyor.open(&copy, cache) {
        surveyor.survey.readable = true;
        surveyor.read(&db)?;
    }
    Ok(surveyor.survey)
}

pub(crate) struct Surveyor<'t> {
    pub(crate) survey: Survey,
    path: Arc<Path>,
    to: Option<&'t Store>,
}

impl Surveyor<'_> {
    /// Opens the copy; if it cannot be opened as it is, without sled's settings, which are always the same, or without its
    /// snapshot, which is only a cache of its log.
    fn open(&mut self, copy: &Copy, cache: u64) -> Option<sled::Db> {
        match open_database(&self.path, copy.path(), cache) {
            Ok(db) => return Some(db),
            Err(fault) => self.note(&fault),
        }
        [&["conf"][..], &["snap."], &["conf", "snap."]].into_iter().find_map(|names| {
            copy.again_without(names).and_then(|()| open_database(&self.path, copy.path(), cache)).ok()
        })
    }

    fn note(&mut self, fault: &StateFault) {
        self.say(match fault {
            StateFault::Damaged { detail, .. } => detail.clone(),
            StateFault::Undecodable { tree, detail } => format!("a value in {tree} cannot be read: {detail}"),
            other => other.to_string(),
        });
    }

    /// Notes what could not be read of the tree that holds `what`.
    fn note_all(&mut self, what: &str, faults: &[StateFault]) {
        for fault in faults {
            match fault {
                StateFault::Damaged { detail, .. } => {
                    self.say(format!("a part of the {what} cannot be read: {detail}"));
                }
                other => self.note(other),
            }
        }
    }

    fn say(&mut self, damage: String) {
        // A page that is met twice is one.
        if !self.survey.damage.contains(&damage) {
            self.survey.damage.push(damage);
        }
    }

    /// What `found` is; a fault is noted.
    fn noted<T: Default>(&mut self, found: Result<T, StateFault>) -> T {
        found.unwrap_or_else(|fault| {
            self.note(&fault);
            T::default()
        })
    }

    fn table(&mut self, db: &sled::Db, name: &'static str) -> Option<Table> {
        let table = Table::open(db, name, &self.path).map(Some);
        self.noted(table)
    }

    fn read(&mut self, db: &sled::Db) -> Result<(), StateFault> {
        let (all, begun) = self.read_meta(db)?;
        let tables = ["spill", "dead", "sources", "brokers"].map(|name| self.table(db, name));
        let [Some(spill), Some(dead), Some(sources), Some(brokers)] = tables else { return Ok(()) };
        let (spill, sources, brokers) = (Spill::new(spill), Sources::new(sources), Brokers::new(brokers));
        let dead = dead.accounted(|_| &[]);
        let waiting = self.read_spill(&spill);
        self.read_ledger(db, &all, &waiting)?;
        for (number, table) in (0..).zip([spill.table(), &dead, sources.table(), brokers.table()]) {
            let found = self.copy_table(table, &spill)?;
            let compared = match begun.is_some() {
                true => differences(number, table, &all, begun.as_ref().unwrap_or(&Begun::default()), &found),
                false => Ok(Default::default()),
            };
            let (differences, _) = self.noted(compared);
            self.survey.damage.extend(differences);
        }
        if let Some(unresolved) = self.table(db, unresolved::TREE) {
            let _nothing_to_compare = self.copy_table(&unresolved, &spill)?;
        }
        self.read_intake(db, &all, &sources)
    }

    /// What the trees must amount to; no last commit if the directory is of a format that does not keep it.
    fn read_meta(&mut self, db: &sled::Db) -> Result<(AllKept, Option<Begun>), StateFault> {
        let Some(meta) = self.table(db, "meta") else { return Ok(Default::default()) };
        let format = self.noted(meta.get::<u32>(b"format"));
        if let Some(found) = format.filter(|found| *found > FORMAT) {
            return Err(StateFault::TooNew { path: self.path.to_path_buf(), found, known: FORMAT });
        }
        let behind = seal::behind(&meta, &self.path);
        if let Some((commits, expected)) = self.noted(behind) {
            self.say(format!(
                "its last commit is {commits}, but commit {expected} had been written: what came between is missing"
            ));
        }
        let all = self.noted(kept(&meta));
        if format != Some(FORMAT) {
            return Ok((all, None));
        }
        let (wrong, whole) = self.noted(seal::compare_root(&meta, &self.path, &all));
        self.survey.damage.extend(wrong);
        let begun = if whole { Begun::default() } else { self.noted(seal::begun(&meta)) };
        Ok((all, Some(begun)))
    }

    /// Which deliveries wait.
    fn read_spill(&mut self, spill: &Spill) -> FxHashSet<LedgerKey> {
        let mut waiting = FxHashSet::default();
        let mut counts = BTreeMap::new();
        let faults = spill.table().each(|key, bare| {
            let delivery = spill.decode_item_bare(key, bare)?;
            *counts.entry(delivery.broker.to_string()).or_default() += 1;
            waiting.insert(LedgerKey::new(&delivery.broker, &delivery.event.event_id));
            Ok(())
        });
        self.note_all("deliveries that wait", &faults);
        self.survey.waiting = counts;
        waiting
    }

    /// The whole ledger, oldest part first.
    fn read_ledger(
        &mut self,
        db: &sled::Db,
        all: &AllKept,
        waiting: &FxHashSet<LedgerKey>,
    ) -> Result<(), StateFault> {
        let mut starts: Vec<u64> = db.tree_names().iter().filter_map(|name| ledger_start(name)).collect();
        starts.sort_unstable();
        let mut salvage = Salvage::new(self.to);
        let mut missing = FxHashSet::default();
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        for start in &starts {
            let tree = guarded(&self.path, || db.open_tree(format!("ledger-{start}"))).map(Some);
            let Some(tree) = self.noted(tree) else { continue };
            let faults = each(&self.path, &tree, ("ledger", None), |key, bare| {
                let entry = LedgerEntry::from_bytes(bare)?;
                *found.entry(*start).or_default() += 1;
                let key = LedgerKey::from_bytes(key);
                let dangles = entry.outcome == Outcome::Spilled && !waiting.contains(&key);
                match dangles {
                    true => {
                        missing.insert(key);
                    }
                    // A newer entry says what became of it.
                    false => {
                        missing.remove(&key);
                        salvage.entry(&key, entry);
                    }
                }
                Ok(())
            });
            self.note_all("ledger", &faults);
        }
        salvage.finish()?;
        self.survey.ledger_entries = found.values().sum();
        for ((tree, group), kept) in all {
            let start = std::str::from_utf8(group).ok().and_then(|start| start.parse().ok()).unwrap_or(0);
            let there = found.get(&start).copied().unwrap_or(0);
            if tree == "ledger" && there < kept.tally.entries {
                let written = kept.tally.entries;
                self.say(format!(
                    "of {written} entries of a part of the ledger {there} are there: what is missing can be delivered again"
                ));
            }
        }
        self.survey.missing = missing
            .into_iter()
            .map(|key| {
                let (event_id, broker) = key.parts();
                Missing { broker, event_id }
            })
            .collect();
        self.survey.missing.sort();
        Ok(())
    }

    /// Reads one of the trees that are accounted for.
    fn copy_table(&mut self, table: &Table, spill: &Spill) -> Result<Groups, StateFault> {
        let mut salvage = Salvage::new(self.to);
        let mut letters = 0;
        let mut found = Groups::new();
        let faults = table.each(|key, bare| {
            match table.name() {
                "spill" => salvage.delivery(spill.decode_item_bare(key, bare)?),
                "dead" => {
                    salvage.letter(codec::decode::<DeadLetter>("dead", bare)?);
                    letters += 1;
                }
                name => salvage.bare(name, key, bare),
            }
            let group = table.tallies().map_or(&[][..], |tallies| tallies.group_of(key));
            let stored = envelope::seal(table.name(), key, bare);
            found.entry(group.into()).or_default().add(envelope::fingerprint(table.name(), key, &stored));
            Ok(())
        });
        // Those of the spill stand there already.
        if table.name() != "spill" {
            self.note_all(if table.name() == "dead" { "dead letters" } else { table.name() }, &faults);
        }
        self.survey.dead_letters += letters;
        salvage.finish()?;
        Ok(found)
    }

    fn read_intake(&mut self, db: &sled::Db, all: &AllKept, sources: &Sources) -> Result<(), StateFault> {
        let checkpoint = sources.checkpoint(crate::EmbeddedLog::SOURCE);
        let settled = self.noted(checkpoint).map_or(0, |checkpoint| checkpoint.offset);
        let mut starts: Vec<(u64, IVec)> = db
            .tree_names()
            .into_iter()
            .filter_map(|name| Some((intake_log::segment_start(&name)?, name)))
            .collect();
        starts.sort();
        let mut salvage = Salvage::new(self.to);
        let mut next = settled;
        let mut posted = 0;
        let mut damage = Vec::new();
        for (_, name) in &starts {
            let tree = guarded(&self.path, || db.open_tree(name));
            let both = tree.and_then(|tree| Ok((Parts::open(db, &tree, "intake", &self.path)?, tree)));
            let Some((parts, tree)) = self.noted(both.map(Some)) else { continue };
            let faults = each(&self.path, &tree, ("intake", Some(&parts)), |key, bare| {
                let record = intake_log::decode_bare(key, bare)?;
                if record.offset < settled {
                    return Ok(());
                }
                if record.offset > next {
                    damage.push(format!(
                        "records {next} to {} of the intake log are missing",
                        record.offset - 1
                    ));
                }
                next = record.offset + 1;
                posted += 1;
                salvage.posted(&record);
                Ok(())
            });
            self.note_all("intake log", &faults);
        }
        let end = all.get(&("intake".to_owned(), Box::default())).map_or(0, |kept| kept.tally.entries);
        if next < end {
            damage.push(format!("records {next} to {} of the intake log are missing", end - 1));
        }
        self.survey.posted = posted;
        self.survey.damage.append(&mut damage);
        salvage.finish()
    }
}

fn ledger_start(name: &[u8]) -> Option<u64> {
    std::str::from_utf8(name).ok()?.strip_prefix("ledger-")?.parse().ok()
}

/// Gives every entry of `tree` that can be read to `on`, without its envelope and whole if it stands in parts; gives what could not be read, or `on` could
/// not use. Where a page cannot be read, it goes on behind it.
pub(crate) fn each(
    path: &Path,
    tree: &sled::Tree,
    (name, parts): (&'static str, Option<&Parts>),
    mut on: impl FnMut(&[u8], &[u8]) -> Result<(), StateFault>,
) -> Vec<StateFault> {
    let (mut faults, mut from, mut last) = (Vec::new(), Some(Vec::new()), Vec::new());
    while let Some(start) = from.take() {
        for item in guarded_items(path, tree.range(start..)) {
            match item {
                Ok((key, stored)) => {
                    let bare = match parts {
                        Some(parts) => parts.whole(&key, &stored),
                        None => {
                            envelope::open(name, &key, &stored).map(|begin| Cow::Borrowed(&stored[begin..]))
                        }
                    };
                    faults.extend(bare.and_then(|bare| on(&key, &bare)).err());
                    last = key.to_vec();
                }
                Err(fault) => {
                    faults.push(fault);
                    from = behind(path, tree, &last);
                }
            }
        }
    }
    faults
}

/// How many keys are tried for each length of a key.
const TRIES: u8 = 32;

/// The nearest key behind `last` from which on the tree can be read again, by trying keys that are further and further
/// away; none if there is none.
fn behind(path: &Path, tree: &sled::Tree, last: &[u8]) -> Option<Vec<u8>> {
    let last = if last.is_empty() { &[0][..] } else { last };
    for len in (1..=last.len()).rev() {
        let mut key = last[..len].to_vec();
        for _ in 0..TRIES {
            let byte = key.last_mut()?;
            let Some(next) = byte.checked_add(1) else { break };
            *byte = next;
            match guarded(path, || tree.range(key.clone()..).next().transpose()) {
                Ok(Some(_)) => return Some(key),
                Ok(None) => return None,
                Err(_) => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn look(path: &Path) -> Survey {
        Survey::of(path, &path.with_file_name("copy"), 8 << 20).unwrap()
    }

    #[test]
    fn a_directory_without_its_database_is_damaged_unless_no_run_has_begun_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::create_dir(&path).unwrap();
        assert!(look(&path).is_whole());
        fs::write(path.join("commits"), 109_u64.to_be_bytes()).unwrap();
        let survey = look(&path);
        assert!(!survey.readable);
        let [damage] = &survey.damage[..] else { panic!("{survey:?}") };
        assert!(damage.contains("its database is missing") && damage.contains("commit 109"), "{damage}");
    }
}
