//! Counts durations by fixed upper bounds. Adding one costs two atomic additions: no allocation, no lock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How many upper bounds a histogram has.
pub const BUCKETS: usize = 16;

/// The upper bounds of a histogram's buckets, each inclusive, and their unit. Longer durations are in the total count
/// alone.
#[derive(Debug)]
struct Scale {
    /// Units in a second.
    per_second: u64,
    bounds: [u64; BUCKETS],
}

/// From one commit to a broker that was away for a day, in milliseconds.
const DELIVERY: Scale = Scale {
    per_second: 1_000,
    bounds: [
        5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000,
        86_400_000,
    ],
};

/// From a look into memory to an exchange with a slow receiver, in microseconds.
const STEP: Scale = Scale {
    per_second: 1_000_000,
    bounds: [
        5, 10, 25, 100, 250, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000,
        10_000_000, 60_000_000,
    ],
};

/// Durations by length.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    /// One for each bound, and one for longer durations.
    buckets: [AtomicU64; BUCKETS + 1],
    sum: AtomicU64,
}

/// A reading of a histogram. Each number is exact; read under load they may differ by a few.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    /// How many durations were at most each bound, in seconds.
    pub at_most: [(f64, u64); BUCKETS],
    /// The number of durations.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// For single steps: 5 µs to a minute, in microseconds.
    #[must_use]
    pub fn of_steps() -> Self {
        Self::new(&STEP)
    }

    fn new(scale: &'static Scale) -> Self {
        Self { scale, buckets: Default::default(), sum: AtomicU64::new(0) }
    }

    /// Adds a duration.
    pub fn note(&self, duration: Duration) {
        // A delivery that takes 500,000 years is counted as one that takes that long.
        let units = match self.scale.per_second {
            1_000 => duration.as_millis(),
            _ => duration.as_micros(),
        };
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        let bucket = self.scale.bounds.partition_point(|bound| *bound < units);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(units, Ordering::Relaxed);
    }

    /// Its counts now.
    #[must_use]
    pub fn read(&self) -> Latency {
        let seconds = |units: u64| units as f64 / self.scale.per_second as f64;
        let mut count = 0;
        let mut at_most = self.scale.bounds.map(|bound| (seconds(bound), 0));
        for (bucket, noted) in self.buckets.iter().enumerate() {
            count += noted.load(Ordering::Relaxed);
            if let Some((_, at_most)) = at_most.get_mut(bucket) {
                *at_most = count;
            }
        }
        Latency { at_most, count, sum: seconds(self.sum.load(Ordering::Relaxed)) }
    }
}

/// For whole deliveries: 5 ms to a day, in milliseconds.
impl Default for Histogram {
    fn default() -> Self {
        Self::new(&DELIVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_its_bucket_and_all_longer_ones() {
        let histogram = Histogram::default();
        for millis in [0, 5, 6, 86_400_000, 86_400_001] {
            histogram.note(Duration::from_millis(millis));
        }
        let read = histogram.read();
        assert_eq!((read.at_most[0], read.at_most[1]), ((0.005, 2), (0.01, 3)));
        assert_eq!((read.at_most[14], read.at_most[15]), ((3_600.0, 3), (86_400.0, 4)));
        assert_eq!((read.count, read.sum), (5, 172_800.012));
    }

    #[test]
    fn a_step_is_noted_in_microseconds() {
        let histogram = Histogram::of_steps();
        histogram.note(Duration::from_nanos(5_999));
        histogram.note(Duration::from_micros(25));
        let read = histogram.read();
        assert_eq!((read.at_most[0], read.at_most[1], read.at_most[2]), ((5e-6, 1), (1e-5, 1), (2.5e-5, 2)));
        assert_eq!(read.sum, 3e-5);
    }

    #[test]
    fn the_bounds_of_a_scale_grow() {
        for scale in [DELIVERY, STEP] {
            assert!(scale.bounds.is_sorted_by(|shorter, longer| shorter < longer));
        }
    }
}
