//! The times in which the machine, or the simulator, stood still: a clock that is looked at often was not looked at then.
//! No time that was taken meanwhile is to be trusted.

use std::{convert::Infallible, ops::Range, time::Duration};

use tokio::time::sleep;

use crate::traffic::RunClock;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(20);
/// From how many milliseconds between two looks on it was a stall: twice the least the oracle allows for in its times,
/// and five times what was asked for.
const STALL_MIN_MS: u64 = 100;

/// The stalls of one run, in milliseconds from its start; in order, none within another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stalls(Vec<Range<u64>>);

impl Stalls {
    /// Watches for stalls until it is dropped. It keeps at most ten a second: that is how long each takes.
    pub(crate) async fn watch(&mut self, clock: &RunClock) -> Infallible {
        let mut last_ms = clock.now_ms();
        loop {
            sleep(TICK).await;
            let now_ms = clock.now_ms();
            self.look(last_ms, now_ms);
            last_ms = now_ms;
        }
    }

    /// Two looks that followed each other.
    pub(super) fn look(&mut self, last_ms: u64, now_ms: u64) {
        if now_ms.saturating_sub(last_ms) >= STALL_MIN_MS {
            self.0.push(last_ms..now_ms);
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    /// For how many milliseconds of `time` it stood still.
    #[must_use]
    pub fn within(&self, time: &Range<u64>) -> u64 {
        let first = self.0.partition_point(|stall| stall.end <= time.start);
        let touching = self.0[first..].iter().take_while(|stall| stall.start < time.end);
        touching.map(|stall| stall.end.min(time.end) - stall.start.max(time.start)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_much_longer_than_a_tick_is_a_stall() {
        let mut stalls = Stalls::default();
        stalls.look(0, 99);
        stalls.look(99, 199);
        stalls.look(199, 219);
        stalls.look(300, 900);
        assert_eq!(stalls.iter().cloned().collect::<Vec<_>>(), [99..199, 300..900]);
    }

    #[test]
    fn what_of_a_time_was_spent_standing_still_is_summed() {
        let stalls = Stalls(vec![100..200, 300..900]);
        let within = |from, to| stalls.within(&(from..to));
        assert_eq!((within(0, 100), within(200, 300), within(900, 1_000)), (0, 0, 0));
        assert_eq!((within(150, 160), within(150, 301), within(0, 2_000)), (10, 51, 700));
        assert_eq!(within(u64::MAX, u64::MAX), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_looked_at_in_time_knows_of_no_stall() {
        let (clock, mut stalls) = (RunClock::default(), Stalls::default());
        clock.begin();
        let second = sleep(Duration::from_secs(1));
        tokio::select! { () = second => {}, never = stalls.watch(&clock) => match never {} }
        assert_eq!(stalls, Stalls::default());
        let stands_still = async {
            sleep(Duration::from_millis(10)).await;
            tokio::time::advance(Duration::from_millis(400)).await;
            sleep(Duration::from_millis(50)).await;
        };
        tokio::select! { () = stands_still => {}, never = stalls.watch(&clock) => match never {} }
        let found: Vec<_> = stalls.iter().map(|stall| stall.end - stall.start).collect();
        assert_eq!(found.len(), 1, "{stalls:?}");
        assert!(found[0] >= 400, "{stalls:?}");
    }
}
