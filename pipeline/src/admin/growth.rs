//! How fast disk queues grow: their bytes enter every ten seconds, in how long they are full leaves.
//!
//! Looks back five minutes at most, so that a forecast follows a change within that time; keeps nothing of a broker with
//! nothing on disk.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// How often the bytes are noted.
const EVERY: Duration = Duration::from_secs(10);
/// For how many such times they are kept: five minutes.
const KEPT: usize = 31;
/// Over less time the pace of a moment would be taken for one that lasts.
const LEAST: f64 = 30.0;
/// What is further off is no news: 30 days, in seconds.
const MOST: f64 = 30.0 * 86_400.0;

/// The bytes on disk at some earlier moments.
#[derive(Debug, Default)]
pub(super) struct Growth(VecDeque<Noted>);

#[derive(Debug)]
struct Noted {
    at: Instant,
    total: u64,
    of: FxHashMap<Arc<str>, u64>,
}

/// How full something is: its bytes, and the most they may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) bytes: u64,
    pub(super) most: u64,
}

impl Growth {
    /// Notes the bytes of each broker, if it is time for that.
    pub(super) fn note(&mut self, now: Instant, bytes: impl Iterator<Item = (Arc<str>, u64)>) {
        if self.0.back().is_some_and(|last| now.saturating_duration_since(last.at) < EVERY) {
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let of: FxHashMap<Arc<str>, u64> = bytes.filter(|(_, bytes)| *bytes > 0).collect();
        self.0.push_back(Noted { at: now, total: of.values().sum(), of });
    }

    /// In how many seconds there is no room for `broker` any more, in its own queue or in all of them together, at the
    /// present pace; none if its queue does not grow, or that is far off.
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
        (elapsed >= LEAST && soonest <= MOST).then_some(soonest)
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
        growth.note(start, [("bolt".into(), 1_000), ("acme".into(), 500)].into_iter());
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
        growth.note(start, [("bolt".into(), 1_000), ("acme".into(), 1_000)].into_iter());
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
            growth.note(after(seconds, start), [("bolt".into(), bytes)].into_iter());
        }
        assert_eq!(growth.0.len(), KEPT);
        assert_eq!(growth.full_in("bolt", at(5_000), WIDE, after(1_000, start)), None);
    }
}
