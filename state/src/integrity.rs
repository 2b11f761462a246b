//! Compares the store with its commit marks before anything is delivered ([`crate::commit_marker`] keeps the marks).
//!
//! Each broker's waiting deliveries, the dead letters, the sources and the brokers are compared by number and digest;
//! every value is read and its checksum verified. The intake log is compared by its end, and read as far as it is not
//! settled. A missing entry of the ledger can cost a repeat but no delivery, so its trees must be there and their
//! entries are counted while deliveries run ([`crate::filter_warmup`]).

use std::collections::BTreeSet;

use crate::{
    commit_marker::{BegunCommit, ChangeSet, StoredDigest, StoredDigests, kept},
    dangling::dangling,
    fault::StateFault,
    record::Record,
    store::{FORMAT, Store},
    table::Table,
    tree_digest::{Groups, TreeDigest},
};

impl Store {
    /// The trees with digests, each at its number.
    pub(crate) fn digested(&self) -> [&Table; 4] {
        [self.spill.table(), self.dead.table(), self.sources.table(), self.brokers.table()]
    }

    /// The keys that writing `records` is going to change.
    pub(crate) fn touched<'r>(
        &self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<ChangeSet, StateFault> {
        let mut keys = Vec::new();
        records.for_each(|record| record.touches(&mut keys));
        if keys.is_empty() {
            return Ok(ChangeSet::Empty);
        }
        keys.sort_unstable();
        keys.dedup();
        let tables = self.digested();
        let before = |(number, key): (u8, Vec<u8>)| {
            let fingerprint = tables[usize::from(number)].fingerprint(&key)?;
            Ok((number, key, fingerprint))
        };
        keys.into_iter().map(before).collect::<Result<_, _>>().map(ChangeSet::Keys)
    }

    /// Stores the changed digests with the commit marks, after the last write of a commit and before its flush.
    pub(crate) fn close(&self) -> Result<(), StateFault> {
        let mut changed = Vec::new();
        for table in self.digested() {
            let groups = table.digests().map(|digests| digests.take_changed()).unwrap_or_default();
            changed.extend(groups.into_iter().map(|(group, tally)| (table.name(), group, tally)));
        }
        let count = |entries| TreeDigest { entries, digest: 0 };
        let ledger = self.buckets.take_changed().into_iter();
        changed.extend(ledger.map(|(start, entries)| {
            ("ledger", start.to_string().into_bytes().into_boxed_slice(), count(entries))
        }));
        changed.extend(self.intake.take_changed().map(|end| ("intake", Box::default(), count(end))));
        self.commit_marker().close(changed)
    }

    /// Compares the trees with their stored digests, and starts accounting from what was found. A directory of an
    /// earlier format has none: there every value is read, and every delivery that the ledger says waits must be
    /// there. Gives what the last commit was going to change, if it is not complete.
    pub(crate) fn verify(&self, format: Option<u32>, meta: &Table) -> Result<BegunCommit, StateFault> {
        self.intake.verify()?;
        if format == Some(FORMAT) {
            let all = kept(meta)?;
            let whole = self.commit_marker().begin_with(&all)?.map_err(|wrong| self.damaged(wrong))?;
            // A complete last commit needs no exception for its keys.
            let begun = self.commit_marker().begun()?;
            let begun = if whole { BegunCommit::default() } else { begun };
            for (number, table) in (0..).zip(self.digested()) {
                self.compare(number, table, &all, &begun)?;
            }
            if !whole {
                self.commit_marker().put_root()?;
            }
            return Ok(begun);
        }
        self.read_all()?;
        if let Some(first) = dangling(self)?.first() {
            let detail = format!(
                "the ledger says that event {:?} waits on disk for {}, but it is not there",
                first.event_id, first.broker
            );
            return Err(self.damaged(detail));
        }
        for table in self.digested() {
            let found = table.tally()?;
            self.begin_with(table, found.clone(), &found)?;
        }
        self.commit_marker().put_root()?;
        // Without an envelope, so that an earlier release can read that it is too old.
        meta.put_bare(b"format", &FORMAT)?;
        Ok(BegunCommit::default())
    }

