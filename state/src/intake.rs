//! The intake: a producer's posts enter within bounds and are proven durable; a source reads them back in order.
//!
//! Posts share the ledger thread's group commits with everything else that is recorded, so concurrent producers share
//! one flush.

use std::ops::Range;

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    commit::Records,
    fault::StateFault,
    intake_log::{IntakePost, IntakeRecord, Keep},
    intake_place::IntakePlace,
    ledger::Ledger,
    record::Record,
};

/// How much the intake log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeOptions {
    /// The most records that may be accepted and not settled.
    pub backlog_max: u64,
    /// The most bytes these may have, 64 for each included; also the most bytes that are kept of settled ones.
    pub backlog_bytes_max: u64,
    /// How long settled records are kept, in milliseconds.
    pub retention: u64,
}

/// Why a post was not accepted; nothing of it is kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IntakeRefusal {
    /// The backlog has no room for it.
    #[error("{records} records of {bytes} bytes wait to be settled; post again later")]
    Full {
        /// Records accepted and not settled.
        records: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// It alone is more than the backlog may be.
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
    /// The name under which the log's positions and its checkpoint are kept.
    pub const SOURCE: &'static str = "intake";

    /// The intake log of `ledger`'s store. From here on settled records are removed as `options` say.
    #[must_use]
    pub fn new(ledger: &Ledger, options: IntakeOptions) -> Self {
        ledger.store().intake.keep(Keep { millis: options.retention, bytes: options.backlog_bytes_max });
        Self { ledger: ledger.clone(), options }
    }

    /// Accepts `records` as one post: all of them or none. They take their places when this is called; the offsets come
    /// once they are durable. Dropping the answer changes nothing.
    ///
    /// # Errors
    /// [`IntakeRefusal::Full`] if the backlog has no room, [`IntakeRefusal::NeverFits`] if an empty one would not have
    /// it either, [`IntakeRefusal::State`] if the ledger has failed.
    pub fn accept(
        &self,
        records: Vec<Bytes>,
    ) -> Result<impl Future<Output = Result<Range<u64>, StateFault>> + Send + use<>, IntakeRefusal> {
        let store = self.ledger.store();
        // Held while sending, so that places are written in their order.
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
        let post = IntakePost { first, at: store.clock().lived(), records };
        let proof = self.ledger.submit(Records::One(Record::Accepted(post)))?;
        ends.next = next;
        let pulse = self.ledger.pulse().clone();
        Ok(async move {
            let _proof = proof.await.map_err(|_| pulse.fault().unwrap_or(StateFault::Closed))??;
            Ok(first.offset..next.offset)
        })
    }

    /// Whether the backlog is below both of its bounds: whether a small post would be accepted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let ends = *self.ledger.store().intake.ends.lock();
        ends.next.offset - ends.settled.offset < self.options.backlog_max
            && ends.next.bytes.saturating_sub(ends.settled.bytes) < self.options.backlog_bytes_max
    }

    /// The place of the first record that is not settled, as far as is on record.
    #[must_use]
    pub fn settled(&self) -> IntakePlace {
        self.ledger.store().intake.ends.lock().settled
    }

    /// Follows the offset behind the last durable record.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.ledger.store().intake.durable.subscribe()
    }

    /// Durable records from offset `from` on, in order, until they have `bytes_max` bytes or more; none if there are
    /// none yet. Reads from disk: not for a thread that must not wait.
    ///
    /// # Errors
    /// A fault of the store; [`StateFault::Damaged`] if a record is missing.
    pub fn read(&self, from: u64, bytes_max: u64) -> Result<Vec<IntakeRecord>, StateFault> {
        self.ledger.store().intake.read(from, bytes_max)
    }
}

#[cfg(test)]
mod tests;
