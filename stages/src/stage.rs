//! The stage: an async function on one payload, and how two of them become one.
//!
//! A stage knows nothing of streams, queues, order or concurrency: those live in the line. It takes one payload by
//! value and gives the next, or an [`Exit`](crate::models::Exit). `then` is `?`: an exit leaves the chain at once.

use std::{future::Future, sync::Arc};

use state::Histogram;

use crate::{models::Step, timed::Timed};

/// One step of the line.
///
/// The contract: `run` may be called many times at once; it keeps no payload after it returns; dropping the future
/// at any await point abandons the payload and nothing else. A stage that waits does so on tokio's clock, so that a
/// test can pause it.
pub trait Stage: Send + Sync + 'static {
    /// What enters.
    type In: Send;
    /// What leaves.
    type Out: Send;

    /// Takes one payload through the stage.
    fn run(&self, input: Self::In) -> impl Future<Output = Step<Self::Out>> + Send;

    /// This stage followed by `next`; the payloads must meet.
    fn then<Next>(self, next: Next) -> Then<Self, Next>
    where
        Self: Sized,
        Next: Stage<In = Self::Out>,
    {
        Then { first: self, next }
    }

    /// This stage with its times noted in `times`.
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
