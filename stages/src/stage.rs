//! The stage: an async function on one payload, and the composition of two.
//!
//! A stage knows nothing of streams, queues, order or concurrency: those are in the line. It takes one payload by
//! value and returns the next, or an [`Exit`](crate::models::Exit). `then` works like `?`: an exit leaves the chain
//! at once.

use std::{future::Future, sync::Arc};

use state::Histogram;
use tokio::time::Instant;

use crate::models::Step;

/// One step of the line.
///
/// The contract: `run` may be called many times at once; it keeps no payload after it returns; dropping the future
/// at any await point abandons the payload and nothing else. A stage that waits does so on tokio's clock, so that a
/// test can pause it.
pub trait Stage: Send + Sync + 'static {
    /// The input.
    type In: Send;
    /// The output.
    type Out: Send;

    /// Takes one payload through the stage.
    fn run(&self, input: Self::In) -> impl Future<Output = Step<Self::Out>> + Send;

    /// This stage followed by `next`, whose input must be this stage's output.
    fn then<Next>(self, next: Next) -> Then<Self, Next>
    where
        Self: Sized,
        Next: Stage<In = Self::Out>,
    {
        Then { first: self, next }
    }

    /// This stage with its durations recorded in `times`.
    fn timed(self, times: &Arc<Histogram>) -> Timed<Self>
    where
        Self: Sized,
    {
        Timed { stage: self, times: times.clone() }
    }
}

/// Two stages as one, made by [`Stage::then`].
#[derive(Clone, Debug)]
pub struct Then<First, Next> {
    first: First,
    next: Next,
}

impl<First, Next> Stage for Then<First, Next>
where
    First: Stage,
    Next: Stage<In = First::Out>,
{
    type In = First::In;
    type Out = Next::Out;

    async fn run(&self, input: Self::In) -> Step<Self::Out> {
        self.next.run(self.first.run(input).await?).await
    }
}

/// A stage whose durations are recorded; made by [`Stage::timed`]. Costs two readings of the
/// clock and two atomic additions per payload.
#[derive(Clone, Debug)]
pub struct Timed<S> {
    stage: S,
    times: Arc<Histogram>,
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
