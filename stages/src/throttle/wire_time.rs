//! Bounds how long requests are on the wire: what a part of one concurrent request means.
//!
//! Guarantee: in any stretch of time the requests that were begun by permission take at most `per_second` seconds for each second
//! in the mean, and besides what was on the wire at its beginning and its end. The formula is that of GCRA, with the time
//! that a request took as its cost.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The longest time that one request is paid for.
const COSTS_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Time on the wire, and when what was taken of it is paid for.
#[derive(Debug)]
pub(super) struct WireTime {
    per_second: f64,
    paid_at: Mutex<Instant>,
}

impl WireTime {
    /// `per_second` seconds a second.
    pub(super) fn new(per_second: f64) -> Self {
        Self { per_second, paid_at: Mutex::new(Instant::now()) }
    }

    /// Seconds a second.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// A request has ended that took so long.
    pub(super) fn spend(&self, took: Duration) {
        let began = Instant::now() - took;
        let mut paid_at = self.paid_at.lock();
        *paid_at = (*paid_at).max(began) + self.costs(took);
    }

    /// When the next request may begin.
    pub(super) fn free_at(&self) -> Instant {
        *self.paid_at.lock()
    }

    /// What is not paid for yet, as time on the wire.
    pub(super) fn owed(&self) -> Duration {
        self.free_at().saturating_duration_since(Instant::now()).mul_f64(self.per_second.min(1.0))
    }

    /// Takes over what another owes. For one that is not in use yet.
    pub(super) fn owe(&self, owed: Duration) {
        *self.paid_at.lock() = Instant::now() + self.costs(owed);
    }

    fn costs(&self, took: Duration) -> Duration {
        let costs = Duration::try_from_secs_f64(took.as_secs_f64() / self.per_second);
        costs.unwrap_or(COSTS_MAX).min(COSTS_MAX)
    }
}
