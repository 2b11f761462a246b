//! The checkpoint: follows the watermark on disk, never ahead of it, and closes the books when a run ends in good order.

use std::{sync::Arc, time::Duration};

use stages::models::Broker;
use state::{Checkpoint, Ledger, Record};
use tokio::{sync::watch, time::Instant};

use super::{fault::LineFault, ticket::Tickets};
use crate::source::Cursor;

/// How often the checkpoint follows. After a crash what was settled since is read again and found in the ledger, so
/// this trades a few writes for a few look-ups.
const EVERY: Duration = Duration::from_millis(200);

/// Writes the watermark down.
pub(super) struct Follow {
    ledger: Ledger,
    source: Arc<str>,
    watermark: watch::Receiver<Option<Cursor>>,
    next: Instant,
}

impl Follow {
    pub(super) fn new(ledger: Ledger, source: Arc<str>, tickets: &Tickets) -> Self {
        Self { ledger, source, watermark: tickets.watermark(), next: Instant::now() }
    }

    /// Waits until the watermark has moved and it is time again, and writes it down. May be dropped at any time: what
    /// was not written is written by the next step.
    pub(super) async fn step(&mut self) -> Result<(), LineFault> {
        tokio::time::sleep_until(self.next).await;
        if self.watermark.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.next = Instant::now() + EVERY;
        let records = self.reached().into_iter().collect();
        // The ledger proves it in its own time: the checkpoint only says what is durable already.
        drop(self.ledger.record_all(records));
        Ok(())
    }

    /// Writes the last watermark down and, if nothing may have been on the wire, that nothing can repeat.
    pub(super) async fn finish(mut self, in_order: bool, brokers: &[Arc<Broker>]) -> Result<(), LineFault> {
        let mut records: Vec<Record> = self.reached().into_iter().collect();
        if in_order {
            records.push(Record::Horizon(self.source.clone(), None));
            records.extend(brokers.iter().map(|broker| Record::DrainHorizon(broker.id.clone(), 0)));
        }
        let _proofs = self.ledger.record_all(records).await?;
        Ok(())
    }

    fn reached(&mut self) -> Option<Record> {
        let cursor = self.watermark.borrow_and_update().clone()?;
        Some(Record::Checkpoint(self.source.clone(), Checkpoint::from(&cursor)))
    }
}
