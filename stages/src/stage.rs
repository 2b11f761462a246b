//! The stage: an async function on one payload, and the composition of two.
//!
//! A stage knows nothing of streams, queues, order or concurrency: those are in the line. It takes one payload by
//! value and returns the next, or an [`Exit`](crate::models::Exit). `then` works like `?`: an exit leaves the chain
//! at once.

use std::{future::Future, sync::Arc};

use state::Histogram;

use crate::{models::Step, timed::Timed};

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
        Timed::new(self, times.clone())
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
