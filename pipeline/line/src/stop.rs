//! The wish to stop: given once by a signal or a caller, seen by every part of the line.
//!
//! Whoever waits is told in the order of waiting, so that a run can be repeated; a watch channel tells them in a random one.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::sync::Notify;

/// How urgently to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not at all.
    Run,
    /// Take nothing in, finish what is on the wire, put the rest on disk.
    Drain,
    /// Finish nothing: what is on record stays, what is not is read again by the next run.
    Now,
}

#[derive(Debug)]
struct Wish {
    level: AtomicU8,
    changed: Notify,
}

/// Gives the wish.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Wish>);

/// Sees the wish.
#[derive(Clone, Debug)]
pub struct Stop {
    wish: Arc<Wish>,
    /// What [`Stop::changed`] has reported.
    reported: Level,
}

/// A wish that has not been given yet, and those who can give it and see it.
#[must_use]
pub fn stop() -> (Stopper, Stop) {
    let wish = Arc::new(Wish { level: AtomicU8::new(Level::Run as u8), changed: Notify::new() });
    (Stopper(wish.clone()), Stop { wish, reported: Level::Run })
}

impl Wish {
    fn level(&self) -> Level {
        match self.level.load(Ordering::SeqCst) {
            0 => Level::Run,
            1 => Level::Drain,
            _ => Level::Now,
        }
    }
}

impl Stopper {
    /// Asks to stop; a wish is never taken back or made less urgent.
    pub fn ask(&self, level: Level) {
        if self.0.level.fetch_max(level as u8, Ordering::SeqCst) < level as u8 {
            self.0.changed.notify_waiters();
        }
    }
}

impl Stop {
    /// How urgent it is now.
    #[must_use]
    pub fn level(&self) -> Level {
        self.wish.level()
    }

    /// Returns once there is a wish to stop that this handle has not reported yet; never if nobody can give one.
    pub async fn changed(&mut self) -> Level {
        let level = self.above(self.reported).await;
        self.reported = level;
        level
    }

    /// Returns once there is a wish to stop.
    pub async fn asked(&mut self) -> Level {
        self.above(Level::Run).await
    }

    /// Returns once the wish is more urgent than `level`.
    async fn above(&self, level: Level) -> Level {
        loop {
            // Before the look: a wish that comes after it is told.
            let changed = self.wish.changed.notified();
            let now = self.wish.level();
            if now > level {
                return now;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_wish_becomes_more_urgent_but_never_less() {
        let (stopper, mut stop) = stop();
        assert_eq!((stop.level(), stop.changed().now_or_never()), (Level::Run, None));
        assert_eq!(stop.asked().now_or_never(), None);
        stopper.ask(Level::Drain);
        stopper.ask(Level::Drain);
        assert_eq!((stop.changed().await, stop.changed().now_or_never()), (Level::Drain, None), "told once");
        stopper.ask(Level::Now);
        stopper.ask(Level::Drain);
        assert_eq!((stop.changed().await, stop.level()), (Level::Now, Level::Now));
        assert_eq!(stop.changed().now_or_never(), None);
        assert_eq!((stop.asked().await, stop.asked().await), (Level::Now, Level::Now), "told whenever asked");
    }

    #[tokio::test]
    async fn every_handle_is_told_also_one_made_later_and_one_that_asks_late() {
        let (stopper, stop) = stop();
        let (mut early, mut late) = (stop.clone(), stop.clone());
        stopper.clone().ask(Level::Now);
        drop(stopper);
        assert_eq!(
            (early.changed().await, late.asked().await, stop.clone().asked().await),
            (Level::Now, Level::Now, Level::Now)
        );
    }

    #[tokio::test]
    async fn nobody_left_to_ask_is_no_wish() {
        let (stopper, mut stop) = stop();
        drop(stopper);
        assert_eq!((stop.changed().now_or_never(), stop.asked().now_or_never()), (None, None));
    }
}
