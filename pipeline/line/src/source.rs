//! What the line asks of a source: a stream of [`SourceRecord`]s in log order for each of its partitions, each record
//! with the place to resume at once it is settled.
//! A source reads only while its stream is polled and holds no more than it states: backpressure is simply not polling.
//! Dropping the stream ends the source.

use std::{error::Error, sync::Arc};

use futures::stream::BoxStream;
use stages::models::RawRecord;
use state::{Checkpoint, Restored, StateFault};
use tokio_stream::Stream;

/// How far beyond the newest record the horizon is promised unless a source says otherwise. For a file, in bytes, this is
/// some 600 events.
pub const HORIZON_STEP: u64 = 256 * 1024;

/// One partition of a source. A source has any number of them, also none for a while; each is read, and resumed, on its
/// own.
///
/// The contract of its stream: records come in log order and each exactly once; `next` never goes backwards; a fault
/// is the last item; polling again after the next-future was dropped loses nothing. What was taken from the stream
/// but not settled is read again after a restart from the last checkpoint.
pub struct SourcePartition<S> {
    /// The stable name under which its positions and its checkpoint are kept.
    pub name: Arc<str>,
    /// How far beyond the newest record the horizon is promised, in the source's unit: one write each so many, and
    /// after a crash everything below it that is not in the ledger counts as a possible repeat.
    pub horizon_step: u64,
    /// The records, from the place the source was opened at: a stream of `Result<SourceRecord, impl Into<SourceFault>>`.
    pub records: S,
    /// What is restored of it first, if its state follows it.
    pub restored: Option<RestoredStream>,
}

/// What is restored of a partition, in the order of [`Restored`]. It is polled to its end before the first record is asked
/// for; one that turns out to be somebody else's does not end, but waits until it is taken away.
pub type RestoredStream = BoxStream<'static, Result<Restored, SourceFault>>;

impl<S> SourcePartition<S> {
    /// A partition whose horizon is promised [`HORIZON_STEP`] ahead.
    #[must_use]
    pub fn new(name: Arc<str>, records: S) -> Self {
        Self { name, horizon_step: HORIZON_STEP, records, restored: None }
    }

    /// The same, whose state follows it: this is restored of it before anything is read.
    #[must_use]
    pub fn restoring(self, restored: RestoredStream) -> Self {
        Self { restored: Some(restored), ..self }
    }

    /// The same with its horizon promised `horizon_step` ahead.
    #[must_use]
    pub fn with_horizon_step(self, horizon_step: u64) -> Self {
        Self { horizon_step, ..self }
    }
}

/// The partitions of a source that are always the same.
pub fn fixed<S, F>(
    partitions: impl IntoIterator<Item = SourcePartition<S>, IntoIter: Send + 'static>,
) -> impl Stream<Item = Result<SourcePartition<S>, F>> + Send + 'static
where
    S: Send + 'static,
    F: 'static,
{
    tokio_stream::iter(partitions.into_iter().map(Ok))
}

/// A record, and where to resume once it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    /// The record and its position.
    pub raw: RawRecord,
    /// The place just behind the record.
    pub next: Cursor,
}

/// A [`Checkpoint`] as it travels beside a record: the mark is shared, so a clone allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The incarnation of the source.
    pub epoch: u64,
    /// The place within the epoch.
    pub offset: u64,
    /// The source's own identity bytes, at most [`state::MARK_MAX`].
    pub mark: Arc<[u8]>,
}

impl From<&Cursor> for Checkpoint {
    fn from(cursor: &Cursor) -> Self {
        Self { epoch: cursor.epoch, offset: cursor.offset, mark: cursor.mark.to_vec() }
    }
}

/// A failure of a source. The line stops; nothing that was settled is lost, and the next start resumes at the checkpoint.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceFault {
    /// The state failed beneath the source.
    #[error(transparent)]
    State(#[from] StateFault),
    /// What can go wrong with this kind of source.
    #[error(transparent)]
    Own(Arc<dyn Error + Send + Sync>),
}

impl SourceFault {
    /// A fault of the source's own kind.
    pub fn own(fault: impl Error + Send + Sync + 'static) -> Self {
        Self::Own(Arc::new(fault))
    }
}
