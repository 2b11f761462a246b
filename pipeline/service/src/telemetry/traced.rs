//! An attempt with a span around it, if its trace is sampled.

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
        let span = self.tracer.as_ref().and_then(|tracer| {
            let span = tracer.begin(permitted.delivery())?;
            permitted.trace(span.traceparent());
            Some((tracer, span))
        });
        let attempt = self.attempt.run(permitted).await?;
        if let Some((tracer, span)) = span {
            tracer.end_of(span, &attempt);
        }
        Ok(attempt)
    }
}
