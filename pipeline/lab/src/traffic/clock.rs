//! The clock of a run: times in milliseconds from its start.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;

/// The clock of a run: its zero is set when the run begins; before, it stands at zero.
#[derive(Clone, Debug, Default)]
pub struct RunClock(Arc<OnceLock<Instant>>);

impl RunClock {
    /// The run begins now; the first call counts.
    pub fn begin(&self) {
        self.0.get_or_init(Instant::now);
    }

    /// Milliseconds since the run began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.at_ms(Instant::now())
    }

    /// Milliseconds from the beginning of the run to `at`; zero if it was before.
    #[must_use]
    pub fn at_ms(&self, at: Instant) -> u64 {
        self.0.get().map_or(0, |start| millis(at.saturating_duration_since(*start)))
    }
}

/// A time of a run in whole milliseconds, the unit of everything that is kept of one.
#[must_use]
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
