//! How the backlog of each partition moves: their places enter once a second; whether one is behind, and how fast that
//! changes, leaves.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::status::PartitionStatus;

/// Looks kept, one a second: a pace is over the last minute.
const LOOKS: usize = 61;
/// What was in the log for so long and is not read yet is a backlog: longer than a line that keeps up leaves anything.
const BEHIND: Duration = Duration::from_secs(10);
/// A run that has begun has so long to read what it finds.
const BEGINS: Duration = Duration::from_secs(1);
/// The shortest time a pace is told over.
const PACE: Duration = Duration::from_secs(5);

/// Earlier looks at the partitions, oldest first.
#[derive(Debug)]
pub(super) struct Trend(VecDeque<Look>);

#[derive(Debug)]
struct Look {
    at: Instant,
    places: Vec<Place>,
}

/// What was seen of one partition.
#[derive(Clone, Copy, Debug)]
struct Place {
    end: Option<u64>,
    lag_events: Option<u64>,
}

impl Trend {
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(LOOKS))
    }

    /// Notes where the partitions are, in the line's order.
    pub(super) fn note(&mut self, at: Instant, partitions: &[PartitionStatus]) {
        if self.0.len() == LOOKS {
            self.0.pop_front();
        }
        let place = |one: &PartitionStatus| Place { end: one.end, lag_events: one.lag_events };
        self.0.push_back(Look { at, places: partitions.iter().map(place).collect() });
    }

    /// Says of the partition at `index` whether it is behind, and how its backlog moves.
    pub(super) fn judge(&self, now: Instant, index: usize, partition: &mut PartitionStatus) {
        partition.behind = self.is_behind(now, index, partition);
        partition.lag_per_second = self.pace(now, index, partition);
        partition.drain_seconds = match (partition.lag_per_second, partition.lag_events) {
            (Some(pace), Some(lag)) if pace < 0.0 && lag > 0 => Some(lag as f64 / -pace),
            _ => None,
        };
    }

    /// Whether something that was in the log a while ago has not been read.
    fn is_behind(&self, now: Instant, index: usize, partition: &PartitionStatus) -> bool {
        let is_old = |look: &&Look, age| now.saturating_duration_since(look.at) >= age;
        // Of a run that has just begun: what was there when it did.
        let look = self.0.iter().rev().find(|look| is_old(look, BEHIND)).or(self.0.front());
        let Some(look) = look.filter(|look| is_old(look, BEGINS)) else { return false };
        let then = look.places.get(index).and_then(|place| place.end);
        // A log that is shorter than it was is another one, or was cut: nothing follows from the earlier end.
        let comparable = then.zip(partition.end).filter(|(then, end)| then <= end);
        comparable.is_some_and(|(then, _)| partition.read.unwrap_or(0) < then)
    }

    /// By how many events a second the backlog has grown; negative if it shrinks.
    fn pace(&self, now: Instant, index: usize, partition: &PartitionStatus) -> Option<f64> {
        let lag = partition.lag_events? as f64;
        let look =
            self.0.iter().find(|look| look.places.get(index).is_some_and(|p| p.lag_events.is_some()))?;
        let elapsed = now.saturating_duration_since(look.at);
        let before = look.places.get(index)?.lag_events? as f64;
        (elapsed >= PACE).then(|| ((lag - before) / elapsed.as_secs_f64() * 10.0).round() / 10.0)
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
        trend.judge(now, 0, &mut partition);
        partition
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_in_the_log_ten_seconds_ago_and_is_not_read_is_a_backlog() {
        let (mut trend, began) = (Trend::new(), Instant::now());
        trend.note(began, &[at(0, 1_000)]);
        assert!(!judged(&trend, began, at(10, 1_000)).behind, "it has only begun");
        assert!(judged(&trend, began + BEGINS, at(10, 1_000)).behind);
        assert!(!judged(&trend, began + BEGINS, at(1_000, 1_400)).behind);
        for second in 1..=20 {
            trend.note(began + Duration::from_secs(second), &[at(second * 100, 1_000 + second * 100)]);
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
        let (mut trend, began) = (Trend::new(), Instant::now());
        trend.note(began, &[at(0, 1_000)]);
        let after = |seconds, partition| judged(&trend, began + Duration::from_secs(seconds), partition);
        assert_eq!(after(4, at(100, 1_000)).lag_per_second, None, "too soon to tell");
        let shrinks = after(10, at(100, 1_000));
        assert_eq!((shrinks.lag_per_second, shrinks.drain_seconds), (Some(-10.0), Some(90.0)));
        let grows = after(10, at(100, 2_300));
        assert_eq!((grows.lag_per_second, grows.drain_seconds), (Some(120.0), None));
        let gone = after(10, at(1_000, 1_000));
        assert_eq!((gone.lag_per_second, gone.drain_seconds), (Some(-100.0), None));
    }
}
