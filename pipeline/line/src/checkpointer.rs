//! The checkpoint: follows the watermark on disk, never ahead of it, and closes the books when a run ends in good order.

use std::{sync::Arc, time::Duration};

use stages::Broker;
use state::{Ledger, Record};
use tokio::time::{Instant, timeout};

use super::{
    doubt::Doubt,
    fault::LineFault,
    moves::{last_horizon, note_doubt},
    partitions::{Partition, Partitions},
};

/// How often the checkpoint follows. After a crash what was settled since is read again and found in the ledger, so
/// this trades a few writes for a few look-ups.
const EVERY: Duration = Duration::from_millis(200);

/// How long a log of partition states that is away may hold up the end of a run: less than whoever stops a process waits.
pub(super) const LEAVE_MAX: Duration = Duration::from_secs(10);

/// Writes the watermark down.
pub(super) struct Checkpointer {
    ledger: Ledger,
    partitions: Partitions,
    next: Instant,
}

impl Checkpointer {
    pub(super) fn new(ledger: Ledger, partitions: &Partitions) -> Self {
        Self { ledger, partitions: partitions.clone(), next: Instant::now() }
    }

    /// Waits until a watermark has moved and it is time again, and writes down those that have. May be dropped at any
    /// time: what was not written is written by the next step.
    pub(super) async fn step(&mut self) -> Result<(), LineFault> {
        tokio::time::sleep_until(self.next).await;
        self.partitions.moved().await;
        self.next = Instant::now() + EVERY;
        // The ledger proves it in its own time: the checkpoint only says what is durable already.
        self.partitions.with_live(|live| {
            let checkpoints = live.iter().filter_map(Partition::checkpoint);
            drop(self.ledger.record_all(checkpoints.collect()));
        });
        Ok(())
    }

    /// Writes the last watermark down; which doubts it has passed; and, if the outcome of everything that was sent is on
    /// record, that nothing can repeat. Whether that is so, and known wherever the state of partitions goes.
    pub(super) async fn finish(self, in_order: bool, brokers: &[Arc<Broker>]) -> Result<bool, LineFault> {
        let live = self.partitions.snapshot();
        let mut records: Vec<_> = live.iter().filter_map(Partition::checkpoint).collect();
        for Partition { source, tickets } in &*live {
            let doubt = Doubt::of(source, &self.ledger)?;
            if tickets.watermark().is_some_and(|cursor| doubt.is_passed_by(&cursor)) {
                records.push(Record::DoubtPassed(source.clone()));
            }
        }
        let in_order = in_order && self.ledger.attempts_open() == 0;
        if in_order {
            let held = live.iter().filter(|partition| self.ledger.holds(&partition.source));
            held.into_iter().try_for_each(|partition| note_doubt(partition, &self.ledger))?;
            let certain = live.iter().filter(|partition| !partition.tickets.is_doubted());
            let sources = certain.map(|partition| partition.source.clone());
            records.extend(sources.map(|source| Record::Horizon(source, None)));
            records.extend(brokers.iter().map(|broker| Record::DrainHorizon(broker.id.clone(), 0)));
        }
        let held = live.iter().filter(|partition| self.ledger.holds(&partition.source));
        for partition in held.filter(|partition| !in_order || partition.tickets.is_doubted()) {
            records.extend(last_horizon(partition, &self.ledger, false)?);
        }
        let recorded = self.ledger.record_all(records);
        if !self.ledger.follows() {
            let _proofs = recorded.await?;
            return Ok(in_order);
        }
        if let Ok(recorded) = timeout(LEAVE_MAX, recorded).await {
            let _proofs = recorded?;
            return Ok(in_order);
        }
        tracing::warn!(
            "the log of partition states does not answer: whoever reads the partitions next takes what was sent last for possible repeats"
        );
        Ok(false)
    }
}
