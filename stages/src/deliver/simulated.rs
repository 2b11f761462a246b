//! The deliver stage with simulated receivers in place of the network (feature `simulation`).
//!
//! Everything but the exchange is as in [`Deliver`](super::Deliver): the permit is spent, the attempt is in the
//! attempts journal before anything is sent, the headers are the endpoint's, the broker's timeout bounds the
//! exchange, and answers are classified alike.

use http::{HeaderMap, HeaderValue, StatusCode};
use state::Clock;
use tokio::time::timeout;

use super::{Meaning, failure, retry_after};
use crate::{
    models::{Attempt, Delivery, Failure, Ordinal, Permitted, Step},
    stage::Stage,
};

/// Simulated receivers.
pub trait Receivers: Send + Sync + 'static {
    /// Takes a request for `delivery`'s broker; its body is the event's.
    fn post(&self, delivery: &Delivery, headers: &HeaderMap) -> impl Future<Output = Answer> + Send;
}

/// How a simulated exchange ends.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The receiver answered with this status and, perhaps, `Retry-After`.
    Status(StatusCode, Option<HeaderValue>),
    /// No connection could be made: nothing of the request was written.
    Unreached,
    /// The connection broke after the request had been written.
    Broken,
}

/// The deliver stage over simulated receivers.
#[derive(Clone, Debug)]
pub struct SimulatedDeliver<R> {
    receivers: R,
    clock: Clock,
}

impl<R: Receivers> SimulatedDeliver<R> {
    /// Posts to `receivers`.
    #[must_use]
    pub fn new(receivers: R, clock: Clock) -> Self {
        Self { receivers, clock }
    }

    async fn post(&self, delivery: &Delivery, ordinal: Ordinal) -> Result<StatusCode, Failure> {
        let (event, terms) = (delivery.event(), delivery.broker.terms());
        let headers = terms
            .endpoint
            .headers(&event.event_id, self.clock.now() / 1_000, &event.body, ordinal)
            .map_err(|_| failure::unsendable("the event id cannot stand in a header"))?;
        let limit = terms.endpoint.timeout();
        match timeout(limit, self.receivers.post(delivery, &headers)).await {
            Err(_) => Err(failure::timed_out(limit, None)),
            Ok(Answer::Status(status, pause)) => match terms.endpoint.answers().meaning(status) {
                Meaning::Success => Ok(status),
                meaning => {
                    let pause = pause.and_then(|value| retry_after(&value, self.clock.now()));
                    Err(failure::refused(status, meaning, pause))
                }
            },
            Ok(Answer::Unreached) => Err(failure::transient("connection refused", None, false)),
            Ok(Answer::Broken) => Err(failure::transient("connection reset", None, true)),
        }
    }
}

impl<R: Receivers> Stage for SimulatedDeliver<R> {
    type In = Permitted;
    type Out = Attempt;

    async fn run(&self, permitted: Permitted) -> Step<Attempt> {
        let (fresh, ordinal) = permitted.spend()?;
        let posted = self.post(fresh.delivery(), ordinal).await;
        Ok(Attempt::of(fresh, posted, &self.clock))
    }
}
