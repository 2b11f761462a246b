//! What a receiver remembers of the requests that came: how many, and when the first and the last, for each path. Noting
//! one takes no lock, so that the receiver stays faster than whoever is measured.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::process::clock::monotonic;

/// What came of a path, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalStats {
    /// Requests that came whole.
    pub count: u64,
    /// When the first one had come, in nanoseconds of the system's monotonic clock; 0 if none has.
    pub first: u64,
    /// When the last one had come.
    pub last: u64,
}

impl ArrivalStats {
    /// What came of all of these together.
    pub fn together(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().filter(|seen| seen.count > 0).fold(Self::default(), |sum, seen| Self {
            count: sum.count + seen.count,
            first: if sum.count == 0 { seen.first } else { sum.first.min(seen.first) },
            last: sum.last.max(seen.last),
        })
    }

    /// Requests a second between the first and the last.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        rate(self.count, self.first, self.last)
    }
}

/// Arrivals a second, between the first and the last: the first one begins the time, so it is not counted. None if there
/// are fewer than two, or no time was between them.
#[must_use]
fn rate(count: u64, first_nanos: u64, last_nanos: u64) -> Option<f64> {
    let nanos = last_nanos.checked_sub(first_nanos).filter(|nanos| *nanos > 0)?;
    let between = count.checked_sub(1).filter(|between| *between > 0)?;
    Some(between as f64 * 1e9 / nanos as f64)
}

#[derive(Debug, Default)]
struct PathStats {
    count: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
}

/// What came, by path: `/0`, `/1` and so on, and one slot for all others.
#[derive(Debug)]
pub struct Arrivals(Box<[PathStats]>);

impl Arrivals {
    /// Nothing has come yet; `paths` are told apart.
    #[must_use]
    pub fn new(paths: usize) -> Self {
        Self((0..=paths).map(|_| PathStats::default()).collect())
    }

    /// Notes that a request has come.
    pub fn note(&self, path: &str) {
        let others = self.0.len() - 1;
        let at = path.strip_prefix('/').and_then(|number| number.parse().ok()).unwrap_or(others);
        let Some(slot) = self.0.get(at.min(others)) else { return };
        let now = monotonic();
        // Whoever loses the race came within the same microsecond.
        let _set = slot.first.compare_exchange(0, now, Relaxed, Relaxed).is_ok();
        slot.last.fetch_max(now, Relaxed);
        slot.count.fetch_add(1, Relaxed);
    }

    /// Forgets everything; for when nothing is under way.
    pub fn reset(&self) {
        for slot in &self.0 {
            for part in [&slot.count, &slot.first, &slot.last] {
                part.store(0, Relaxed);
            }
        }
    }

    /// What came of each path, that of all others last.
    pub fn paths(&self) -> impl Iterator<Item = ArrivalStats> {
        self.0.iter().map(|slot| ArrivalStats {
            count: slot.count.load(Relaxed),
            first: slot.first.load(Relaxed),
            last: slot.last.load(Relaxed),
        })
    }

    /// What came of all paths.
    #[must_use]
    pub fn total(&self) -> ArrivalStats {
        ArrivalStats::together(self.paths())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_path_and_what_has_no_path_of_its_own_with_the_others() {
        let arrivals = Arrivals::new(2);
        ["/1", "/0", "/1", "/2", "/", "/x", "/99999999999999999999"]
            .iter()
            .for_each(|path| arrivals.note(path));
        assert_eq!(arrivals.paths().map(|seen| seen.count).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(arrivals.total().count, 7);
        arrivals.reset();
        assert_eq!(arrivals.total(), ArrivalStats::default());
    }

    #[test]
    fn the_first_of_all_is_the_earliest_and_the_last_the_latest() {
        let arrivals = Arrivals::new(2);
        ["/1", "/0", "/1"].iter().for_each(|path| arrivals.note(path));
        let seen: Vec<ArrivalStats> = arrivals.paths().collect();
        let total = arrivals.total();
        assert_eq!((total.first, total.last), (seen[1].first, seen[1].last));
        assert!(seen[1].first <= seen[0].first && seen[0].last <= seen[1].last);
        let (early, none) = (ArrivalStats { count: 3, first: 1_000, last: 2_000 }, ArrivalStats::default());
        let both = ArrivalStats::together([none, ArrivalStats { count: 2, first: 500, last: 1_500 }, early]);
        assert_eq!(both, ArrivalStats { count: 5, first: 500, last: 2_000 });
        assert_eq!(early.per_second(), Some(2e6));
    }

    #[test]
    fn a_rate_counts_what_came_after_the_first() {
        assert_eq!(rate(101, 5_000_000_000, 6_000_000_000), Some(100.0));
        assert_eq!(rate(1, 5, 5), None);
        assert_eq!(rate(9, 5, 5), None);
        assert_eq!(rate(9, 6, 5), None);
        assert_eq!(rate(0, 0, 0), None);
    }
}
