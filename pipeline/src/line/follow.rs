//! The checkpoint: follows the watermark on disk, never ahead of it, and closes the books when a run ends in good order.

use std::{sync::Arc, time::Duration};

use stages::models::Broker;
use state::{Checkpoint, Ledger, Record};
use tokio::{sync::watch, time::Instant};

use super::{
    doubt::Doubt,
    fault::LineFault,
    partitions::{Partition, Partitions},
};
use crate::source::Cursor;

/// How often the checkpoint follows. After a crash what was settled since is read again and found in the ledger, so
/// this trades a few writes for a few look-ups.
const EVERY: Duration = Duration::from_millis(200);

/// Writes the watermark down.
pub(super) struct Follow {
    ledger: Ledger,
    partitions: Partitions,
    /// Each partition's watermark, by its name.
    watermarks: Vec<(Arc<str>, watch::Receiver<Option<Cursor>>)>,
    next: Instant,
}

impl Follow {
    pub(super) fn new(ledger: Ledger, partitions: &Partitions) -> Self {
        let follow = |partition: &Partition| (partition.source.clone(), partition.tickets.watermark());
        let watermarks = partitions.iter().map(follow).collect();
        Self { ledger, partitions: partitions.clone(), watermarks, next: Instant::now() }
    }

    /// Waits until a watermark has moved and it is time again, and writes down those that have. May be dropped at any
    /// time: what was not written is written by the next step.
    pub(super) async fn step(&mut self) -> Result<(), LineFault> {
        tokio::time::sleep_until(self.next).await;
        self.partitions.moved().await;
        self.next = Instant::now() + EVERY;
        let records = self.reached();
        // The ledger proves it in its own time: the checkpoint only says what is durable already.
        drop(self.ledger.record_all(records));
        Ok(())
    }

    /// Writes the last watermark down; which doubts it has passed; and, if the outcome of everything that was sent is on
    /// record, that nothing can repeat.
    pub(super) async fn finish(mut self, in_order: bool, brokers: &[Arc<Broker>]) -> Result<(), LineFault> {
        let mut records = self.reached();
        for (source, watermark) in &self.watermarks {
            let doubt = Doubt::of(source, &self.ledger)?;
            if watermark.borrow().as_ref().is_some_and(|cursor| doubt.is_passed_by(cursor)) {
                records.push(Record::Past(source.clone()));
            }
        }
        if in_order && self.ledger.attempts_open() == 0 {
            let sources = self.watermarks.iter().map(|(source, _)| source.clone());
            records.extend(sources.map(|source| Record::Horizon(source, None)));
            records.extend(brokers.iter().map(|broker| Record::DrainHorizon(broker.id.clone(), 0)));
        }
        let _proofs = self.ledger.record_all(records).await?;
        Ok(())
    }

    fn reached(&mut self) -> Vec<Record> {
        let moved = self.watermarks.iter_mut().filter_map(|(source, watermark)| {
            // Whoever sends is held by the partitions, and so by this.
            let has_moved = watermark.has_changed().unwrap_or(true);
            let cursor = if has_moved { watermark.borrow_and_update().clone()? } else { return None };
            Some(Record::Checkpoint(source.clone(), Checkpoint::from(&cursor)))
        });
        moved.collect()
    }
}
