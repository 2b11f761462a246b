//! Appends a run's traffic to a log in a file, each record in its time, as a producer would: in order, none before its
//! time.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use super::{Traffic, appended::Appended, clock::RunClock};

/// How often the producer appends what is due: short beside any latency that is measured.
const TICK: Duration = Duration::from_millis(2);

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

/// How many whole records end at or before `byte`, given where each record ends.
#[must_use]
pub fn records_before(ends: &[u64], byte: u64) -> usize {
    ends.partition_point(|end| *end <= byte)
}
