//! Records the files that a source reads, before their first byte is read.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use state::{Checkpoint, FileRecord, Ledger, Record, SourceFiles, StateFault};

/// Records files.
pub trait FileRegister: fmt::Debug + Send + Sync {
    /// Returns once `records` are durable.
    fn record(&self, records: Vec<FileRecord>) -> BoxFuture<'static, Result<(), StateFault>>;
}

/// The stored state of a file source, and where its changes are recorded.
#[derive(Clone, Debug, Default)]
pub struct FileMemory {
    /// Where it resumes; none if nothing of it was ever settled.
    pub checkpoint: Option<Checkpoint>,
    /// The known files.
    pub files: SourceFiles,
    /// The epoch of the first file, if none is known: 0, except for a source that was read by a version that did not
    /// record files, and ended before anything was settled.
    pub first_epoch: u64,
    /// Where files are recorded; without it nothing is stored.
    pub register: Option<Arc<dyn FileRegister>>,
}

impl FileMemory {
    /// The state of `source` in `ledger`.
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

/// Records the files of one source in the ledger.
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
