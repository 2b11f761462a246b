//! The trend of each partition's backlog: whether it is behind, and how fast that changes, from a snapshot once a
//! second.

use std::{collections::VecDeque, time::Duration};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::status::PartitionStatus;

/// Snapshots kept, one a second: a pace is over the last minute.
const SNAPSHOTS: usize = 61;
/// Records unread for this long are a backlog: longer than a line that keeps up needs.
const BEHIND_AFTER: Duration = Duration::from_secs(10);
/// How long a new run may take to read what it finds.
const START_GRACE: Duration = Duration::from_secs(1);
/// The shortest time over which a pace is computed.
const PACE_MIN: Duration = Duration::from_secs(5);

/// Earlier snapshots of each present partition, by its name, oldest first. A partition that was away starts again.
#[derive(Debug, Default)]
pub(super) struct Trend(FxHashMap<String, VecDeque<Place>>);

/// The offsets of one partition.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: Instant,
    end: Option<u64>,
    lag_events: Option<u64>,
}

impl Trend {
    /// Takes a snapshot of the present partitions.
    pub(super) fn record(&mut self, at: Instant, partitions: &[PartitionStatus]) {
        for PartitionStatus { name, end, lag_events, .. } in partitions {
            let place = Place { at, end: *end, lag_events: *lag_events };
            match self.0.get_mut(name) {
                Some(snapshots) => {
                    if snapshots.len() == SNAPSHOTS {
                        snapshots.pop_front();
                    }
                    snapshots.push_back(place);
                }
                None => drop(self.0.insert(name.clone(), VecDeque::from([place]))),
            }
        }
        self.0.retain(|_, snapshots| snapshots.back().is_some_and(|last| last.at == at));
    }

    /// Sets whether a partition is behind, and how fast its backlog changes.
    pub(super) fn assess(&self, now: Instant, partition: &mut PartitionStatus) {
        partition.behind = self.is_behind(now, partition);
        partition.lag_per_second = self.pace(now, partition);
        partition.drain_seconds = match (partition.lag_per_second, partition.lag_events) {
            (Some(pace), Some(lag)) if pace < 0.0 && lag > 0 => Some(lag as f64 / -pace),
            _ => None,
        };
    }

    /// Whether records that were in the log a while ago are unread.
    fn is_behind(&self, now: Instant, partition: &PartitionStatus) -> bool {
        let is_old = |place: &&Place, age| now.saturating_duration_since(place.at) >= age;
        let Some(snapshots) = self.0.get(&partition.name) else { return false };
        // Of a partition that has just come: what was there when it did.
        let snapshot =
            snapshots.iter().rev().find(|snapshot| is_old(snapshot, BEHIND_AFTER)).or(snapshots.front());
        let then =
            snapshot.filter(|snapshot| is_old(snapshot, START_GRACE)).and_then(|snapshot| snapshot.end);
        // A log that is shorter than before was replaced or cut, so its earlier end means nothing.
        let comparable = then.zip(partition.end).filter(|(then, end)| then <= end);
        comparable.is_some_and(|(then, _)| partition.read.unwrap_or(0) < then)
    }

    /// The growth of the backlog in events a second; negative if it shrinks.
    fn pace(&self, now: Instant, partition: &PartitionStatus) -> Option<f64> {
        let lag = partition.lag_events? as f64;
        let snapshots = self.0.get(&partition.name)?;
        let (at, before) =
            snapshots.iter().find_map(|snapshot| Some((snapshot.at, snapshot.lag_events? as f64)))?;
        let elapsed = now.saturating_duration_since(at);
        (elapsed >= PACE_MIN).then(|| ((lag - before) / elapsed.as_secs_f64() * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(read: u64, end: u64) -> PartitionStatus {
        PartitionStatus {
            read: Some(read),
            end: Some(end),
            lag_events: Some(end - read),
            ..PartitionStatus::default()
        }
    }

    fn judged(trend: &Trend, now: Instant, mut partition: PartitionStatus) -> PartitionStatus {
        trend.assess(now, &mut partition);
        partition
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_in_the_log_ten_seconds_ago_and_is_not_read_is_a_backlog() {
        let (mut trend, began) = (Trend::default(), Instant::now());
        trend.record(began, &[at(0, 1_000)]);
        assert!(!judged(&trend, began, at(10, 1_000)).behind, "it has only begun");
        assert!(judged(&trend, began + START_GRACE, at(10, 1_000)).behind);
        assert!(!judged(&trend, began + START_GRACE, at(1_000, 1_400)).behind);
        for second in 1..=20 {
            trend.record(began + Duration::from_secs(second), &[at(second * 100, 1_000 + second * 100)]);
        }
        let now = began + Duration::from_secs(20);
        assert!(judged(&trend, now, at(1_999, 3_000)).behind);
        assert!(
            !judged(&trend, now, at(2_000, 3_000)).behind,
            "what came in the last ten seconds is no backlog"
        );
        assert!(!judged(&trend, now, at(5, 40)).behind, "another log");
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_has_a_pace_and_an_end_if_it_shrinks() {
        let (mut trend, began) = (Trend::default(), Instant::now());
        trend.record(began, &[at(0, 1_000)]);
        let after = |seconds, partition| judged(&trend, began + Duration::from_secs(seconds), partition);
        assert_eq!(after(4, at(100, 1_000)).lag_per_second, None, "too soon to tell");
        let shrinks = after(10, at(100, 1_000));
        assert_eq!((shrinks.lag_per_second, shrinks.drain_seconds), (Some(-10.0), Some(90.0)));
        let grows = after(10, at(100, 2_300));
        assert_eq!((grows.lag_per_second, grows.drain_seconds), (Some(120.0), None));
        let gone = after(10, at(1_000, 1_000));
        assert_eq!((gone.lag_per_second, gone.drain_seconds), (Some(-100.0), None));
    }
    #[tokio::test(start_paused = true)]
    async fn a_partition_that_went_and_came_again_is_judged_by_its_present_stay_alone() {
        let (mut trend, began) = (Trend::default(), Instant::now());
        let named =
            |name: &str, partition: PartitionStatus| PartitionStatus { name: name.to_owned(), ..partition };
        trend.record(began, &[named("t/0", at(0, 1_000)), named("t/1", at(900, 1_000))]);
        let second = |second| began + Duration::from_secs(second);
        trend.record(second(1), &[named("t/1", at(900, 1_000))]);
        trend.record(second(10), &[named("t/1", at(900, 1_000)), named("t/0", at(400, 2_000))]);
        let (zero, one) = (named("t/0", at(400, 2_000)), named("t/1", at(950, 1_000)));
        assert_eq!(judged(&trend, second(10), zero.clone()).lag_per_second, None, "too soon to tell");
        assert_eq!(judged(&trend, second(10), one).lag_per_second, Some(-5.0));
        assert!(!judged(&trend, second(10), zero.clone()).behind && judged(&trend, second(11), zero).behind);
    }
}
