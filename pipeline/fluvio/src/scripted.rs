//! A scripted partition for tests: each stream that is opened plays the next step of a script. No cluster, no
//! sockets, paused time.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

use super::partition::{Bounds, Cluster, ClusterFault, LogRecord, Partition};

/// What a connection and its stream do.
#[derive(Clone, Debug)]
pub(super) enum ScriptStep {
    /// The connection fails.
    Refuse,
    /// The connection never comes about.
    Hang,
    /// The stream gives records at these offsets, and then ends, fails or falls silent.
    Play(Vec<u64>, AfterRecords),
    /// The stream gives what the log has from where it is opened, and follows it.
    Follow,
}

/// What a stream does after its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterRecords {
    End,
    Fail,
    /// An unreadable batch follows.
    Unreadable,
    Silence,
    /// It gives this record again, once a second.
    Repeat(u64),
}

/// A partition that follows a script; after its end it works.
#[derive(Clone)]
pub(super) struct ScriptedPartition(Arc<Inside>);

pub(super) struct Inside {
    steps: Mutex<VecDeque<ScriptStep>>,
    act: Mutex<ScriptStep>,
    bounds: Mutex<Bounds>,
    /// The number of the log under this name: a recreated one has records of another time.
    log: Mutex<u64>,
    /// The first and the last offset of a batch that cannot be read.
    unreadable: Mutex<Option<(u64, u64)>>,
    /// The latency of each of: a connection, a stream, a response, its acknowledgement.
    latency: Mutex<Duration>,
    /// Whether requests for the log's end are answered.
    mute: Mutex<bool>,
    opened_at: Mutex<Vec<u64>>,
    mirrored: Mutex<Vec<u64>>,
    connects: AtomicUsize,
    polls: AtomicUsize,
}

pub(super) fn refused() -> ClusterFault {
    ClusterFault::Unreachable { who: "the script".to_owned(), detail: "refused".to_owned() }
}

impl ScriptedPartition {
    /// A log that holds `start..end`.
    pub(super) fn new((start, end): (u64, u64), steps: impl IntoIterator<Item = ScriptStep>) -> Self {
        Self(Arc::new(Inside {
            steps: Mutex::new(steps.into_iter().collect()),
            act: Mutex::new(ScriptStep::Follow),
            bounds: Mutex::new(Bounds { start, end }),
            log: Mutex::default(),
            unreadable: Mutex::default(),
            latency: Mutex::default(),
            mute: Mutex::new(false),
            opened_at: Mutex::default(),
            mirrored: Mutex::default(),
            connects: AtomicUsize::new(0),
            polls: AtomicUsize::new(0),
        }))
    }

    pub(super) fn set_bounds(&self, start: u64, end: u64) {
        *self.0.bounds.lock() = Bounds { start, end };
    }

    /// Recreates the log with `start..end`.
    pub(super) fn make_anew(&self, start: u64, end: u64) {
        *self.0.log.lock() += 1;
        self.set_bounds(start, end);
    }

    pub(super) fn set_unreadable(&self, batch: Option<(u64, u64)>) {
        *self.0.unreadable.lock() = batch;
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        *self.0.latency.lock() = latency;
    }

    pub(super) fn mute(&self) {
        *self.0.mute.lock() = true;
    }

    /// The offsets at which streams were opened.
    pub(super) fn opened_at(&self) -> Vec<u64> {
        self.0.opened_at.lock().clone()
    }

    pub(super) fn mirrored(&self) -> Vec<u64> {
        self.0.mirrored.lock().clone()
    }

    pub(super) fn connects(&self) -> usize {
        self.0.connects.load(Relaxed)
    }

    /// How often a stream was asked for a record.
    pub(super) fn polls(&self) -> usize {
        self.0.polls.load(Relaxed)
    }
}

impl Partition for ScriptedPartition {
    type Records = ScriptedStream;

    async fn connect(&self) -> Result<Bounds, ClusterFault> {
        self.0.connects.fetch_add(1, Relaxed);
        let act = self.0.steps.lock().pop_front().unwrap_or(ScriptStep::Follow);
        *self.0.act.lock() = act.clone();
        self.0.wait().await;
        match act {
            ScriptStep::Refuse => Err(refused()),
            ScriptStep::Hang => std::future::pending().await,
            ScriptStep::Play(..) | ScriptStep::Follow => Ok(*self.0.bounds.lock()),
        }
    }

