//! The `http` source: producers' posts enter, are kept in the intake log in the state directory, and leave as records
//! in the order of their offsets, across restarts. It waits for more for ever; only stopping the line ends it.
//!
//! Two halves that meet in [`state::EmbeddedLog`] alone: the [`Listener`] puts posts into the log and answers 202 once they
//! are durable; the [`HttpSource`] reads the log. So accepting goes on while the line is slow, up to the bounds of the
//! backlog, and a full backlog is answered with 503: backpressure reaches the producer.
//!
//! What the source holds: at most [`BLOCK_BYTES`] of records and the one that goes beyond.

mod answer;
mod body;
mod desk;
mod door;
mod gather;
mod inflate;
mod open;
mod serve;
#[cfg(test)]
mod tests;
mod token;

use std::{sync::Arc, vec};

use futures::{Stream, stream};
use stages::models::RawRecord;
use state::{Clock, EmbeddedLog, IntakeRecord, Position};
use tokio::{sync::watch, task::spawn_blocking};

pub use door::Door;
pub use serve::{Listener, PostLimits};
pub use token::Token;

use super::{Cursor, Source, SourceFault, SourceRecord};

/// How much is read from the log at once, in bytes: as much as from a file.
pub const BLOCK_BYTES: u64 = 256 * 1024;

/// How far ahead the horizon is promised, in records: as many as a broker's deliveries on disk.
const HORIZON_STEP: u64 = 1024;

/// The intake log, read from the first record that is not settled.
#[derive(Debug)]
pub struct HttpSource {
    intake: EmbeddedLog,
    clock: Clock,
}

impl HttpSource {
    /// Reads `intake` from where its checkpoint stands.
    #[must_use]
    pub fn new(intake: EmbeddedLog, clock: Clock) -> Self {
        Self { intake, clock }
    }
}

impl Source for HttpSource {
    fn name(&self) -> Arc<str> {
        Arc::from(EmbeddedLog::SOURCE)
    }

    fn horizon_step(&self) -> u64 {
        HORIZON_STEP
    }

    fn into_stream(self) -> impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static {
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

/// The log being read: the block being given out, and where the next one begins.
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
    async fn next(&mut self) -> Result<SourceRecord, SourceFault> {
        loop {
            if let Some(record) = self.block.next() {
                self.next = record.next.offset;
                return Ok(self.record(record));
            }
            let next = self.next;
            if self.durable.wait_for(|durable| *durable > next).await.is_err() {
                // The store is held by the intake, so this does not happen; nothing will come any more.
                std::future::pending::<()>().await;
            }
            let intake = self.intake.clone();
            let read = spawn_blocking(move || intake.read(next, BLOCK_BYTES)).await;
            let source_name = || Arc::clone(&self.name);
            let block = read.map_err(|error| SourceFault::Interrupted {
                source_name: source_name(),
                detail: error.to_string(),
            })?;
            self.block = block.map_err(SourceFault::State)?.into_iter();
            self.read_at = self.clock.lived();
        }
    }

    fn record(&self, record: IntakeRecord) -> SourceRecord {
        let full_len = record.body.len() as u64;
        SourceRecord {
            raw: RawRecord {
                position: Position::new(Arc::clone(&self.name), 0, record.offset),
                bytes: record.body,
                full_len,
                read_at: self.read_at,
                unreadable: None,
            },
            next: Cursor { epoch: 0, offset: record.next.offset, mark: Arc::from(record.next.mark()) },
        }
    }
}
