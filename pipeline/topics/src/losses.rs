//! The losses of a run: what a log no longer had when it was to be read. They outlive the partitions' own counts, which go
//! when a partition is given up.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use state::{UnixMillis, timestamp};

/// How many losses are kept as text; all are counted.
const TEXTS_MAX: usize = 16;

/// The losses of all partitions in this run.
#[derive(Debug, Default)]
pub struct Losses {
    count: AtomicU64,
    last: Mutex<VecDeque<Loss>>,
}

#[derive(Debug)]
struct Loss {
    source: Arc<str>,
    at: UnixMillis,
    what: String,
}

impl Losses {
    /// Records that `what` of `source` was found lost at `at`. The same one found again, as when a partition comes back,
    /// is one.
    pub fn add(&self, source: &Arc<str>, at: UnixMillis, what: String) {
        let mut last = self.last.lock();
        if last.iter().any(|loss| loss.source == *source && loss.what == what) {
            return;
        }
        self.count.fetch_add(1, Relaxed);
        if last.len() == TEXTS_MAX {
            last.pop_front();
        }
        last.push_back(Loss { source: Arc::clone(source), at, what });
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// The last 16, each in one phrase with its time and its source.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let text = |loss: &Loss| format!("{}: {}: {}", timestamp::text(loss.at), loss.source, loss.what);
        self.last.lock().iter().map(text).collect()
    }

    /// Those of them that are of `source`, without its name.
    #[must_use]
    pub fn of(&self, source: &str) -> Vec<String> {
        let last = self.last.lock();
        let of = last.iter().filter(|loss| *loss.source == *source);
        of.map(|loss| format!("{}: {}", timestamp::text(loss.at), loss.what)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_the_last_are_kept_and_the_same_is_one() {
        let (losses, zero) = (Losses::default(), Arc::from("kafka:t/0"));
        for number in [0..20, 19..20].into_iter().flatten() {
            losses.add(&zero, 1_000, format!("records {number}"));
        }
        losses.add(&Arc::from("kafka:t/1"), 2_000, "records 19".to_owned());
        assert_eq!((losses.count(), losses.texts().len(), losses.of("kafka:t/0").len()), (21, 16, 15));
        assert_eq!(losses.of("kafka:t/1"), ["1970-01-01T00:00:02Z: records 19"]);
        assert_eq!(losses.texts()[15], "1970-01-01T00:00:02Z: kafka:t/1: records 19");
    }
}
