//! How fast a broker's deliveries are being finished: tells a queue that is long for a moment from one that will stay
//! long.

use std::time::Duration;

use tokio::time::Instant;

/// The time over which deliveries are counted: long beside one answer and one commit, short beside `spill_after`.
const WINDOW: Duration = Duration::from_millis(100);

/// Finished deliveries, counted in windows.
#[derive(Debug)]
pub(crate) struct CompletionRate {
    since: Instant,
    finished: u32,
    /// Deliveries a second in the last whole window; none before the first.
    rate: Option<f64>,
}

impl CompletionRate {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, finished: 0, rate: None }
    }

    /// A delivery begins after nothing was running: the time until now says nothing of the broker.
    pub(crate) fn resume(&mut self, now: Instant) {
        *self = Self { since: now, finished: 0, rate: self.rate };
    }

    /// A delivery has ended.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.finished += 1;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            *self = Self {
                since: now,
                finished: 0,
                rate: Some(f64::from(self.finished) / elapsed.as_secs_f64()),
            };
        }
    }

    /// How long `waiting` deliveries take at the present pace: no time if there are none, however long nothing has been
    /// finished; zero while the pace is not known, which is for one window.
    pub(crate) fn time_for(&self, waiting: usize, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.since);
        let rate = if elapsed >= WINDOW {
            Some(f64::from(self.finished) / elapsed.as_secs_f64())
        } else {
            self.rate
        };
        match rate {
            None => Duration::ZERO,
            Some(_) if waiting == 0 => Duration::ZERO,
            Some(rate) => Duration::try_from_secs_f64(waiting as f64 / rate).unwrap_or(Duration::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_at_a_fast_broker_is_short_and_the_same_queue_at_a_slow_one_is_long() {
        let mut meter = CompletionRate::new(Instant::now());
        assert_eq!(meter.time_for(1_000, Instant::now()), Duration::ZERO, "not known yet");
        for _ in 0..200 {
            tokio::time::advance(Duration::from_millis(1)).await;
            meter.finish(Instant::now());
        }
        let fast = meter.time_for(1_000, Instant::now());
        assert!((Duration::from_millis(900)..Duration::from_millis(1_100)).contains(&fast), "{fast:?}");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(
            meter.time_for(1_000, Instant::now()),
            Duration::MAX,
            "nothing finished for three seconds"
        );
        meter.resume(Instant::now());
        assert_eq!(meter.time_for(1_000, Instant::now()), fast, "a pause without work is not slowness");
    }
}
