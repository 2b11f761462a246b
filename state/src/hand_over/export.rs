//! Gives a source away: it enters as this directory's own, and leaves in a file, after which this directory has nothing of
//! it but its share of the ledger and of the dead letters.
//!
//! The durable steps, each repeatable: (1) the move gets its number; (2) the file is written under another name, synced,
//! and gets its own; (3) the fence, which takes the checkpoint away; (4) the deliveries that are in the file are removed.
//! An end before (3) leaves the source here, and the file must not be used. An end before (4) is made up for when the
//! directory is opened the next time.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    HandOver, HandOverFault,
    file::{Header, KeptEntry, MovedDelivery, Writer},
    recover::clear,
};
use crate::{
    custody::{Custody, Holding},
    outcome::{LedgerEntry, LedgerKey, Outcome},
    spilled::SpilledDelivery,
    store::Store,
};

/// How many digests stand in one frame.
const UNRESOLVED_MAX: usize = 4_096;

impl Store {
    /// Writes what this directory keeps for `source` to the new file `to`, and fences the source here.
    ///
    /// The file holds its checkpoint and doubt, the deliveries of it that wait on disk, and the ledger within the dedupe
    /// window, whatever source the entries come from: an entry does not say. Dead letters stay.
    ///
    /// # Errors
    /// [`HandOverFault`]; but for [`HandOverFault::NotFenced`] the source is here as it was.
    pub fn export(&self, source: &str, to: &Path) -> Result<HandOver, HandOverFault> {
        refuse_existing(to)?;
        refuse_existing(&partial_of(to))?;
        let header = self.number_move(source)?;
        let handed_over = self.write_move(&header, to)?;
        let fenced = self.fence(&header, to).and_then(|()| clear(self, source));
        fenced.map_err(|fault| HandOverFault::NotFenced {
            path: to.to_owned(),
            source_name: source.to_owned(),
            fault,
        })?;
        Ok(handed_over)
    }

    /// Step 1. The number is used up even if the move comes to nothing, so that no two files share one.
    pub(super) fn number_move(&self, source: &str) -> Result<Header, HandOverFault> {
        let source_name = || source.to_owned();
        let custody = self.sources.custody(source)?;
        let known = custody.as_ref().map_or(0, |custody| custody.generation);
        match custody.map(|custody| custody.holding) {
            None | Some(Holding::Here) => {}
            Some(Holding::Away { file, .. }) => {
                return Err(HandOverFault::GivenAway { source_name: source_name(), file, generation: known });
            }
            Some(Holding::Arriving { file, .. }) => {
                return Err(HandOverFault::Arriving { source_name: source_name(), file });
            }
        }
        let checkpoint = self.sources.checkpoint(source)?;
        let checkpoint = checkpoint.ok_or_else(|| HandOverFault::NotHere { source_name: source_name() })?;
        let generation = known.saturating_add(1);
        self.commit(|_now| {
            self.sources.put_custody(source, &Custody { generation, holding: Holding::Here })
        })?;
        Ok(Header {
            source: Arc::from(source),
            generation,
            exported_at: self.options.clock.now(),
            checkpoint,
            horizon: self.sources.doubt(source)?,
        })
    }

