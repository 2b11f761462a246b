//! Appends a run's traffic to the log, each record in its time, as a producer would.
//!
//! Guaranteed: records are appended in order, none before its time; what time each really was appended is kept, since a
//! busy machine appends late and nobody else is to be blamed for that.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    post::{PostFault, Poster},
    publish::Publisher,
    traffic::Traffic,
    witness::RunClock,
};
use crate::produce::{ProduceFault, Sent};

/// How often the producer appends what is due: short beside any latency that is measured.
const TICK: Duration = Duration::from_millis(2);

/// What has been appended so far. A log of several partitions takes records out of the traffic's order.
#[derive(Clone, Debug, Default)]
pub struct Appended(Arc<Mutex<Times>>);

#[derive(Debug, Default)]
struct Times {
    /// When each record was appended; none if it was not yet. Those behind the last one that was are left out.
    at_ms: Vec<Option<u64>>,
    count: usize,
}

impl Appended {
    /// How many records.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().count
    }

    /// When the record at `place` was appended, in milliseconds from the start of the run.
    #[must_use]
    pub fn at_ms(&self, place: usize) -> Option<u64> {
        self.0.lock().at_ms.get(place).copied().flatten()
    }

    /// When each record was appended, in the traffic's order; none, or nothing at its place, if it was not yet.
    #[must_use]
    pub fn times(&self) -> Vec<Option<u64>> {
        self.0.lock().at_ms.clone()
    }

    /// So many more were appended at `at_ms`, in the traffic's order.
    pub(super) fn add(&self, count: usize, at_ms: u64) {
        let mut times = self.0.lock();
        let len = times.at_ms.len() + count;
        times.at_ms.resize(len, Some(at_ms));
        times.count += count;
    }

    /// The records at `places` were appended at `at_ms`.
    pub(super) fn mark(&self, places: &[usize], at_ms: u64) {
        let mut times = self.0.lock();
        for &place in places {
            let len = times.at_ms.len().max(place + 1);
            times.at_ms.resize(len, None);
            times.count += usize::from(times.at_ms[place].replace(at_ms).is_none());
        }
    }
}

/// A log in a file, one record a line.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    next: usize,
    /// Where each record ends, in bytes.
    ends: Vec<u64>,
    appended: Appended,
}

impl LogFile {
    /// A new log at `path` for `traffic`, with its backlog in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path, traffic: &Traffic) -> io::Result<Self> {
        Self::with(OpenOptions::new().create_new(true).append(true).open(path)?, traffic)
    }

    /// The end of a log somebody else follows already, with the backlog of `traffic` appended.
    ///
    /// # Errors
    /// There is none.
    pub fn extend(path: &Path, traffic: &Traffic) -> io::Result<Self> {
        Self::with(OpenOptions::new().append(true).open(path)?, traffic)
    }

    fn with(file: File, traffic: &Traffic) -> io::Result<Self> {
        let mut end = 0;
        let ends = traffic.log.iter().map(|entry| {
            end += entry.body.len() as u64 + 1;
            end
        });
        let mut log = Self { file, next: 0, ends: ends.collect(), appended: Appended::default() };
        log.append_due(traffic, 0)?;
        Ok(log)
    }

    /// Where each record ends.
    #[must_use]
    pub fn ends(&self) -> Vec<u64> {
        self.ends.clone()
    }

    /// What has been appended so far.
    #[must_use]
    pub fn appended(&self) -> Appended {
        self.appended.clone()
    }

    /// Appends all of `traffic`, each record in its time.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn play(&mut self, traffic: &Traffic, clock: &RunClock) -> io::Result<()> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while self.next < traffic.log.len() {
            ticks.tick().await;
            self.append_due(traffic, clock.now_ms())?;
        }
        Ok(())
    }

    /// Appends what is due, in one write: a write to a file's cached pages takes microseconds, so nothing waits for it.
    fn append_due(&mut self, traffic: &Traffic, now_ms: u64) -> io::Result<()> {
        let due = traffic.log[self.next..].partition_point(|entry| entry.at_ms <= now_ms);
        if due == 0 {
            return Ok(());
        }
        let entries = &traffic.log[self.next..self.next + due];
        let mut lines = Vec::with_capacity(entries.iter().map(|entry| entry.body.len() + 1).sum());
        for entry in entries {
            lines.extend_from_slice(&entry.body);
            lines.push(b'\n');
        }
        self.file.write_all(&lines)?;
        self.next += due;
        self.appended.add(due, now_ms);
        Ok(())
    }
}

/// Whoever appends.
#[derive(Debug)]
pub enum Producer {
    /// To a file.
    File(LogFile),
    /// To an intake over HTTP.
    Http(Poster),
    /// To a topic of a Fluvio cluster.
    Topic(Publisher),
}

/// Why nothing more is appended.
#[derive(Debug, thiserror::Error)]
pub enum ProducerFault {
    /// The log cannot be written.
    #[error("the log of the run cannot be written: {0}; make room on its disk")]
    File(#[from] io::Error),
    /// The intake does not take it.
    #[error(transparent)]
    Post(#[from] PostFault),
    /// The cluster does not take it.
    #[error(transparent)]
    Produce(#[from] ProduceFault),
    /// It came to grief.
    #[error("the producer of the simulated events ended unexpectedly")]
    Ended,
}

impl Producer {
    /// What has been appended so far.
    #[must_use]
    pub fn appended(&self) -> Appended {
        match self {
            Self::File(log) => log.appended(),
            Self::Http(poster) => poster.appended(),
            Self::Topic(publisher) => publisher.appended(),
        }
    }

    /// What it has sent to a cluster so far, if that is where it appends.
    #[must_use]
    pub fn sent(&self) -> Option<Arc<Sent>> {
        match self {
            Self::File(_) | Self::Http(_) => None,
            Self::Topic(publisher) => Some(publisher.sent()),
        }
    }

    /// Appends all of `traffic`, each record in its time.
    ///
    /// # Errors
    /// [`ProducerFault`].
    pub async fn play(&mut self, traffic: &Traffic, clock: &RunClock) -> Result<(), ProducerFault> {
        match self {
            Self::File(log) => Ok(log.play(traffic, clock).await?),
            Self::Http(poster) => Ok(poster.play(traffic, clock).await?),
            Self::Topic(publisher) => Ok(publisher.play(traffic, clock).await?),
        }
    }
}

/// How many whole records end at or before `byte`, given where each record ends.
#[must_use]
pub fn records_before(ends: &[u64], byte: u64) -> usize {
    ends.partition_point(|end| *end <= byte)
}
