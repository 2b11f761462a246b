//! Stages that stand for what is not to be measured, and a source that holds its records in memory: everything is there
//! at once, so what remains is the line.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, stream};
use line::{Cursor, SourceFault, SourcePartition, SourceRecord};
use stages::{
    Stage,
    models::{
        Attempt, Delivery, Exit, Failure, FailureKind, Fresh, RawRecord, Receipt, Step, ValidEvent, Verdict,
    },
};
use state::{Clock, Outcome, Position};
use tokio::time::Instant;

/// From the first record taken in to the last delivery answered.
#[derive(Debug)]
pub struct Lap {
    began: OnceLock<Instant>,
    ended: OnceLock<Instant>,
    left: AtomicU64,
}

impl Lap {
    /// A lap of so many deliveries.
    #[must_use]
    pub fn of(deliveries: u64) -> Arc<Self> {
        Arc::new(Self { began: OnceLock::new(), ended: OnceLock::new(), left: AtomicU64::new(deliveries) })
    }

    /// How long it took; none if not every delivery was answered.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        Some(self.ended.get()?.duration_since(*self.began.get()?))
    }

    fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    fn answered(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.ended.get_or_init(Instant::now);
        }
    }
}

/// Stands for decode, validate and route: record `n` becomes delivery `n`.
#[derive(Debug)]
pub struct Fan {
    /// The deliveries, by the offset of their record.
    pub deliveries: Arc<[(ValidEvent, Arc<stages::Broker>)]>,
    /// What the first of them begins.
    pub lap: Arc<Lap>,
}

impl Stage for Fan {
    type In = RawRecord;
    type Out = Vec<Delivery>;

    async fn run(&self, raw: RawRecord) -> Step<Vec<Delivery>> {
        self.lap.begin();
        let delivery = usize::try_from(raw.position.offset).ok().and_then(|at| self.deliveries.get(at));
        match delivery {
            Some((event, broker)) => Ok(vec![Delivery::new(event.clone(), broker.clone())]),
            None => Err(Exit::Verdict(Verdict::Unrouted)),
        }
    }
}

/// Stands for all that happens to a delivery: says at once that its broker has had it, which is the one verdict that
/// costs the ledger nothing.
#[derive(Debug)]
pub struct Known(pub Arc<Lap>);

impl Stage for Known {
    type In = Delivery;
    type Out = Receipt;

    async fn run(&self, _delivery: Delivery) -> Step<Receipt> {
        self.0.answered();
        Err(Exit::Verdict(Verdict::Duplicate { of: Outcome::Delivered }))
    }
}

/// Stands for the network and the receivers behind it: answers at once, well or, for the brokers below `dead`, not.
#[derive(Clone, Debug)]
pub struct Wire {
    /// So many brokers fail every attempt.
    pub dead: usize,
    /// What the answers of the others end.
    pub lap: Arc<Lap>,
}

impl Stage for Wire {
    type In = Fresh;
    type Out = Attempt;

    async fn run(&self, fresh: Fresh) -> Step<Attempt> {
        if fresh.delivery().broker.ordinal < self.dead {
            let (cause, status) = ("connection refused".to_owned(), None);
            let kind = FailureKind::Transient;
            let failure =
                Failure { kind, status, cause, retry_after: None, may_have_arrived: false, answer: None };
            return Ok(Attempt::Failed(fresh, failure));
        }
        self.lap.answered();
        Ok(Attempt::Accepted(Receipt { failed_attempts: 0, status: 200, at: Clock::System.now() }))
    }
}

/// So many records without bytes, there at once.
#[derive(Debug)]
pub struct Memory(pub u64);

impl Memory {
    /// Its one partition.
    #[must_use]
    pub fn into_partition(
        self,
    ) -> SourcePartition<impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static> {
        let (source, mark, read_at) = (Arc::<str>::from("bench"), Arc::from([1]), Clock::System.now());
        let name = Arc::clone(&source);
        let records = stream::iter((0..self.0).map(move |offset| {
            let position = Position::new(Arc::clone(&source), 0, offset);
            let raw = RawRecord::whole(position, Bytes::new(), read_at);
            Ok(SourceRecord { raw, next: Cursor { epoch: 0, offset: offset + 1, mark: Arc::clone(&mark) } })
        }));
        // Beyond the last record, so that the horizon is promised once and costs nothing after.
        SourcePartition::new(name, records).with_horizon_step(self.0)
    }
}
