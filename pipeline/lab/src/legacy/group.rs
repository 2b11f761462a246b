//! The state of the consumer group: which records are in which partition, how far each is taken and committed, and what
//! happened so far. Every record read is in one partition; the counters are those of [`Progress`].

use std::ops::Range;

use super::{
    Progress,
    assign::partition_of,
    partition::{Partition, Place, Rewound},
};

/// A message taken by a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) partition: usize,
    pub(super) place: Place,
}

/// The log's partitions and the group's offsets.
#[derive(Debug)]
pub(super) struct Group {
    partitions: Vec<Partition>,
    /// The counters; what can be told from the partitions is filled in by [`Group::progress`].
    counts: Progress,
    /// How many records are held.
    held: u64,
}

impl Group {
    pub(super) fn new(partitions: u32, consumers: u32) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            counts: Progress { consumers, ..Progress::default() },
            held: 0,
        }
    }

    /// Puts the next record of the log into its partition.
    pub(super) fn append(&mut self, load_id: Option<&str>, at: u64, len: u32) {
        let record = self.counts.read;
        let partitions = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        if let Some(partition) = self.partitions.get_mut(partition_of(load_id, record, partitions)) {
            partition.append(Place { record, at, len });
        }
        self.counts.read += 1;
        self.held += 1;
    }

    /// How many records are held: those that are not committed.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Takes the oldest message of these partitions that has not been taken.
    pub(super) fn take(&mut self, of: &Range<usize>) -> Option<Taken> {
        let nexts = of.clone().filter_map(|nth| Some((self.partitions.get(nth)?.next()?.record, nth)));
        let (_, nth) = nexts.min()?;
        let (place, again) = self.partitions.get_mut(nth)?.take()?;
        self.counts.replayed += u64::from(again);
        Some(Taken { partition: nth, place })
    }

    /// The message has been handled to its end.
    pub(super) fn finish(&mut self, taken: Taken) {
        if let Some(partition) = self.partitions.get_mut(taken.partition) {
            partition.finish();
        }
        self.counts.handled += 1;
    }

    /// A message is started over.
    pub(super) fn retry(&mut self) {
        self.counts.retries += 1;
    }

    /// Commits every partition at the place after the message being handled there.
    pub(super) fn commit(&mut self) {
        let committed: u64 = self.partitions.iter_mut().map(Partition::commit).sum();
        self.held -= committed;
    }

    /// The message has crashed the consumer of these partitions: all of them go back to what is committed, which is
    /// moved past the message if it has done so `max` times.
    pub(super) fn crash(&mut self, of: &Range<usize>, taken: Taken, max: u32) {
        self.counts.crashes += 1;
        if let Some(partition) = self.partitions.get_mut(taken.partition)
            && partition.crash(max)
        {
            self.held -= partition.commit();
            self.counts.skipped += 1;
        }
        self.rewind(of.clone());
    }

    /// Everyone stops, and will go on at what is committed with so many consumers.
    pub(super) fn rebalance(&mut self, consumers: u32) {
        self.rewind(0..self.partitions.len());
        self.counts.consumers = consumers;
        self.counts.rebalancing = true;
    }

    /// The rebalance is over.
    pub(super) fn resume(&mut self) {
        self.counts.rebalancing = false;
    }

    /// How far everything is.
    pub(super) fn progress(&self) -> Progress {
        let oldest = self.partitions.iter().filter_map(Partition::oldest).min();
        let working = self.partitions.iter().filter(|partition| partition.is_working()).count();
        Progress {
            settled: oldest.unwrap_or(self.counts.read),
            lag: self.partitions.iter().map(Partition::lag).sum(),
            oldest,
            in_flight: u32::try_from(working).unwrap_or(u32::MAX),
            ..self.counts
        }
    }

    fn rewind(&mut self, of: Range<usize>) {
        for partition in self.partitions.get_mut(of).into_iter().flatten() {
            self.counts.abandoned += u64::from(partition.rewind() == Rewound::Abandons);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group of three partitions with two records each: 0 and 3, 1 and 4, 2 and 5.
    fn group() -> Group {
        let mut group = Group::new(3, 1);
        (0..6).for_each(|at| group.append(None, at, 1));
        group
    }

    fn take(group: &mut Group, of: Range<usize>) -> Option<u64> {
        let taken = group.take(&of)?;
        group.finish(taken);
        Some(taken.place.record)
    }

    #[test]
    fn a_consumer_takes_the_oldest_of_its_own_partitions() {
        let mut group = group();
        let taken = [1..3, 1..3, 1..3, 0..1, 0..3, 0..3, 0..3].map(|of| take(&mut group, of));
        assert_eq!(taken, [Some(1), Some(2), Some(4), Some(0), Some(3), Some(5), None]);
        assert_eq!((group.progress().handled, group.progress().lag), (6, 6), "nothing is committed yet");
    }

    #[test]
    fn settled_is_where_the_slowest_partition_is() {
        let mut group = group();
        group.take(&(0..1));
        group.take(&(1..2));
        group.commit();
        let progress = group.progress();
        assert_eq!((progress.settled, progress.oldest, progress.lag, progress.in_flight), (2, Some(2), 4, 2));
        assert!((0..4).all(|_| group.take(&(0..3)).is_some()));
        group.commit();
        let progress = group.progress();
        assert_eq!((progress.settled, progress.oldest, progress.lag, group.held()), (6, None, 0, 0));
        assert!(!progress.is_idle(), "the last of each partition is still being handled");
    }

    #[test]
    fn a_rebalance_replays_the_uncommitted_and_abandons_what_is_committed_and_not_done() {
        let mut group = group();
        take(&mut group, 0..1);
        group.take(&(1..2));
        group.commit();
        take(&mut group, 2..3);
        group.rebalance(3);
        let progress = group.progress();
        assert_eq!((progress.consumers, progress.rebalancing, progress.in_flight), (3, true, 0));
        assert_eq!((progress.abandoned, progress.lag), (1, 4));
        group.resume();
        let again: Vec<_> = std::iter::from_fn(|| take(&mut group, 0..3)).collect();
        assert_eq!((again, group.progress().replayed), (vec![2, 3, 4, 5], 1));
    }

    #[test]
    fn a_crash_rewinds_its_consumers_partitions_and_no_others_until_the_message_is_skipped() {
        let mut group = group();
        take(&mut group, 2..3);
        take(&mut group, 0..2);
        let poison = group.take(&(0..2)).unwrap();
        assert_eq!(poison.place.record, 1);
        group.crash(&(0..2), poison, 2);
        assert_eq!([take(&mut group, 0..2), take(&mut group, 2..3)], [Some(0), Some(5)]);
        let poison = group.take(&(0..2)).unwrap();
        group.crash(&(0..2), poison, 2);
        let again: Vec<_> = std::iter::from_fn(|| take(&mut group, 0..2)).collect();
        assert_eq!(again, [0, 3, 4], "1 is skipped for good, 0 was not committed");
        let progress = group.progress();
        assert_eq!((progress.crashes, progress.skipped, progress.lag), (2, 1, 5));
    }
}
