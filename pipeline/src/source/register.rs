//! Where it is put on record which files were met: what a source has found enters, and it goes on once that is durable.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use state::{Checkpoint, FileRecord, Ledger, Record, SourceFiles, StateFault};

/// A place to put files on record.
pub trait FileRegister: fmt::Debug + Send + Sync {
    /// Returns once `records` are durable.
    fn record(&self, records: Vec<FileRecord>) -> BoxFuture<'static, Result<(), StateFault>>;
}

/// What earlier runs have left of a file source, and where this one leaves the same.
#[derive(Clone, Debug, Default)]
pub struct FileMemory {
    /// Where it goes on; none if nothing of it was ever settled.
    pub checkpoint: Option<Checkpoint>,
    /// The files it met.
    pub files: SourceFiles,
    /// The epoch of the first file, if none was met: 0, but for a source that was read by a version that did not record
    /// files and was ended before anything was settled.
    pub first_epoch: u64,
    /// Where files are put on record; without one nothing is remembered.
    pub register: Option<Arc<dyn FileRegister>>,
}

impl FileMemory {
    /// What `ledger` knows of `source`, and will.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn of(ledger: &Ledger, source: &Arc<str>) -> Result<Self, StateFault> {
        let sources = ledger.store().sources();
        let register = OnLedger { ledger: ledger.clone(), source: source.clone() };
        Ok(Self {
            checkpoint: sources.checkpoint(source)?,
            files: sources.files(source)?,
            first_epoch: sources.doubt(source)?.map_or(0, |doubt| doubt.epoch),
            register: Some(Arc::new(register)),
        })
    }
}

/// The ledger as the place, for one source.
#[derive(Debug)]
struct OnLedger {
    ledger: Ledger,
    source: Arc<str>,
}

impl FileRegister for OnLedger {
    fn record(&self, records: Vec<FileRecord>) -> BoxFuture<'static, Result<(), StateFault>> {
        let forgotten = match self.ledger.store().sources().forgettable(&self.source) {
            Ok(forgotten) => forgotten,
            Err(fault) => return Box::pin(async { Err(fault) }),
        };
        let records = records.into_iter().chain(forgotten);
        let records = records.map(|record| Record::File(self.source.clone(), record));
        let recorded = self.ledger.record_all(records.collect());
        Box::pin(async move { recorded.await.map(drop) })
    }
}
