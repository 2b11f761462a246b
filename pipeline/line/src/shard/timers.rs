//! When a shard has to look at which broker again, and when the next tick over all of them is due.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

/// How often a shard looks for brokers that lag while intake is held: often enough that intake is not held long
/// beyond `spill_after`, seldom enough to cost nothing.
const TICK: Duration = Duration::from_millis(100);

/// One wake-up time per broker at most.
#[derive(Debug)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, usize)>,
    ticked: Instant,
}

impl Timers {
    pub(crate) fn new(now: Instant) -> Self {
        Self { due: BTreeSet::new(), ticked: now }
    }

    /// Moves broker `index` from its wake-up time `current` to `wake`.
    pub(crate) fn set(&mut self, index: usize, current: &mut Option<Instant>, wake: Option<Instant>) {
        if *current == wake {
            return;
        }
        if let Some(old) = current.take() {
            self.due.remove(&(old, index));
        }
        if let Some(new) = wake {
            self.due.insert((new, index));
        }
        *current = wake;
    }

    /// Takes out a broker whose time has come.
    pub(crate) fn due(&mut self, now: Instant) -> Option<usize> {
        let first = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&first);
        Some(first.1)
    }

    /// When to wake up next, given when the shard gives up. Intake may be held while a shard sleeps, so it never
    /// sleeps longer than a tick.
    pub(crate) fn next_wake(&self, give_up: Option<Instant>) -> Instant {
        let broker = self.due.first().map(|(at, _)| *at);
        // From the last look and not from now: a shard with enough to do never sleeps for so long.
        let tick = self.ticked + TICK;
        [broker, give_up].into_iter().flatten().fold(tick, Instant::min)
    }

    /// Whether it is time to look at all brokers; notes that it has been done.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        let due = now >= self.ticked + TICK;
        if due {
            self.ticked = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_broker_comes_due_once_in_the_order_of_their_times() {
        let (mut timers, now) = (Timers::new(Instant::now()), Instant::now());
        let at = |millis| Some(now + Duration::from_millis(millis));
        let (mut first, mut second, mut third) = (None, None, None);
        timers.set(1, &mut first, at(30));
        timers.set(2, &mut second, at(20));
        timers.set(3, &mut third, at(10));
        timers.set(1, &mut first, at(5));
        timers.set(3, &mut third, None);
        assert_eq!((first, third), (at(5), None));
        assert_eq!(timers.next_wake(None), now + Duration::from_millis(5));
        assert_eq!(timers.next_wake(at(3)), now + Duration::from_millis(3));
        assert_eq!(timers.due(now), None);
        let later = now + Duration::from_millis(20);
        assert_eq!((timers.due(later), timers.due(later), timers.due(later)), (Some(1), Some(2), None));
        assert_eq!(timers.next_wake(None), now + TICK, "a tick, if there is nothing else");
        tokio::time::advance(TICK / 2).await;
        assert_eq!(timers.next_wake(None), now + TICK, "also of a shard that is woken for other things");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_is_due_once_in_a_while() {
        let mut timers = Timers::new(Instant::now());
        assert!(!timers.tick(Instant::now()));
        tokio::time::advance(TICK).await;
        assert!(timers.tick(Instant::now()));
        assert!(!timers.tick(Instant::now()));
    }
}
