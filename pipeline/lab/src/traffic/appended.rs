//! Which records of a run's traffic have been appended, and when: a busy machine appends late, and nobody else is to be
//! blamed for that.

use std::sync::Arc;

use parking_lot::Mutex;

/// What has been appended so far. A log of several partitions takes records out of the traffic's order.
#[derive(Clone, Debug, Default)]
pub struct Appended(Arc<Mutex<Times>>);

#[derive(Debug, Default)]
struct Times {
    /// When each record was appended; none if it was not yet. Those behind the last one that was are left out.
    at_ms: Vec<Option<u64>>,
    count: usize,
}

impl Appended {
    /// How many records.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().count
    }

    /// When the record at `place` was appended, in milliseconds from the start of the run.
    #[must_use]
    pub fn at_ms(&self, place: usize) -> Option<u64> {
        self.0.lock().at_ms.get(place).copied().flatten()
    }

    /// When each record was appended, in the traffic's order; none, or nothing at its place, if it was not yet.
    #[must_use]
    pub fn times(&self) -> Vec<Option<u64>> {
        self.0.lock().at_ms.clone()
    }

    /// So many more were appended at `at_ms`, in the traffic's order.
    pub(crate) fn add(&self, count: usize, at_ms: u64) {
        let mut times = self.0.lock();
        let len = times.at_ms.len() + count;
        times.at_ms.resize(len, Some(at_ms));
        times.count += count;
    }

    /// The records at `places` were appended at `at_ms`.
    pub(crate) fn mark(&self, places: &[usize], at_ms: u64) {
        let mut times = self.0.lock();
        for &place in places {
            let len = times.at_ms.len().max(place + 1);
            times.at_ms.resize(len, None);
            times.count += usize::from(times.at_ms[place].replace(at_ms).is_none());
        }
    }
}
