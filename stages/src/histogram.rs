//! How long deliveries took: durations enter one by one, counts by fixed bounds leave. Two atomic additions for each.

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bounds of the buckets, in milliseconds, each inclusive: from one commit to a broker that was away for a
/// day. Longer ones are in the count alone.
pub const BUCKETS: [u64; 14] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000, 600_000, 3_600_000, 86_400_000];

/// Durations by length.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for what is longer.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    sum: AtomicU64,
}

/// What a histogram held at one moment; each number is exact, together they may be a few apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many were at most as long as each of [`BUCKETS`].
    pub at_most: [u64; BUCKETS.len()],
    /// How many there were.
    pub count: u64,
    /// All together, in milliseconds.
    pub sum: u64,
}

impl Histogram {
    /// Adds a duration, in milliseconds.
    pub fn note(&self, millis: u64) {
        let bucket = BUCKETS.partition_point(|bound| *bound < millis);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(millis, Ordering::Relaxed);
    }

    /// What it holds.
    #[must_use]
    pub fn read(&self) -> Latency {
        let mut read = Latency { sum: self.sum.load(Ordering::Relaxed), ..Latency::default() };
        for (bucket, count) in self.buckets.iter().enumerate() {
            read.count += count.load(Ordering::Relaxed);
            if let Some(at_most) = read.at_most.get_mut(bucket) {
                *at_most = read.count;
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_its_bucket_and_all_longer_ones() {
        let histogram = Histogram::default();
        for millis in [0, 5, 6, 86_400_000, 86_400_001] {
            histogram.note(millis);
        }
        let read = histogram.read();
        assert_eq!((read.at_most[0], read.at_most[1], read.at_most[12], read.at_most[13]), (2, 3, 3, 4));
        assert_eq!((read.count, read.sum), (5, 172_800_012));
    }
}