    /// Step 2.
    pub(super) fn write_move(&self, header: &Header, to: &Path) -> Result<HandOver, HandOverFault> {
        let partial = partial_of(to);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => HandOverFault::FileExists { path: partial.clone() },
            _ => HandOverFault::file(&partial, &error),
        })?;
        let written = self.write_all(header, file, &partial).and_then(|written| {
            name(&partial, to)?;
            Ok(written)
        });
        if written.is_err() {
            // It is of no use to anyone; and it would be in the way of the next export.
            let _left = fs::remove_file(&partial).is_err();
        }
        written
    }

    fn write_all(&self, header: &Header, file: File, path: &Path) -> Result<HandOver, HandOverFault> {
        let unresolved = self.unresolved.digests();
        let mut writer = Writer::begin(file, path, header, !unresolved.is_empty())?;
        let mut doubt = (Arc::from(""), 0);
        for delivery in self.spill.all() {
            let mut delivery = delivery?;
            if delivery.event.position.source != header.source {
                continue;
            }
            if doubt.0 != delivery.broker {
                doubt = (delivery.broker.clone(), self.brokers.doubt(&delivery.broker)?);
            }
            // The doubt stays here, and the numbers are others where it goes.
            delivery.may_repeat |= delivery.seq < doubt.1;
            // By the wall clock: elsewhere another time was lived.
            delivery.event.read_at = self.clock().to_wall(delivery.event.read_at);
            if delivery.not_before > 0 {
                delivery.not_before = self.clock().to_wall(delivery.not_before);
            }
            let entry = self.entry_of(&delivery)?;
            let (broker, value) = (delivery.broker.clone(), self.spill.encode(&delivery)?);
            writer.delivery(&MovedDelivery { broker, value, entry })?;
        }
        let oldest = self.clock().lived().saturating_sub(self.options.dedupe_window);
        for item in self.buckets.newest_entries() {
            let (key, value) = item?;
            let entry = LedgerEntry::from_bytes(&value)?;
            // An event that waits on disk is no other's business: those that move have their entries with them.
            if entry.outcome != Outcome::Spilled && entry.at >= oldest {
                let entry = LedgerEntry { at: self.clock().to_wall(entry.at), ..entry };
                writer.entry(&KeptEntry { key: key.to_vec(), entry })?;
            }
        }
        // Not only this source's: a digest does not say. The others mean nothing where they go.
        for digests in unresolved.chunks(UNRESOLVED_MAX) {
            writer.unresolved(&digests.to_vec())?;
        }
        let (counts, bytes) = writer.finish()?;
        Ok(HandOver::new(header, counts, bytes))
    }

    /// The entry that says that this delivery waits on disk.
    fn entry_of(&self, delivery: &SpilledDelivery) -> Result<Option<LedgerEntry>, HandOverFault> {
        let entry = self.look_up(&LedgerKey::new(&delivery.broker, &delivery.event.event_id))?;
        let entry = entry.filter(|entry| entry.outcome == Outcome::Spilled);
        Ok(entry.map(|entry| LedgerEntry { at: self.clock().to_wall(entry.at), ..entry }))
    }

    /// Step 3.
    pub(super) fn fence(&self, header: &Header, to: &Path) -> Result<(), crate::StateFault> {
        let file = std::path::absolute(to).unwrap_or_else(|_| to.to_owned()).display().to_string();
        let holding = Holding::Away { since: header.exported_at, file, cleared: false };
        let custody = Custody { generation: header.generation, holding };
        self.commit(|_now| self.sources.give_away(&header.source, &custody))
    }
}

/// What a file is called until it is whole.
fn partial_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn refuse_existing(path: &Path) -> Result<(), HandOverFault> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(HandOverFault::FileExists { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(HandOverFault::file(path, &error)),
    }
}

/// Gives a whole file its name, unless something has that name, and returns once the name outlives a loss of power.
fn name(partial: &Path, to: &Path) -> Result<(), HandOverFault> {
    match fs::hard_link(partial, to) {
        Ok(()) => {
            let named = fs::remove_file(partial).map_err(|error| HandOverFault::file(partial, &error));
            withdraw_unless(named.and_then(|()| sync_directory(to)), to)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(HandOverFault::FileExists { path: to.to_owned() })
        }
        // A file system without links: what comes under that name just now would be overwritten.
        Err(_) => {
            refuse_existing(to)?;
            fs::rename(partial, to).map_err(|error| HandOverFault::file(to, &error))?;
            withdraw_unless(sync_directory(to), to)
        }
    }
}

/// The source stays here if `named` failed: a file that looks as if it had been given away must not stay as well.
fn withdraw_unless(named: Result<(), HandOverFault>, to: &Path) -> Result<(), HandOverFault> {
    if named.is_err() {
        let _left = fs::remove_file(to).is_err();
    }
    named
}

fn sync_directory(of: &Path) -> Result<(), HandOverFault> {
    let directory = of.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| HandOverFault::file(directory, &error))
}
