//! What waits on disk of one partition: told to the log of the partition's state when that begins to be followed, and dropped
//! when the partition has gone to somebody else.

use std::sync::Arc;

use state::{Ledger, Record, SpillRef, StateFault, Waiting};

use super::limits::Shared;

/// How many deliveries are looked up, told or dropped at a time.
const CHUNK: usize = 1_024;

/// What waits on disk.
pub(super) struct Leftovers {
    shared: Arc<Shared>,
    ledger: Ledger,
}

impl Leftovers {
    pub(super) fn new(shared: &Arc<Shared>, ledger: &Ledger) -> Self {
        Self { shared: shared.clone(), ledger: ledger.clone() }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Tells the log of all that waits of a partition, which is held.
    pub(super) async fn adopt(&self, source: &Arc<str>) -> Result<(), StateFault> {
        let mut after = None;
        self.ledger.flushed().await?;
        loop {
            let waiting = self.some(source, &mut after).await?;
            if waiting.is_empty() {
                break;
            }
            self.ledger.adopt(waiting).await?;
        }
        let _proof = self.ledger.record(Record::Followed(source.clone())).await?;
        Ok(())
    }

    /// Drops some of a partition behind `after`, which goes on; gives what was dropped.
    pub(super) async fn drop_some(
        &self,
        source: &Arc<str>,
        after: &mut Option<SpillRef>,
    ) -> Result<Vec<Waiting>, StateFault> {
        let waiting = self.some(source, after).await?;
        self.ledger.drop_waiting(waiting.clone()).await?;
        for one in &waiting {
            self.shared.unstrand(&one.broker, 1, one.cost);
        }
        Ok(waiting)
    }

    /// Some of a partition behind `after`, which goes on.
    async fn some(
        &self,
        source: &Arc<str>,
        after: &mut Option<SpillRef>,
    ) -> Result<Vec<Waiting>, StateFault> {
        let (store, source, from) = (self.ledger.store().clone(), source.clone(), after.clone());
        let read = self.shared.executor.blocking(move || store.waiting_of(&source, from.as_ref(), CHUNK));
        let waiting = read.await??;
        if let Some(last) = waiting.last() {
            *after = Some((last.broker.clone(), last.seq));
        }
        Ok(waiting)
    }
}
