//! When a shard has to look at which broker again, and at all of them while intake is held.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

/// How often a shard looks for brokers that lag while intake is held: often enough that intake is not held long
/// beyond `spill_after`, seldom enough to cost nothing.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// One wake-up time per broker at most.
#[derive(Debug)]
pub(super) struct Timers {
    due: BTreeSet<(Instant, usize)>,
    looked_around: Instant,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self { due: BTreeSet::new(), looked_around: Instant::now() }
    }

    /// Moves broker `index` from its wake-up time `current` to `wake`.
    pub(super) fn set(&mut self, index: usize, current: &mut Option<Instant>, wake: Option<Instant>) {
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
    pub(super) fn due(&mut self, now: Instant) -> Option<usize> {
        let first = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&first);
        Some(first.1)
    }

    /// When to wake up next, given when the shard gives up. Intake may be held while a shard sleeps, so it never
    /// sleeps longer than a look-around.
    pub(super) fn next_wake(&self, give_up: Option<Instant>) -> Instant {
        let broker = self.due.first().map(|(at, _)| *at);
        // From the last look and not from now: a shard with enough to do never sleeps for so long.
        let around = self.looked_around + LOOK_AROUND;
        [broker, give_up].into_iter().flatten().fold(around, Instant::min)
    }

    /// Whether it is time to look at all brokers; notes that it has been done.
    pub(super) fn look_around(&mut self, now: Instant) -> bool {
        let due = now >= self.looked_around + LOOK_AROUND;
        if due {
            self.looked_around = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_broker_comes_due_once_in_the_order_of_their_times() {
        let (mut timers, now) = (Timers::new(), Instant::now());
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
        assert_eq!(timers.next_wake(None), now + LOOK_AROUND, "a look-around, if there is nothing else");
        tokio::time::advance(LOOK_AROUND / 2).await;
        assert_eq!(
            timers.next_wake(None),
            now + LOOK_AROUND,
            "also of a shard that is woken for other things"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_around_is_due_once_in_a_while() {
        let mut timers = Timers::new();
        assert!(!timers.look_around(Instant::now()));
        tokio::time::advance(LOOK_AROUND).await;
        assert!(timers.look_around(Instant::now()));
        assert!(!timers.look_around(Instant::now()));
    }
}
