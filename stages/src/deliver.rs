//! Posts a delivery once: a permit enters, what came of it leaves.
//!
//! The body is the event's original bytes. At most one request is written, and no redirect is followed. The broker's
//! timeout bounds the whole exchange, the answer's body included. The permit is spent whatever happens; a failed attempt
//! gives the delivery back.
//!
//! A host that is an address itself was checked when its endpoint was made; a name is checked each time it is resolved.

mod failure;

use std::error::Error;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use state::Clock;
use tokio::time::timeout;

use crate::{
    endpoint::Endpoint,
    http_clients::HttpClients,
    models::{Attempt, Delivery, Failure, Ordinal, Permitted, Receipt, Step},
    retry_after::retry_after,
    stage::Stage,
};

/// W3C Trace Context, section 3.2.1.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The stage that talks to brokers.
#[derive(Clone, Debug)]
pub struct Deliver {
    clients: HttpClients,
    clock: Clock,
    response_max: usize,
}

impl Deliver {
    /// Posts with the client of each broker's shard. Of an answer's body at most `response_max` bytes are read (and
    /// thrown away): reading a body to its end keeps the connection, a longer one may cost a new connection instead.
    #[must_use]
    pub fn new(clients: HttpClients, clock: Clock, response_max: usize) -> Self {
        Self { clients, clock, response_max }
    }

    /// The status of the answer if it is 2xx.
    async fn post(&self, delivery: &Delivery, ordinal: Ordinal) -> Result<StatusCode, Failure> {
        // Read once: an attempt ends with what it began with.
        let (broker, terms) = (&delivery.broker, delivery.broker.terms());
        let endpoint = &terms.endpoint;
        let request = self.request(delivery, ordinal, endpoint)?;
        let mut answer = None;
        let exchange = async {
            let response = endpoint.client(&self.clients, broker.shard).request(request).await?;
            let pause = response.headers().get(RETRY_AFTER);
            let pause = pause.and_then(|value| retry_after(value, self.clock.now()));
            let status = response.status();
            answer = Some((status, pause));
            read(response, self.response_max).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(status)
        };
        let ended = timeout(endpoint.timeout(), exchange).await;
        match (answer, ended) {
            // The status says all there is to know, whether or not the rest of the answer came.
            (Some((status, pause)), _) if !status.is_success() => Err(failure::refused(status, pause)),
            (_, Ok(Ok(status))) => Ok(status),
            (answer, Ok(Err(error))) => Err(failure::broken(&*error, status(answer))),
            (answer, Err(_)) => Err(failure::timed_out(endpoint.timeout(), status(answer))),
        }
    }

    fn request(
        &self,
        delivery: &Delivery,
        ordinal: Ordinal,
        endpoint: &Endpoint,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let event = delivery.event();
        let mut headers = endpoint
            .headers(&event.event_id, self.clock.now() / 1_000, &event.body, ordinal)
            .map_err(|_| failure::unsendable())?;
        if let Some(parent) = delivery.traceparent {
            let parent = HeaderValue::try_from(parent.to_string()).map_err(|_| failure::unsendable())?;
            headers.insert(TRACE_PARENT, parent);
        }
        let mut request = Request::new(Full::new(event.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.uri().clone();
        *request.headers_mut() = headers;
        Ok(request)
    }
}

impl Stage for Deliver {
    type In = Permitted;
    type Out = Attempt;

    async fn run(&self, permitted: Permitted) -> Step<Attempt> {
        let (fresh, ordinal) = permitted.spend()?;
        Ok(match self.post(fresh.delivery(), ordinal).await {
            Ok(status) => Attempt::Accepted(Receipt {
                failed_attempts: fresh.delivery().history.attempts,
                status: status.as_u16(),
                at: self.clock.lived(),
            }),
            Err(failure) => Attempt::Failed(fresh, failure),
        })
    }
}

fn status<T>(answer: Option<(StatusCode, T)>) -> Option<StatusCode> {
    answer.map(|(status, _)| status)
}

/// Reads the body to its end, or gives it up once it is known to be longer than `max` bytes.
async fn read(response: Response<Incoming>, max: usize) -> hyper::Result<()> {
    let (mut left, mut body) = (max, response.into_body());
    if body.size_hint().lower() > max as u64 {
        return Ok(());
    }
    while let Some(frame) = body.frame().await {
        match left.checked_sub(frame?.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
