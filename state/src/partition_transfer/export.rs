//! Exports a source to a file. Afterwards this directory keeps nothing of it but its share of the ledger and of the
//! dead letters.
//!
//! The durable steps, each repeatable: (1) the move gets its number; (2) the file is written under a temporary name,
//! synced and renamed; (3) the fence: the checkpoint is removed; (4) the deliveries that are in the file are removed.
//! After an interruption before (3) the source is still here, and the file must not be used. After one before (4),
//! step (4) is done when the directory is next opened.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    PartitionTransfer, TransferFault,
    file::{Header, KeptEntry, MovedDelivery, Writer},
    recover::clear,
};
use crate::{
    outcome::{LedgerEntry, LedgerKey, Outcome},
    ownership::{Owner, Ownership},
    spilled::SpilledDelivery,
    store::Store,
};

/// How many digests stand in one frame.
const UNRESOLVED_MAX: usize = 4_096;

impl Store {
    /// Writes what this directory has of `source` to the new file `to`, and fences the source here.
    ///
    /// The file holds its checkpoint and doubt, its deliveries that wait on disk, and the ledger within the dedupe
    /// window, of all sources, because an entry does not name its source. Dead letters stay.
    ///
    /// # Errors
    /// [`TransferFault`]. The source is unchanged here, except after [`TransferFault::NotFenced`].
    pub fn export(&self, source: &str, to: &Path) -> Result<PartitionTransfer, TransferFault> {
        refuse_existing(to)?;
        refuse_existing(&partial_of(to))?;
        let header = self.number_move(source)?;
        let handed_over = self.write_move(&header, to)?;
        let fenced = self.fence(&header, to).and_then(|()| clear(self, source));
        fenced.map_err(|fault| TransferFault::NotFenced {
            path: to.to_owned(),
            source_name: source.to_owned(),
            fault,
        })?;
        Ok(handed_over)
    }

    /// Step 1. The number is used up even if the move fails, so that no two files share one.
    pub(super) fn number_move(&self, source: &str) -> Result<Header, TransferFault> {
        let source_name = || source.to_owned();
        let ownership = self.sources.ownership(source)?;
        let known = ownership.as_ref().map_or(0, |ownership| ownership.generation);
        match ownership.map(|ownership| ownership.owner) {
            None | Some(Owner::Here) => {}
            Some(Owner::Exported { file, .. }) => {
                return Err(TransferFault::AlreadyExported {
                    source_name: source_name(),
                    file,
                    generation: known,
                });
            }
            Some(Owner::Importing { file, .. }) => {
                return Err(TransferFault::ImportInterrupted { source_name: source_name(), file });
            }
        }
        let checkpoint = self.sources.checkpoint(source)?;
        let checkpoint = checkpoint.ok_or_else(|| TransferFault::NotHere { source_name: source_name() })?;
        let generation = known.saturating_add(1);
        self.commit(|_now| {
            self.sources.put_ownership(source, &Ownership { generation, owner: Owner::Here })
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
    pub(super) fn write_move(&self, header: &Header, to: &Path) -> Result<PartitionTransfer, TransferFault> {
        let partial = partial_of(to);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => TransferFault::FileExists { path: partial.clone() },
            _ => TransferFault::file(&partial, &error),
        })?;
        let written = self.write_all(header, file, &partial).and_then(|written| {
            name(&partial, to)?;
            Ok(written)
        });
        if written.is_err() {
            // An incomplete file is useless, and would block the next export.
            let _left = fs::remove_file(&partial).is_err();
        }
        written
    }

    fn write_all(
        &self,
        header: &Header,
        file: File,
        path: &Path,
    ) -> Result<PartitionTransfer, TransferFault> {
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
            // The doubt stays here, and the importing directory assigns other numbers.
            delivery.may_repeat |= delivery.seq < doubt.1;
            delivery.keep_by_wall(self.clock());
            let entry = self.entry_of(&delivery)?;
            let (broker, value) = (delivery.broker.clone(), self.spill.encode(&delivery)?);
            writer.delivery(&MovedDelivery { broker, value, entry })?;
        }
        let oldest = self.clock().monotonic().saturating_sub(self.options.dedupe_window);
        for item in self.buckets.newest_entries() {
            let (key, value) = item?;
            let entry = LedgerEntry::from_bytes(&value)?;
            // Entries of waiting events are skipped: those that move carry their entries.
            if entry.outcome != Outcome::Spilled && entry.at >= oldest {
                let entry = LedgerEntry { at: self.clock().to_wall(entry.at), ..entry };
                writer.entry(&KeptEntry { key: key.to_vec(), entry })?;
            }
        }
        // Of all sources, because a digest does not name its source. The others have no effect in the importing
        // directory.
        for digests in unresolved.chunks(UNRESOLVED_MAX) {
            writer.unresolved(&digests.to_vec())?;
        }
        let (counts, bytes) = writer.finish()?;
        Ok(PartitionTransfer::new(header, counts, bytes))
    }

    /// The entry that says that this delivery waits on disk.
    fn entry_of(&self, delivery: &SpilledDelivery) -> Result<Option<LedgerEntry>, TransferFault> {
        let entry = self.look_up(&LedgerKey::new(&delivery.broker, &delivery.event.event_id))?;
        let entry = entry.filter(|entry| entry.outcome == Outcome::Spilled);
        Ok(entry.map(|entry| LedgerEntry { at: self.clock().to_wall(entry.at), ..entry }))
    }

    /// Step 3.
    pub(super) fn fence(&self, header: &Header, to: &Path) -> Result<(), crate::StateFault> {
        let file = std::path::absolute(to).unwrap_or_else(|_| to.to_owned()).display().to_string();
        let owner = Owner::Exported { since: header.exported_at, file, cleared: false };
        let ownership = Ownership { generation: header.generation, owner };
        self.commit(|_now| self.sources.give_away(&header.source, &ownership))
    }
}

/// The file's name until it is complete.
fn partial_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn refuse_existing(path: &Path) -> Result<(), TransferFault> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(TransferFault::FileExists { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(TransferFault::file(path, &error)),
    }
}

/// Renames a complete file, unless the name is taken, and returns once the rename survives a loss of power.
fn name(partial: &Path, to: &Path) -> Result<(), TransferFault> {
    match fs::hard_link(partial, to) {
        Ok(()) => {
            let named = fs::remove_file(partial).map_err(|error| TransferFault::file(partial, &error));
            withdraw_unless(named.and_then(|()| sync_directory(to)), to)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(TransferFault::FileExists { path: to.to_owned() })
        }
        // A file system without links: a file that gets the name at this moment would be overwritten.
        Err(_) => {
            refuse_existing(to)?;
            fs::rename(partial, to).map_err(|error| TransferFault::file(to, &error))?;
            withdraw_unless(sync_directory(to), to)
        }
    }
}

/// Removes the file if `named` failed: the source stays here, so no file may look as if it had been exported.
fn withdraw_unless(named: Result<(), TransferFault>, to: &Path) -> Result<(), TransferFault> {
    if named.is_err() {
        let _left = fs::remove_file(to).is_err();
    }
    named
}

fn sync_directory(of: &Path) -> Result<(), TransferFault> {
    let directory = of.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| TransferFault::file(directory, &error))
}
