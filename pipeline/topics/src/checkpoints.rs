//! Reads and writes the checkpoints of partitions and topics.

use std::sync::Arc;

use state::{Checkpoint, Ledger, Record, StateFault};

/// Stores checkpoints.
pub trait Checkpoints: Clone + Send + Sync + 'static {
    /// Where `source` resumes.
    ///
    /// # Errors
    /// A fault of the state.
    fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, StateFault>;

    /// Records that `source` resumes at `at`; returns once that is durable.
    fn begin(&self, source: Arc<str>, at: Checkpoint) -> impl Future<Output = Result<(), StateFault>> + Send;
}

impl Checkpoints for Ledger {
    fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, StateFault> {
        self.store().sources().checkpoint(source)
    }

    async fn begin(&self, source: Arc<str>, at: Checkpoint) -> Result<(), StateFault> {
        let _proof = self.record(Record::Checkpoint(source, at)).await?;
        Ok(())
    }
}
