//! A scripted cluster: one log for each partition, what a group has committed, and what is out of order with it. No
//! sockets, no threads, paused time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use crate::{
    consumer::{Bounds, Consumer, LogRecord, Offset, PartitionQueue, Queued, ReadFrom, Wanted},
    fault::ClusterFault,
    testing::log_record,
};

/// One partition's log, and the queue of whoever reads it.
#[derive(Default)]
pub(crate) struct ScriptedLog {
    /// What the log begins at.
    pub(crate) start: u64,
    /// Its records; offsets may have gaps.
    pub(crate) records: Vec<LogRecord>,
    /// Whether its leader answers.
    pub(crate) away: bool,
    /// Where the client reads; none while the partition is not assigned.
    read_at: Option<u64>,
    end_told: bool,
    lost_told: bool,
    queue: Weak<Wake>,
}

struct Wake(Box<dyn Fn() + Send + Sync>);

/// What the cluster knows.
#[derive(Default)]
pub(crate) struct Inside {
    pub(crate) logs: BTreeMap<i32, ScriptedLog>,
    pub(crate) committed: BTreeMap<i32, Offset>,
    /// Every commit it has taken, in order.
    pub(crate) commits: Vec<(i32, u64)>,
    /// What the next commits come to instead.
    pub(crate) refuse: Vec<ClusterFault>,
    pub(crate) unassigned: Vec<i32>,
    /// Whether a queue was made while the one before was still there.
    pub(crate) queue_twice: bool,
    /// How long a commit takes.
    pub(crate) commit_takes: std::time::Duration,
}

/// A consumer of the scripted cluster. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Scripted(pub(crate) Arc<Mutex<Inside>>);

/// A partition's queue.
pub(crate) struct ScriptedQueue {
    cluster: Scripted,
    partition: i32,
    _wake: Arc<Wake>,
}

impl Scripted {
    /// A topic of `partitions`, each with `records` from offset 0 on.
    pub(crate) fn new(partitions: i32, records: u64) -> Self {
        let scripted = Self::default();
        for partition in 0..partitions {
            let records = (0..records).map(log_record).collect();
            let log = ScriptedLog { records, ..ScriptedLog::default() };
            scripted.0.lock().logs.insert(partition, log);
        }
        scripted
    }

    /// Changes the log of `partition`, and wakes whoever reads it.
    pub(crate) fn change<T>(&self, partition: i32, change: impl FnOnce(&mut ScriptedLog) -> T) -> T {
        let (changed, wake) = {
            let mut inside = self.0.lock();
            let log = inside.logs.entry(partition).or_default();
            let changed = change(log);
            (log.end_told, log.lost_told) = (false, false);
            (changed, log.queue.upgrade())
        };
        if let Some(wake) = wake {
            wake.0();
        }
        changed
    }

    /// Retention removes what stands before `start`.
    pub(crate) fn remove_before(&self, partition: i32, start: u64) {
        self.change(partition, |log| {
            log.start = start;
            log.records.retain(|record| record.offset() >= start);
        });
    }

    /// Adds a record at `offset`.
    pub(crate) fn append(&self, partition: i32, offset: u64) {
        self.change(partition, |log| log.records.push(log_record(offset)));
    }

    /// What the group has committed of `partition`.
    pub(crate) fn committed_at(&self, partition: i32) -> Option<u64> {
        self.0.lock().committed.get(&partition).map(|offset| offset.offset)
    }
}

impl ScriptedLog {
    fn end(&self) -> u64 {
        self.records.last().map_or(self.start, |record| record.offset() + 1)
    }

    fn next(&mut self) -> Option<Queued> {
        let at = self.read_at?;
        if at < self.start || at > self.end() {
            return (!std::mem::replace(&mut self.lost_told, true)).then_some(Queued::OutOfRange);
        }
        let found = self.records.iter().find(|record| record.offset() >= at).cloned();
        if let Some(record) = found {
            self.read_at = Some(record.offset() + 1);
            return Some(Queued::Record(record));
        }
        (!std::mem::replace(&mut self.end_told, true)).then_some(Queued::End)
    }
}

impl PartitionQueue for ScriptedQueue {
    fn next(&mut self, _: &Wanted) -> Option<Queued> {
        self.cluster.0.lock().logs.get_mut(&self.partition)?.next()
    }
}

fn away() -> ClusterFault {
    ClusterFault::Unreachable { detail: "the script".to_owned() }
}

impl Consumer for Scripted {
    type Queue = ScriptedQueue;

    fn queue(
        &self,
        partition: i32,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<ScriptedQueue, ClusterFault> {
        let wake = Arc::new(Wake(Box::new(wake)));
        let mut inside = self.0.lock();
        let log = inside.logs.entry(partition).or_default();
        let is_second = log.queue.strong_count() > 0;
        log.queue = Arc::downgrade(&wake);
        inside.queue_twice |= is_second;
        Ok(ScriptedQueue { cluster: self.clone(), partition, _wake: wake })
    }

    fn assign(&self, places: &[(i32, ReadFrom)]) -> Result<(), ClusterFault> {
        for (partition, from) in places {
            self.change(*partition, |log| {
                log.read_at = Some(match from {
                    ReadFrom::Offset(offset) => *offset,
                    ReadFrom::Oldest => log.start,
                    ReadFrom::Newest => log.end(),
                });
            });
        }
        Ok(())
    }

    fn unassign(&self, partitions: &[i32]) -> Result<(), ClusterFault> {
        let mut inside = self.0.lock();
        inside.unassigned.extend(partitions);
        for partition in partitions {
            if let Some(log) = inside.logs.get_mut(partition) {
                log.read_at = None;
            }
        }
        Ok(())
    }

    async fn commit(&self, offsets: Vec<Offset>) -> Result<(), ClusterFault> {
        let takes = self.0.lock().commit_takes;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let mut inside = self.0.lock();
        if let Some(fault) = inside.refuse.pop() {
            return Err(fault);
        }
        for offset in offsets {
            inside.commits.push((offset.partition, offset.offset));
            inside.committed.insert(offset.partition, offset);
        }
        Ok(())
    }

    async fn committed(&self, partitions: Vec<i32>) -> Result<Vec<Offset>, ClusterFault> {
        let inside = self.0.lock();
        Ok(partitions.iter().filter_map(|partition| inside.committed.get(partition).cloned()).collect())
    }

    async fn bounds(&self, partition: i32) -> Result<Bounds, ClusterFault> {
        let inside = self.0.lock();
        let log = inside.logs.get(&partition).filter(|log| !log.away).ok_or_else(away)?;
        Ok(Bounds { start: log.start, end: log.end() })
    }

    async fn count(&self) -> Result<i32, ClusterFault> {
        Ok(i32::try_from(self.0.lock().logs.len()).unwrap_or(i32::MAX))
    }
}
