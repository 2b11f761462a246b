//! Reads the trees of a state directory, reports what is damaged or missing, and hands what is whole to the salvage.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use rustc_hash::FxHashSet;

use super::report::StateCheck;
use crate::{
    brokers::Brokers,
    commit_marker::{self, BegunCommit, StoredDigests, kept},
    dangling::MissingDelivery,
    dead_letter::DeadLetter,
    durability::Durability,
    envelope,
    fault::StateFault,
    intake_log,
    integrity::differences,
    outcome::{LedgerEntry, LedgerKey, Outcome},
    parts::Parts,
    readable_entries::for_each_readable,
    salvage::Salvage,
    sources::Sources,
    spill::Spill,
    storage::{Database, IVec, guarded},
    store::{FORMAT, Store},
    table::Table,
    tree_digest::Groups,
    unresolved,
};

/// Reads one database into a report.
pub(super) struct TreeReader<'t> {
    pub(super) report: &'t mut StateCheck,
    /// The state directory, for faults.
    pub(super) path: Arc<Path>,
    /// With which a run would open it.
    pub(super) durability: Durability,
    /// Where what is whole is written; none if it is only checked.
    pub(super) to: Option<&'t Store>,
}

impl TreeReader<'_> {
    fn table(&mut self, db: &Database, name: &'static str) -> Option<Table> {
        let table = Table::open(db, name, &self.path).map(Some);
        self.report.noted(table)
    }

    pub(super) fn read(&mut self, db: &Database) -> Result<(), StateFault> {
        let (all, begun) = self.read_meta(db)?;
        let tables = ["spill", "dead", "sources", "brokers"].map(|name| self.table(db, name));
        let [Some(spill), Some(dead), Some(sources), Some(brokers)] = tables else { return Ok(()) };
        let (spill, sources, brokers) = (Spill::new(spill), Sources::new(sources), Brokers::new(brokers));
        let dead = dead.with_digests(|_| &[]);
        let waiting = self.read_spill(&spill);
        self.read_ledger(db, &all, &waiting)?;
        for (number, table) in (0..).zip([spill.table(), &dead, sources.table(), brokers.table()]) {
            let found = self.copy_table(table, &spill)?;
            let compared = match begun.is_some() {
                true => differences(
                    number,
                    table,
                    &all,
                    begun.as_ref().unwrap_or(&BegunCommit::default()),
                    &found,
                ),
                false => Ok(Default::default()),
            };
            let (differences, _) = self.report.noted(compared);
            self.report.damage.extend(differences);
        }
        if let Some(unresolved) = self.table(db, unresolved::TREE) {
            let _nothing_to_compare = self.copy_table(&unresolved, &spill)?;
        }
        self.read_intake(db, &all, &sources)
    }

    /// The stored digests and the last commit; none of the latter if the directory is of a format without digests.
    fn read_meta(&mut self, db: &Database) -> Result<(StoredDigests, Option<BegunCommit>), StateFault> {
        let Some(meta) = self.table(db, "meta") else { return Ok(Default::default()) };
        let format = self.report.noted(meta.get::<u32>(b"format"));
        if let Some(found) = format.filter(|found| *found > FORMAT) {
            return Err(StateFault::TooNew { path: self.path.to_path_buf(), found, known: FORMAT });
        }
        let all = self.report.noted(kept(&meta));
        let stored = (format == Some(FORMAT)).then_some(&all);
        let found = commit_marker::compare(&meta, &self.path, self.durability, stored);
        let found = self.report.noted(found);
        self.report.damage.extend(found.wrong);
        self.report.lost = found.lost;
        if stored.is_none() {
            return Ok((all, None));
        }
        let begun = match found.whole {
            true => BegunCommit::default(),
            false => self.report.noted(commit_marker::begun(&meta)),
        };
        Ok((all, Some(begun)))
    }

    /// The keys of the deliveries that wait.
    fn read_spill(&mut self, spill: &Spill) -> FxHashSet<LedgerKey> {
        let mut waiting = FxHashSet::default();
        let mut counts = BTreeMap::new();
        let faults = spill.table().each(|key, bare| {
            let delivery = spill.decode_item_bare(key, bare)?;
            *counts.entry(delivery.broker.to_string()).or_default() += 1;
            waiting.insert(LedgerKey::new(&delivery.broker, &delivery.event.event_id));
            Ok(())
        });
        self.report.note_all("deliveries that wait", &faults);
        self.report.waiting = counts;
        waiting
    }

    /// The whole ledger, oldest tree first.
    fn read_ledger(
        &mut self,
        db: &Database,
        all: &StoredDigests,
        waiting: &FxHashSet<LedgerKey>,
    ) -> Result<(), StateFault> {
        let mut starts: Vec<u64> = db.tree_names().iter().filter_map(|name| ledger_start(name)).collect();
        starts.sort_unstable();
        let mut salvage = Salvage::new(self.to);
        let mut missing = FxHashSet::default();
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        for start in &starts {
            let tree = guarded(&self.path, || db.open_tree(format!("ledger-{start}"))).map(Some);
            let Some(tree) = self.report.noted(tree) else { continue };
            let faults = for_each_readable(&self.path, &tree, ("ledger", None), |key, bare| {
                let entry = LedgerEntry::from_bytes(bare)?;
                *found.entry(*start).or_default() += 1;
                let key = LedgerKey::from_bytes(key);
                let dangles = entry.outcome == Outcome::Spilled && !waiting.contains(&key);
                match dangles {
                    true => {
                        missing.insert(key);
                    }
                    // A newer entry has its outcome.
                    false => {
                        missing.remove(&key);
                        salvage.entry(&key, entry);
                    }
                }
                Ok(())
            });
            self.report.note_all("ledger", &faults);
        }
        salvage.finish()?;
        self.report.ledger_entries = found.values().sum();
        for ((tree, group), kept) in all {
            let start = std::str::from_utf8(group).ok().and_then(|start| start.parse().ok()).unwrap_or(0);
            let there = found.get(&start).copied().unwrap_or(0);
            if tree == "ledger" && there < kept.tally.entries {
                let written = kept.tally.entries;
                self.report.say(format!(
                    "of {written} entries of a part of the ledger {there} are there: what is missing can be delivered again"
                ));
            }
        }
        self.report.missing = missing
            .into_iter()
            .map(|key| {
                let (event_id, broker) = key.parts();
                MissingDelivery { broker, event_id }
            })
            .collect();
        self.report.missing.sort();
        Ok(())
    }

    /// Reads one of the trees with digests.
    fn copy_table(&mut self, table: &Table, spill: &Spill) -> Result<Groups, StateFault> {
        let mut salvage = Salvage::new(self.to);
        let mut letters = 0;
        let mut found = Groups::new();
        let faults = table.each(|key, bare| {
            match table.name() {
                "spill" => salvage.delivery(spill.decode_item_bare(key, bare)?),
                "dead" => {
                    salvage.letter(DeadLetter::from_bytes(bare)?);
                    letters += 1;
                }
                name => salvage.bare(name, key, bare),
            }
            let group = table.digests().map_or(&[][..], |digests| digests.group_of(key));
            let stored = envelope::seal(table.name(), key, bare);
            found.entry(group.into()).or_default().add(envelope::fingerprint(table.name(), key, &stored));
            Ok(())
        });
        // The spill's faults are reported by `read_spill`.
        if table.name() != "spill" {
            self.report.note_all(if table.name() == "dead" { "dead letters" } else { table.name() }, &faults);
        }
        self.report.dead_letters += letters;
        salvage.finish()?;
        Ok(found)
    }

    fn read_intake(
        &mut self,
        db: &Database,
        all: &StoredDigests,
        sources: &Sources,
    ) -> Result<(), StateFault> {
        let checkpoint = sources.checkpoint(crate::EmbeddedLog::SOURCE);
        let settled = self.report.noted(checkpoint).map_or(0, |checkpoint| checkpoint.offset);
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
            let Some((parts, tree)) = self.report.noted(both.map(Some)) else { continue };
            let faults = for_each_readable(&self.path, &tree, ("intake", Some(&parts)), |key, bare| {
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
            self.report.note_all("intake log", &faults);
        }
        let end = all.get(&("intake".to_owned(), Box::default())).map_or(0, |kept| kept.tally.entries);
        if next < end {
            damage.push(format!("records {next} to {} of the intake log are missing", end - 1));
        }
        self.report.posted = posted;
        self.report.damage.append(&mut damage);
        salvage.finish()
    }
}

fn ledger_start(name: &[u8]) -> Option<u64> {
    std::str::from_utf8(name).ok()?.strip_prefix("ledger-")?.parse().ok()
}
