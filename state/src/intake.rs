//! The embedded intake: accepts producers' posts within bounds, makes them durable, and lets a source read them back
//! in order.
//!
//! Posts share the ledger thread's group commits with all other records, so concurrent producers share one flush.

use std::ops::Range;

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    commit_request::Records,
    fault::StateFault,
    intake_log::{self, IntakePost, IntakeRecord, Retention},
    intake_place::IntakePlace,
    ledger::Ledger,
    record::Record,
};

/// The bounds of the intake log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeOptions {
    /// The most records that may be accepted but not settled.
    pub backlog_max: u64,
    /// The most bytes of them, plus 64 for each; also the most bytes of settled records that are kept.
    pub backlog_bytes_max: u64,
    /// How long settled records are kept, in milliseconds.
    pub retention: u64,
}

/// Why a post was not accepted. Nothing of it is stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IntakeRefusal {
    /// The backlog is full.
    #[error("{records} records of {bytes} bytes wait to be settled; post again later")]
    Full {
        /// Records accepted and not settled.
        records: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The post alone exceeds the backlog's bound.
    #[error("one post is more than the whole backlog may be; post it in parts")]
    NeverFits,
    /// The state failed; the line is stopping.
    #[error(transparent)]
    State(#[from] StateFault),
}

/// A handle on the intake log; clones share it.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    ledger: Ledger,
    options: IntakeOptions,
}

impl EmbeddedLog {
    /// The source name of the log's positions and its checkpoint.
    pub const SOURCE: &'static str = intake_log::SOURCE;

    /// The intake log of `ledger`'s store. From here on settled records are removed as `options` say.
    #[must_use]
    pub fn new(ledger: &Ledger, options: IntakeOptions) -> Self {
        ledger
            .store()
            .intake
            .set_retention(Retention { millis: options.retention, bytes: options.backlog_bytes_max });
        Self { ledger: ledger.clone(), options }
    }

    /// Accepts `records` as one post: all of them or none. Their places are assigned when this is called; the offsets
    /// are returned once they are durable. Dropping the future changes nothing.
    ///
    /// # Errors
    /// [`IntakeRefusal::Full`] if the backlog has no room, [`IntakeRefusal::NeverFits`] if an empty one would not have
    /// it either, [`IntakeRefusal::State`] if the ledger has failed.
    pub fn accept(
        &self,
        records: Vec<Bytes>,
    ) -> Result<impl Future<Output = Result<Range<u64>, StateFault>> + Send + use<>, IntakeRefusal> {
        let store = self.ledger.store();
        // Held while sending, so that posts are written in the order of their places.
        let mut ends = store.intake.ends.lock();
        let first = ends.next;
        let next = records.iter().fold(first, |place, record| place.after(record.len()));
        let backlog = next.bytes.saturating_sub(ends.settled.bytes);
        if records.len() as u64 > self.options.backlog_max
            || next.bytes - first.bytes > self.options.backlog_bytes_max
        {
            return Err(IntakeRefusal::NeverFits);
        }
        if next.offset - ends.settled.offset > self.options.backlog_max
            || backlog > self.options.backlog_bytes_max
        {
            let (records, bytes) = (first.offset - ends.settled.offset, first.bytes - ends.settled.bytes);
            return Err(IntakeRefusal::Full { records, bytes });
        }
        let post = IntakePost { first, at: store.clock().monotonic(), records };
        let proof = self.ledger.submit(Records::One(Record::Accepted(post)))?;
        ends.next = next;
        let ledger_status = self.ledger.status().clone();
        Ok(async move {
            let _proof = proof.await.map_err(|_| ledger_status.fault().unwrap_or(StateFault::Closed))??;
            Ok(first.offset..next.offset)
        })
    }

    /// Whether the backlog is below both of its bounds, so that a small post would be accepted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let ends = *self.ledger.store().intake.ends.lock();
        ends.next.offset - ends.settled.offset < self.options.backlog_max
            && ends.next.bytes.saturating_sub(ends.settled.bytes) < self.options.backlog_bytes_max
    }

    /// The place of the first unsettled record, by the stored checkpoint.
    #[must_use]
    pub fn settled(&self) -> IntakePlace {
        self.ledger.store().intake.ends.lock().settled
    }

    /// Follows the offset behind the last durable record.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.ledger.store().intake.durable.subscribe()
    }

    /// Durable records from offset `from` on, in order, until they have `bytes_max` bytes or more; empty if there are
    /// none yet. Reads from disk: not for a thread that must not block.
    ///
    /// # Errors
    /// A fault of the store; [`StateFault::Damaged`] if a record is missing.
    pub fn read(&self, from: u64, bytes_max: u64) -> Result<Vec<IntakeRecord>, StateFault> {
        self.ledger.store().intake.read(from, bytes_max)
    }
}

#[cfg(test)]
mod tests;
