//! What must be in the store is compared with what is there, before anything is delivered from it: each commit says what
//! it is going to change and what the trees amount to behind it ([`crate::seal`]).
//!
//! Compared are the waiting deliveries of each broker, the dead letters, the sources and the brokers: by their number and
//! by a digest over their keys and values, each of which is read and checked. The intake log is compared by its end and
//! read as far as it is not settled. Of the ledger, in which a missing entry can cost a repeat and never a delivery, the
//! trees are compared by whether they are there, and their entries counted while deliveries run ([`crate::learn`]).

use std::collections::BTreeSet;

use crate::{
    dangling::dangling,
    fault::StateFault,
    record::Record,
    seal::{AllKept, Begun, Kept, Touched, kept},
    store::{FORMAT, Store},
    table::Table,
    tally::{Groups, Tally},
};

/// The numbers of the trees that are accounted for, as they stand on disk.
pub(crate) const SPILL: u8 = 0;
pub(crate) const DEAD: u8 = 1;
pub(crate) const SOURCES: u8 = 2;
pub(crate) const BROKERS: u8 = 3;

impl Store {
    /// The trees that are accounted for, each at its number.
    pub(crate) fn accounted(&self) -> [&Table; 4] {
        [self.spill.table(), self.dead.table(), self.sources.table(), self.brokers.table()]
    }

    /// What writing `records` is going to change.
    pub(crate) fn touched<'r>(
        &self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Touched, StateFault> {
        let mut keys = Vec::new();
        records.for_each(|record| record.touches(&mut keys));
        if keys.is_empty() {
            return Ok(Touched::Nothing);
        }
        keys.sort_unstable();
        keys.dedup();
        let tables = self.accounted();
        let before = |(number, key): (u8, Vec<u8>)| {
            let fingerprint = tables[usize::from(number)].fingerprint(&key)?;
            Ok((number, key, fingerprint))
        };
        keys.into_iter().map(before).collect::<Result<_, _>>().map(Touched::Keys)
    }

    /// Notes with the seal what has changed; behind the last write of a commit and before its flush.
    pub(crate) fn close(&self) -> Result<(), StateFault> {
        let mut changed = Vec::new();
        for table in self.accounted() {
            let groups = table.tallies().map(|tallies| tallies.take_changed()).unwrap_or_default();
            changed.extend(groups.into_iter().map(|(group, tally)| (table.name(), group, tally)));
        }
        let count = |entries| Tally { entries, digest: 0 };
        let ledger = self.buckets.take_changed().into_iter();
        changed.extend(ledger.map(|(start, entries)| {
            ("ledger", start.to_string().into_bytes().into_boxed_slice(), count(entries))
        }));
        changed.extend(self.intake.take_changed().map(|end| ("intake", Box::default(), count(end))));
        self.seal().close(changed)
    }

    /// Compares what is there with what must be, and keeps on counting from there. A directory of an earlier format is
    /// judged by itself: every value is read, and every delivery that the ledger says waits must be there.
    pub(crate) fn verify(&self, format: Option<u32>, meta: &Table) -> Result<(), StateFault> {
        self.intake.verify()?;
        if format == Some(FORMAT) {
            let all = kept(meta)?;
            let whole = self.seal().begin_with(&all)?.map_err(|wrong| self.damaged(wrong))?;
            // What a commit that is whole was going to change is as right as everything else.
            let begun = self.seal().begun()?;
            let begun = if whole { Begun::default() } else { begun };
            for (number, table) in (0..).zip(self.accounted()) {
                self.compare(number, table, &all, &begun)?;
            }
            return if whole { Ok(()) } else { self.seal().put_root() };
        }
        self.read_all()?;
        if let Some(first) = dangling(self)?.first() {
            let detail = format!(
                "the ledger says that event {:?} waits on disk for {}, but it is not there",
                first.event_id, first.broker
            );
            return Err(self.damaged(detail));
        }
        for table in self.accounted() {
            let found = table.tally()?;
            self.begin_with(table, found.clone(), &found)?;
        }
        self.seal().put_root()?;
        // Bare, so that an earlier release can tell that it is too old.
        meta.put_bare(b"format", &FORMAT)
    }

    fn compare(&self, number: u8, table: &Table, all: &AllKept, begun: &Begun) -> Result<(), StateFault> {
        let found = table.tally()?;
        let (differences, anew) = differences(number, table, all, begun, &found)?;
        match differences.into_iter().next() {
            Some(first) => Err(self.damaged(first)),
            None => self.begin_with(table, found, &anew),
        }
    }

    /// Accounts for `table` from `found` on; what was kept of the groups in `anew` is no longer right.
    fn begin_with(&self, table: &Table, found: Groups, anew: &Groups) -> Result<(), StateFault> {
        let mut seal = self.seal();
        anew.iter().try_for_each(|(group, tally)| seal.keep(table.name(), group, *tally))?;
        if let Some(tallies) = table.tallies() {
            tallies.set(found);
        }
        Ok(())
    }

    /// Decodes all values that can cost a delivery.
    fn read_all(&self) -> Result<(), StateFault> {
        self.spill.all().try_for_each(|delivery| delivery.map(drop))?;
        self.dead.iter().try_for_each(|letter| letter.map(drop))?;
        self.sources.checkpoints()?;
        self.sources.custodies().map(drop)
    }

    pub(crate) fn damaged(&self, detail: String) -> StateFault {
        StateFault::Damaged { path: self.path.to_path_buf(), detail }
    }
}

/// How what was found in `table` differs from what had been written, in words, by group; and the groups of which the last
/// commit may have changed something, so that what was kept of them is no longer right.
pub(crate) fn differences(
    number: u8,
    table: &Table,
    all: &AllKept,
    begun: &Begun,
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

fn difference(table: &Table, group: &[u8], was: Tally, is: Tally) -> Option<String> {
    let (written, there) = (was.entries, is.entries);
    let of = match table.name() {
        "spill" => format!("of the deliveries that wait for {}", String::from_utf8_lossy(group)),
        "dead" => "of the dead letters".to_owned(),
        name => format!("of what is kept of the {name}"),
    };
    match written == there {
        _ if was == is => None,
        true => Some(format!("{of}, {there} in number, some are not what was written last")),
        false => Some(format!("{of} {written} had been written, and {there} are there")),
    }
}

/// What was and what is there beside the keys that the last commit was going to change.
fn untouched(
    number: u8,
    table: &Table,
    group: &[u8],
    (was, mut is): (Kept, Tally),
    begun: &Begun,
) -> Result<(Tally, Tally), StateFault> {
    let mut was = was.tally;
    let group_of = |key| table.tallies().map_or(&[][..], |tallies| tallies.group_of(key));
    for (of, key, before) in &begun.keys {
        if *of == number && group_of(key.as_slice()) == group {
            before.iter().for_each(|before| was.remove(*before));
            table.fingerprint(key)?.into_iter().for_each(|now| is.remove(now));
        }
    }
    Ok((was, is))
}