    async fn open(&self, at: u64) -> Result<ScriptedStream, ClusterFault> {
        self.0.opened_at.lock().push(at);
        self.0.wait().await;
        let act = self.0.act.lock().clone();
        let (offsets, then) = match act {
            ScriptStep::Play(offsets, then) => (offsets.into(), Some(then)),
            _ => (VecDeque::new(), None),
        };
        let log = *self.0.log.lock();
        Ok(ScriptedStream { of: self.0.clone(), log, offsets, then, next: at, trips: 0, trip: None })
    }

    async fn bounds(&self) -> Result<Bounds, ClusterFault> {
        if *self.0.mute.lock() {
            std::future::pending::<()>().await;
        }
        Ok(*self.0.bounds.lock())
    }

    async fn mirror(&self, settled: u64) -> Result<bool, ClusterFault> {
        self.0.mirrored.lock().push(settled);
        Ok(true)
    }
}

impl Inside {
    async fn wait(&self) {
        let latency = *self.latency.lock();
        if !latency.is_zero() {
            sleep(latency).await;
        }
    }
}

/// A playing stream. It is silent once its log is deleted.
pub(super) struct ScriptedStream {
    of: Arc<Inside>,
    log: u64,
    offsets: VecDeque<u64>,
    /// None if it follows the log.
    then: Option<AfterRecords>,
    next: u64,
    /// How many round trips of the next record are done: the response, and its acknowledgement, which starts only
    /// when the response is taken.
    trips: u32,
    trip: Option<Pin<Box<Sleep>>>,
}

/// A record as the script writes it: its value names its offset.
pub(super) fn record(offset: u64) -> LogRecord {
    let bytes = Bytes::from(format!("record {offset}"));
    LogRecord { offset, last: offset, bytes, unreadable: None, at: Some(1_000 + offset) }
}

impl ScriptedStream {
    fn give(&mut self, offset: u64) -> Poll<Option<Result<LogRecord, ClusterFault>>> {
        let mut record = record(offset);
        record.at = record.at.map(|at| at + 1_000_000 * self.log);
        if let Some((first, last)) = *self.of.unreadable.lock()
            && (first..=last).contains(&offset)
        {
            record = LogRecord { last, unreadable: Some("damaged".into()), ..self::record(first) };
        }
        self.next = record.last + 1;
        Poll::Ready(Some(Ok(record)))
    }

    /// Whether `trips` of `latency` are done.
    fn travel(&mut self, trips: u32, latency: Duration, context: &mut Context<'_>) -> Poll<()> {
        while !latency.is_zero() && self.trips < trips {
            let trip = self.trip.get_or_insert_with(|| Box::pin(sleep(latency)));
            std::task::ready!(trip.as_mut().poll(context));
            (self.trip, self.trips) = (None, self.trips + 1);
        }
        self.trips = 0;
        Poll::Ready(())
    }
}

impl Stream for ScriptedStream {
    type Item = Result<LogRecord, ClusterFault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.of.polls.fetch_add(1, Relaxed);
        if let Some(offset) = self.offsets.pop_front() {
            return self.give(offset);
        }
        let (end, log, latency) = (self.of.bounds.lock().end, *self.of.log.lock(), *self.of.latency.lock());
        match self.then {
            Some(AfterRecords::End) => Poll::Ready(None),
            Some(AfterRecords::Fail) => Poll::Ready(Some(Err(refused()))),
            Some(AfterRecords::Unreadable) => {
                Poll::Ready(Some(Err(ClusterFault::BatchTooLong { at: self.next, max_bytes: 1 })))
            }
            Some(AfterRecords::Silence) => Poll::Pending,
            Some(AfterRecords::Repeat(offset)) => {
                std::task::ready!(self.travel(1, Duration::from_secs(1), context));
                self.give(offset)
            }
            None if self.next < end && self.log == log => {
                std::task::ready!(self.travel(2, latency, context));
                let next = self.next;
                self.give(next)
            }
            // The monitor's polls wake the reader, which polls this again.
            None => Poll::Pending,
        }
    }
}

/// A cluster of scripted partitions.
pub(super) struct ScriptedCluster {
    pub(super) counts: Mutex<VecDeque<Result<u32, ClusterFault>>>,
    pub(super) partitions: Vec<ScriptedPartition>,
}

impl Cluster for ScriptedCluster {
    type Partition = ScriptedPartition;

    async fn count(&self, _: &str) -> Result<u32, ClusterFault> {
        let all = u32::try_from(self.partitions.len()).unwrap();
        self.counts.lock().pop_front().unwrap_or(Ok(all))
    }

    fn partition(&self, number: u32) -> ScriptedPartition {
        self.partitions[number as usize].clone()
    }
}
