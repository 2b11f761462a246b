//! The wish to stop: given once by a signal or a caller, seen by every part of the line.

use tokio::sync::watch;

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

/// Gives the wish.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Level>);

/// Sees the wish.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Level>);

/// A wish that has not been given yet, and those who can give it and see it.
#[must_use]
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(Level::Run);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks to stop; a wish is never taken back or made less urgent.
    pub fn ask(&self, level: Level) {
        self.0.send_if_modified(|now| {
            let more = level > *now;
            *now = (*now).max(level);
            more
        });
    }
}

impl Stop {
    /// How urgent it is now.
    #[must_use]
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Returns once there is a wish to stop that this handle has not reported yet; never if nobody can give one.
    pub async fn changed(&mut self) -> Level {
        loop {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let level = *self.0.borrow_and_update();
            if level > Level::Run {
                return level;
            }
        }
    }

    /// Returns once there is a wish to stop.
    pub async fn asked(&mut self) -> Level {
        // Copied out of the guard at once: a guard held over an await would tie the line to one thread.
        let level = self.0.wait_for(|level| *level > Level::Run).await.map(|level| *level);
        match level {
            Ok(level) => level,
            Err(_) => std::future::pending().await,
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
