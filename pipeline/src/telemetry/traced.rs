//! An attempt that is traced: what enters and leaves is the attempt's own; beside it a span leaves for each attempt of a
//! sampled trace, and the receiver is told of it.

use std::sync::Arc;

use stages::{
    Stage,
    models::{Attempt, Permitted, Step},
};

use super::tracer::Tracer;

/// A stage that attempts a delivery once, with a span around it if there is a tracer.
#[derive(Clone, Debug)]
pub(crate) struct Traced<S> {
    attempt: S,
    tracer: Option<Arc<Tracer>>,
}

impl<S> Traced<S> {
    pub(crate) fn new(attempt: S, tracer: Option<Arc<Tracer>>) -> Self {
        Self { attempt, tracer }
    }
}

impl<S: Stage<In = Permitted, Out = Attempt>> Stage for Traced<S> {
    type In = Permitted;
    type Out = Attempt;

    async fn run(&self, mut permitted: Permitted) -> Step<Attempt> {
        let begun = self.tracer.as_ref().and_then(|tracer| {
            let span = tracer.begin(permitted.delivery())?;
            permitted.trace(span.traceparent());
            Some((tracer, span))
        });
        let attempt = self.attempt.run(permitted).await?;
        if let Some((tracer, span)) = begun {
            tracer.end_of(span, &attempt);
        }
        Ok(attempt)
    }
}
