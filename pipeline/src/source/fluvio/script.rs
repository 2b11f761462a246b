//! A scripted partition: each stream that is opened plays the next act of a script. No cluster, no sockets, paused time.

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
pub(super) enum Act {
    /// The connection fails.
    Refuse,
    /// The connection never comes about.
    Hang,
    /// The stream gives records at these offsets, and then ends, fails or falls silent.
    Play(Vec<u64>, Then),
    /// The stream gives what the log has from where it is opened, and follows it.
    Follow,
}

/// What a stream does after its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    End,
    Fail,
    /// A batch that cannot be read stands next.
    Unreadable,
    Silence,
    /// It gives this record again, once a second.
    Repeat(u64),
}

/// A partition that follows a script; when that is at its end, it does well.
#[derive(Clone)]
pub(super) struct Scripted(Arc<Inside>);

pub(super) struct Inside {
    acts: Mutex<VecDeque<Act>>,
    act: Mutex<Act>,
    bounds: Mutex<Bounds>,
    /// Which log of its name it is: one that is made anew has records of another time.
    log: Mutex<u64>,
    /// The first and the last offset of a batch that cannot be read.
    unreadable: Mutex<Option<(u64, u64)>>,
    /// How long the leader takes for each of: a connection, a stream, a response, its acknowledgement.
    latency: Mutex<Duration>,
    /// Whether questions about the log's end are answered.
    mute: Mutex<bool>,
    opened_at: Mutex<Vec<u64>>,
    mirrored: Mutex<Vec<u64>>,
    connects: AtomicUsize,
    polls: AtomicUsize,
}

pub(super) fn refused() -> ClusterFault {
    ClusterFault::Unreachable { who: "the script".to_owned(), detail: "refused".to_owned() }
}

impl Scripted {
    /// A log that holds `start..end`.
    pub(super) fn new((start, end): (u64, u64), acts: impl IntoIterator<Item = Act>) -> Self {
        Self(Arc::new(Inside {
            acts: Mutex::new(acts.into_iter().collect()),
            act: Mutex::new(Act::Follow),
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

    /// Deletes the log and makes one anew that holds `start..end`.
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

    /// Where streams were opened.
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

impl Partition for Scripted {
    type Records = Playing;

    async fn connect(&self) -> Result<Bounds, ClusterFault> {
        self.0.connects.fetch_add(1, Relaxed);
        let act = self.0.acts.lock().pop_front().unwrap_or(Act::Follow);
        *self.0.act.lock() = act.clone();
        self.0.wait().await;
        match act {
            Act::Refuse => Err(refused()),
            Act::Hang => std::future::pending().await,
            Act::Play(..) | Act::Follow => Ok(*self.0.bounds.lock()),
        }
    }

    async fn open(&self, at: u64) -> Result<Playing, ClusterFault> {
        self.0.opened_at.lock().push(at);
        self.0.wait().await;
        let act = self.0.act.lock().clone();
        let (offsets, then) = match act {
            Act::Play(offsets, then) => (offsets.into(), Some(then)),
            _ => (VecDeque::new(), None),
        };
        let log = *self.0.log.lock();
        Ok(Playing { of: self.0.clone(), log, offsets, then, next: at, trips: 0, trip: None })
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

/// A stream at play. Whoever deletes its log leaves it silent.
pub(super) struct Playing {
    of: Arc<Inside>,
    log: u64,
    offsets: VecDeque<u64>,
    /// None if it follows the log.
    then: Option<Then>,
    next: u64,
    /// How many of the trips that the next record takes are done: the response, and its acknowledgement, which sets out
    /// only when the response is taken.
    trips: u32,
    trip: Option<Pin<Box<Sleep>>>,
}

/// A record as the script writes it: its value names its offset.
pub(super) fn record(offset: u64) -> LogRecord {
    let bytes = Bytes::from(format!("record {offset}"));
    LogRecord { offset, last: offset, bytes, unreadable: None, at: Some(1_000 + offset) }
}

impl Playing {
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

impl Stream for Playing {
    type Item = Result<LogRecord, ClusterFault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.of.polls.fetch_add(1, Relaxed);
        if let Some(offset) = self.offsets.pop_front() {
            return self.give(offset);
        }
        let (end, log, latency) = (self.of.bounds.lock().end, *self.of.log.lock(), *self.of.latency.lock());
        match self.then {
            Some(Then::End) => Poll::Ready(None),
            Some(Then::Fail) => Poll::Ready(Some(Err(refused()))),
            Some(Then::Unreadable) => {
                Poll::Ready(Some(Err(ClusterFault::BatchTooLong { at: self.next, max_bytes: 1 })))
            }
            Some(Then::Silence) => Poll::Pending,
            Some(Then::Repeat(offset)) => {
                std::task::ready!(self.travel(1, Duration::from_secs(1), context));
                self.give(offset)
            }
            None if self.next < end && self.log == log => {
                std::task::ready!(self.travel(2, latency, context));
                let next = self.next;
                self.give(next)
            }
            // Whoever waits looks at the log from time to time, which polls this again.
            None => Poll::Pending,
        }
    }
}

/// A cluster of scripted partitions.
pub(super) struct ScriptedCluster {
    pub(super) counts: Mutex<VecDeque<Result<u32, ClusterFault>>>,
    pub(super) partitions: Vec<Scripted>,
}

impl Cluster for ScriptedCluster {
    type Partition = Scripted;

    async fn count(&self, _: &str) -> Result<u32, ClusterFault> {
        let all = u32::try_from(self.partitions.len()).unwrap();
        self.counts.lock().pop_front().unwrap_or(Ok(all))
    }

    fn partition(&self, number: u32) -> Scripted {
        self.partitions[number as usize].clone()
    }
}
