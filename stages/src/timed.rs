//! Measures how long a stage takes, whether it returns the next payload or an exit. Costs two readings of the clock
//! and two atomic additions per payload.

use std::sync::Arc;

use state::Histogram;
use tokio::time::Instant;

use crate::{models::Step, stage::Stage};

/// A stage whose durations are recorded; made by [`Stage::timed`].
#[derive(Clone, Debug)]
pub struct Timed<S> {
    stage: S,
    times: Arc<Histogram>,
}

impl<S> Timed<S> {
    pub(crate) fn new(stage: S, times: Arc<Histogram>) -> Self {
        Self { stage, times }
    }
}

impl<S: Stage> Stage for Timed<S> {
    type In = S::In;
    type Out = S::Out;

    async fn run(&self, input: S::In) -> Step<S::Out> {
        let started = Instant::now();
        let step = self.stage.run(input).await;
        self.times.note(started.elapsed());
        step
    }
}

/// How long each stage takes, over all brokers.
#[derive(Debug)]
pub struct StageTimes {
    /// Decoding a record.
    pub decode: Arc<Histogram>,
    /// Validating an event.
    pub validate: Arc<Histogram>,
    /// Routing an event.
    pub route: Arc<Histogram>,
    /// Deduplicating a delivery, including the wait for another one of the same event.
    pub dedupe: Arc<Histogram>,
    /// Waiting for the broker's quota.
    pub throttle: Arc<Histogram>,
    /// One exchange with the receiver, whatever its outcome.
    pub deliver: Arc<Histogram>,
    /// From a verdict to its being durable.
    pub ack: Arc<Histogram>,
}

impl StageTimes {
    /// Every stage's name and times, in the order of the line.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &Histogram); 7] {
        [
            ("decode", &self.decode),
            ("validate", &self.validate),
            ("route", &self.route),
            ("dedupe", &self.dedupe),
            ("throttle", &self.throttle),
            ("deliver", &self.deliver),
            ("ack", &self.ack),
        ]
    }
}

impl Default for StageTimes {
    fn default() -> Self {
        let steps = || Arc::new(Histogram::of_steps());
        Self {
            decode: steps(),
            validate: steps(),
            route: steps(),
            dedupe: steps(),
            throttle: steps(),
            deliver: steps(),
            ack: steps(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::models::{Exit, Verdict};

    /// Waits as long as it is told, and gives nothing on.
    struct Wait;

    impl Stage for Wait {
        type In = Duration;
        type Out = ();

        async fn run(&self, time: Duration) -> Step<()> {
            tokio::time::sleep(time).await;
            if time.is_zero() { Err(Exit::Verdict(Verdict::Unrouted)) } else { Ok(()) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stages_time_is_noted_whether_it_gives_something_on_or_not() {
        let times = Arc::new(Histogram::of_steps());
        let stage = Wait.timed(&times);
        stage.run(Duration::from_millis(250)).await.unwrap();
        stage.run(Duration::ZERO).await.unwrap_err();
        let read = times.read();
        assert_eq!((read.count, read.sum), (2, 0.25));
    }
}
