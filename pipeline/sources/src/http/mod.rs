//! The `http` source: stores producers' posts in the intake log of the state directory, and reads them as records in the
//! order of their offsets, across restarts. It waits for more for ever; only stopping the line ends it.
//!
//! It has two halves that share nothing but [`state::EmbeddedLog`]: the [`Listener`] puts posts into the log and answers 202
//! once they are durable; the [`HttpSource`] reads the log. So posts are accepted while the line is slow, up to the bounds
//! of the backlog. A full backlog is answered with 503: backpressure reaches the producer.
//!
//! The source holds at most [`BLOCK_BYTES`] of records and the one that exceeds them.

mod answer;
mod body;
mod cloud_event;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handler;
mod inflate;
mod limits;
mod read_body;
mod serve;
mod strict;
#[cfg(test)]
mod tests;
mod token;
mod unpack;
mod unpack_fault;

use std::{sync::Arc, vec};

use futures::stream;
use stages::models::RawRecord;
use state::{Clock, EmbeddedLog, IntakeRecord, Position};
use tokio::{sync::watch, task::spawn_blocking};
use tokio_stream::Stream;

pub use limits::PostLimits;
pub use serve::Listener;
pub use strict::StrictCheck;
pub use token::Token;

use super::{Cursor, ReadFault, SourcePartition, SourceRecord};

/// How many bytes are read from the log at once: as many as from a file.
pub const BLOCK_BYTES: u64 = 256 * 1024;

/// How far the horizon is moved ahead, in records: as far as for a broker's deliveries on disk.
const HORIZON_STEP: u64 = 1024;

/// The intake log, read from the first record that is not settled.
#[derive(Debug)]
pub struct HttpSource {
    intake: EmbeddedLog,
    clock: Clock,
}

impl HttpSource {
    /// Reads `intake` from its checkpoint on.
    #[must_use]
    pub fn new(intake: EmbeddedLog, clock: Clock) -> Self {
        Self { intake, clock }
    }
}

impl HttpSource {
    /// The source name of its positions and its checkpoint.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::from(EmbeddedLog::SOURCE)
    }

    /// Its single partition.
    #[must_use]
    pub fn into_partition(
        self,
    ) -> SourcePartition<impl Stream<Item = Result<SourceRecord, ReadFault>> + Send + 'static> {
        SourcePartition::new(self.name(), self.into_stream()).with_horizon_step(HORIZON_STEP)
    }

    /// The records, from the place it was opened at.
    pub fn into_stream(self) -> impl Stream<Item = Result<SourceRecord, ReadFault>> + Send + 'static {
        let feed = Box::new(Feed {
            name: self.name(),
            next: self.intake.settled().offset,
            durable: self.intake.durable(),
            block: Vec::new().into_iter(),
            read_at: 0,
            intake: self.intake,
            clock: self.clock,
        });
        stream::try_unfold(feed, |mut feed| async move { Ok(Some((feed.next().await?, feed))) })
    }
}

/// A running source: the current block, and where the next one begins.
struct Feed {
    name: Arc<str>,
    intake: EmbeddedLog,
    clock: Clock,
    durable: watch::Receiver<u64>,
    next: u64,
    block: vec::IntoIter<IntakeRecord>,
    read_at: u64,
}

impl Feed {
    async fn next(&mut self) -> Result<SourceRecord, ReadFault> {
        loop {
            if let Some(record) = self.block.next() {
                self.next = record.next.offset;
                return Ok(self.record(record));
            }
            let next = self.next;
            if self.durable.wait_for(|durable| *durable > next).await.is_err() {
                // Cannot happen while the intake holds the store; no more records would come.
                std::future::pending::<()>().await;
            }
            let intake = self.intake.clone();
            let read = spawn_blocking(move || intake.read(next, BLOCK_BYTES)).await;
            let source_name = || Arc::clone(&self.name);
            let block = read.map_err(|error| ReadFault::Interrupted {
                source_name: source_name(),
                detail: error.to_string(),
            })?;
            self.block = block.map_err(ReadFault::State)?.into_iter();
            self.read_at = self.clock.monotonic();
        }
    }

    fn record(&self, record: IntakeRecord) -> SourceRecord {
        SourceRecord {
            raw: RawRecord::whole(
                Position::new(Arc::clone(&self.name), 0, record.offset),
                record.body,
                self.read_at,
            ),
            next: Cursor { epoch: 0, offset: record.next.offset, mark: Arc::from(record.next.mark()) },
        }
    }
}