    fn compare(
        &self,
        number: u8,
        table: &Table,
        all: &StoredDigests,
        begun: &BegunCommit,
    ) -> Result<(), StateFault> {
        let found = table.tally()?;
        let (differences, anew) = differences(number, table, all, begun, &found)?;
        match differences.into_iter().next() {
            Some(first) => Err(self.damaged(first)),
            None => self.begin_with(table, found, &anew),
        }
    }

    /// Starts accounting for `table` at `found`; the stored digests of the groups in `anew` are outdated.
    fn begin_with(&self, table: &Table, found: Groups, anew: &Groups) -> Result<(), StateFault> {
        let mut marker = self.commit_marker();
        anew.iter().try_for_each(|(group, tally)| marker.store_digest(table.name(), group, *tally))?;
        if let Some(digests) = table.digests() {
            digests.set(found);
        }
        Ok(())
    }

    /// Decodes all values that can cost a delivery.
    fn read_all(&self) -> Result<(), StateFault> {
        self.spill.all().try_for_each(|delivery| delivery.map(drop))?;
        self.dead.iter().try_for_each(|letter| letter.map(drop))?;
        self.sources.checkpoints()?;
        self.sources.ownerships().map(drop)
    }

    pub(crate) fn damaged(&self, detail: String) -> StateFault {
        StateFault::Damaged { path: self.path.to_path_buf(), detail }
    }
}

/// How the content of `table` differs from its stored digests, in words, by group; and the groups that the last
/// commit may have changed, whose stored digests are outdated.
pub(crate) fn differences(
    number: u8,
    table: &Table,
    all: &StoredDigests,
    begun: &BegunCommit,
    found: &Groups,
) -> Result<(Vec<String>, Groups), StateFault> {
    let mine = all.iter().filter(|((tree, _), _)| tree == table.name());
    let groups: BTreeSet<_> = mine.map(|((_, group), _)| group).chain(found.keys()).collect();
    let (mut differences, mut anew) = (Vec::new(), Groups::new());
    for group in groups {
        let was = all.get(&(table.name().to_owned(), group.clone())).copied().unwrap_or_default();
        let is = found.get(group).copied().unwrap_or_default();
        if begun.commit <= was.commit {
            differences.extend(difference(table, group, was.tally, is));
            continue;
        }
        anew.insert(group.clone(), is);
        if !begun.anything {
            let (was, is) = untouched(number, table, group, (was, is), begun)?;
            differences.extend(difference(table, group, was, is));
        }
    }
    Ok((differences, anew))
}

fn difference(table: &Table, group: &[u8], was: TreeDigest, is: TreeDigest) -> Option<String> {
    let (written, there) = (was.entries, is.entries);
    let of = match table.name() {
        "spill" => format!("of the deliveries that wait for {}", String::from_utf8_lossy(group)),
        "dead" => "of the dead letters".to_owned(),
        name => format!("of the stored {name}"),
    };
    match written == there {
        _ if was == is => None,
        true => Some(format!("{of}, {there} in number, some are not what was written last")),
        false => Some(format!("{of} {written} had been written, and {there} are there")),
    }
}

/// The stored and the found digest without the keys that the last commit was going to change.
fn untouched(
    number: u8,
    table: &Table,
    group: &[u8],
    (was, mut is): (StoredDigest, TreeDigest),
    begun: &BegunCommit,
) -> Result<(TreeDigest, TreeDigest), StateFault> {
    let mut was = was.tally;
    let group_of = |key| table.digests().map_or(&[][..], |digests| digests.group_of(key));
    for (of, key, before) in &begun.keys {
        if *of == number && group_of(key.as_slice()) == group {
            before.iter().for_each(|before| was.remove(*before));
            table.fingerprint(key)?.into_iter().for_each(|now| is.remove(now));
        }
    }
    Ok((was, is))
}
