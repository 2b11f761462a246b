//! Forecasts when disk queues will be full, from their bytes every ten seconds.
//!
//! Uses five minutes at most, so that a forecast follows a change within that time. Keeps nothing of a broker without
//! a backlog on disk.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// The interval of samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// How many samples are kept: five minutes.
const SAMPLES_MAX: usize = 31;
/// The shortest time for a forecast, in seconds: over less, a short burst would look like a trend.
const SPAN_MIN: f64 = 30.0;
/// The longest forecast: 30 days, in seconds.
const FORECAST_MAX: f64 = 30.0 * 86_400.0;

/// Samples of the bytes on disk.
#[derive(Debug, Default)]
pub(super) struct Growth(VecDeque<Sample>);

#[derive(Debug)]
struct Sample {
    at: Instant,
    total: u64,
    of: FxHashMap<Arc<str>, u64>,
}

/// The fill level of a queue: its bytes and its bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) bytes: u64,
    pub(super) most: u64,
}

impl Growth {
    /// Takes a sample of each broker's bytes, if that is due.
    pub(super) fn record(&mut self, now: Instant, bytes: impl Iterator<Item = (Arc<str>, u64)>) {
        if self.0.back().is_some_and(|last| now.saturating_duration_since(last.at) < SAMPLE_EVERY) {
            return;
        }
        if self.0.len() == SAMPLES_MAX {
            self.0.pop_front();
        }
        let of: FxHashMap<Arc<str>, u64> = bytes.filter(|(_, bytes)| *bytes > 0).collect();
        self.0.push_back(Sample { at: now, total: of.values().sum(), of });
    }

    /// In how many seconds `broker`'s own queue, or all of them together, will be full at the present pace; none if
    /// its queue does not grow, or not before the longest forecast.
    pub(super) fn full_in(&self, broker: &str, own: Level, all: Level, now: Instant) -> Option<f64> {
        let before = self.0.front()?;
        let elapsed = now.saturating_duration_since(before.at).as_secs_f64();
        let left = |level: Level, before: u64| {
            let grown = level.bytes.checked_sub(before).filter(|grown| *grown > 0)?;
            let pace = grown as f64 / elapsed;
            Some(level.most.saturating_sub(level.bytes) as f64 / pace)
        };
        let own = left(own, before.of.get(broker).copied().unwrap_or(0))?;
        let soonest = left(all, before.total).map_or(own, |all| all.min(own));
        (elapsed >= SPAN_MIN && soonest <= FORECAST_MAX).then_some(soonest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A level at which nothing is ever full.
    const WIDE: Level = Level { bytes: 0, most: u64::MAX };

    fn at(bytes: u64) -> Level {
        Level { bytes, most: 10_000 }
    }

    fn after(seconds: u64, from: Instant) -> Instant {
        from + Duration::from_secs(seconds)
    }

    #[test]
    fn a_queue_that_grows_is_full_in_a_time_that_its_pace_tells() {
        let (mut growth, start) = (Growth::default(), Instant::now());
        growth.record(start, [("bolt".into(), 1_000), ("acme".into(), 500)].into_iter());
        let told = |seconds, bytes| growth.full_in("bolt", at(bytes), WIDE, after(seconds, start));
        assert_eq!(told(29, 2_000), None, "too soon to tell");
        assert_eq!(told(100, 2_000), Some(800.0));
        assert_eq!(told(100, 1_000), None, "it does not grow");
        assert_eq!(told(100, 10), None, "it drains");
        assert_eq!(told(100, 11_000), Some(0.0), "it is full");
        let new = growth.full_in("new", at(5_000), WIDE, after(50, start));
        assert_eq!(new, Some(50.0), "one that had nothing then");
        let far = Level { bytes: 1_001, most: u64::MAX };
        assert_eq!(growth.full_in("bolt", far, WIDE, after(100, start)), None);
    }

    #[test]
    fn what_all_take_together_may_be_full_before_a_brokers_own() {
        let (mut growth, start) = (Growth::default(), Instant::now());
        growth.record(start, [("bolt".into(), 1_000), ("acme".into(), 1_000)].into_iter());
        let all = Level { bytes: 4_000, most: 5_000 };
        assert_eq!(growth.full_in("bolt", at(2_000), all, after(100, start)), Some(50.0));
        assert_eq!(
            growth.full_in("acme", at(1_000), all, after(100, start)),
            None,
            "it is not the one that grows"
        );
    }

    #[test]
    fn the_pace_is_that_of_the_last_five_minutes() {
        let (mut growth, start) = (Growth::default(), Instant::now());
        for seconds in 0..1_000 {
            let bytes = if seconds < 500 { seconds * 10 } else { 5_000 };
            growth.record(after(seconds, start), [("bolt".into(), bytes)].into_iter());
        }
        assert_eq!(growth.0.len(), SAMPLES_MAX);
        assert_eq!(growth.full_in("bolt", at(5_000), WIDE, after(1_000, start)), None);
    }
}
