//! Posts a delivery once.
//!
//! The body is the event's original bytes, unless its broker asks for another shape, or for several events in one post.
//! At most one request is written for an event, and no redirect is followed; where access tokens are used, another request
//! may be made for one of these before. The broker's timeout bounds the whole exchange. Once the headers of an answer are
//! whole its status decides, whatever becomes of its body, unless the broker has rules for bodies. The permit is spent
//! whatever happens; a failed attempt returns the delivery.
//!
//! A host that is an address was checked when its endpoint was made; a name is checked each time it is resolved.

mod answer_body;
mod answers;
mod asked_pause;
mod authorities;
mod batch;
mod body_error;
mod certificate;
mod client_error;
mod clients;
mod crypto;
mod egress;
mod endpoint;
mod failure;
mod header_signature;
mod meaning;
mod oauth2;
mod placeholders;
mod proxy_failure;
mod reach;
mod renewed_client;
mod request;
mod request_failure;
mod reserved;
mod resolver;
mod retry_after;
mod shape;
mod sign;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;
mod tls;
mod trial;
mod url_rules;
mod webhook_id;
mod x509;

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode};
use reqwest::{Request, Response};
use state::{Clock, History, answer::ANSWER_MAX};
use tokio::time::{Instant, timeout_at};

use self::{
    answer_body::BodyEnd, asked_pause::asked_pause, batch::Part, oauth2::Refusal, proxy_failure::Through,
};
pub use self::{
    answers::Answers,
    batch::BatchPolicy,
    body_error::{BODY_RULE_TEXT_MAX, BodyError, is_json_pointer},
    client_error::HttpClientError,
    clients::{HttpClients, HttpOptions},
    crypto::install_crypto,
    egress::{AddressRefused, Egress},
    endpoint::{EXTRA_HEADERS_MAX, Endpoint, EndpointError, Special},
    header_signature::{HEADER_SIGNATURES_MAX, HeaderSignature, HeaderSignatureError},
    meaning::Meaning,
    oauth2::{ClientAuth, NoToken, OAuth2},
    placeholders::PlaceError,
    reach::{EgressProxy, OwnTls},
    request::AttemptOf,
    reserved::is_reserved_header,
    resolver::{Lookup, LookupFuture, SystemLookup},
    retry_after::retry_after,
    shape::{
        Body, CloudEvents, JsonTemplate, Mode, PlaceField, PlaceText, Shape, TEMPLATE_MAX, TemplateError,
        Unfit, UrlPlaces, UrlPlacesError,
    },
    sign::{SIGNING_KEYS_MAX, Signer, SigningError, SigningKey},
    trial::{TlsSeen, Trial, trial_clients, try_once},
    url_rules::{UrlError, url_errors},
    webhook_id::webhook_id,
};
use crate::{
    Lease,
    models::{Attempt, Delivery, Failure, Ordinal, Permitted, Step},
    stage::Stage,
};

/// How long the body of an answer is waited for whose status has said everything: for the sake of its connection, and of
/// the first words of a refusal. A body mostly comes with its headers; one that comes later costs a new connection.
const BODY_WAIT: Duration = Duration::from_secs(1);

/// The stage that talks to brokers.
#[derive(Clone, Debug)]
pub struct Deliver {
    clients: HttpClients,
    clock: Clock,
    response_max: usize,
    lease: Option<Arc<Lease>>,
}

impl Deliver {
    /// Posts with the client of each broker's shard. Of an answer's body at most `response_max` bytes are read: reading
    /// a body to its end keeps the connection, a longer one may cost a new connection instead.
    #[must_use]
    pub fn new(clients: HttpClients, clock: Clock, response_max: usize) -> Self {
        Self { clients, clock, response_max, lease: None }
    }

    /// The same for a process that has this lease; none if nobody replaces it.
    #[must_use]
    pub fn under(self, lease: Option<Arc<Lease>>) -> Self {
        Self { lease, ..self }
    }

    /// The status of the answer if it says that the event was taken.
    async fn post(&self, delivery: &Delivery, ordinal: Ordinal) -> Result<StatusCode, Failure> {
        // Read once, so that the attempt uses the same terms to its end.
        let terms = delivery.broker.terms();
        let (endpoint, shard) = (&terms.endpoint, delivery.broker.shard);
        let attempt = || {
            let (event, traceparent) = (delivery.event(), delivery.traceparent);
            AttemptOf { event, ordinal, traceparent, now: self.clock.now() }
        };
        let Some(batches) = endpoint.batches() else {
            return self.send(endpoint, shard, |token| attempt().request(endpoint, token)).await;
        };
        let part = attempt().part(endpoint)?;
        let post = |parts| self.send_batch(endpoint, shard, parts);
        // Few brokers take batches; the others' attempts need no room for one.
        match goes_alone(&delivery.history, endpoint.answers()) {
            true => Box::pin(post(vec![part])).await,
            false => Box::pin(batches.send(part, post)).await,
        }
    }

    /// Sends `parts` in one post.
    async fn send_batch(
        &self,
        endpoint: &Endpoint,
        shard: usize,
        parts: Vec<Part>,
    ) -> Result<StatusCode, Failure> {
        // The throttle asked before it was gathered, and the process may have stood still since.
        if self.lease.as_ref().is_some_and(|lease| !lease.covers(endpoint.timeout())) {
            return Err(failure::lease_ended());
        }
        let request = |token| request::batch(&parts, endpoint, self.clock.now(), token);
        let posted = self.send(endpoint, shard, request).await;
        if parts.len() == 1 { posted } else { posted.map_err(failure::of_several) }
    }

    /// Sends the request that `request` makes, with an access token if one is needed, and waits for its answer.
    async fn send(
        &self,
        endpoint: &Endpoint,
        shard: usize,
        request: impl FnOnce(Option<HeaderValue>) -> Result<Request, Failure>,
    ) -> Result<StatusCode, Failure> {
        let limit = endpoint.timeout();
        let Some(tokens) = endpoint.tokens() else {
            return self.exchange(endpoint, shard, request(None)?, limit).await;
        };
        let begun = Instant::now();
        let token = tokens.token(&self.clients, shard, limit / 2).await;
        let token = token.map_err(|why| request_failure::no_token(&why))?;
        let left = limit.saturating_sub(begun.elapsed());
        let posted = self.exchange(endpoint, shard, request(Some(token.value()))?, left).await;
        match &posted {
            Err(Failure { status: Some(401), .. }) if tokens.refused(&token) == Refusal::TryAnother => {
                return Err(request_failure::token_spent());
            }
            Err(Failure { status: None | Some(401), .. }) => {}
            Ok(_) | Err(_) => token.accept(),
        }
        posted
    }

    /// Sends one request, and waits for its answer no longer than `limit`.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        shard: usize,
        request: Request,
        limit: Duration,
    ) -> Result<StatusCode, Failure> {
        let client = endpoint.client(&self.clients, shard);
        let client = client.map_err(|error| failure::no_client(&error))?;
        let deadline = Instant::now() + limit;
        let through = endpoint.proxy().map(|proxy| Through::new(proxy, request.url()));
        let response = match timeout_at(deadline, client.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(broken(error.without_url(), through, deadline).await),
            Err(_) => return Err(failure::timed_out(endpoint.timeout(), None)),
        };
        self.judge(response, endpoint, deadline).await
    }

    /// Judges an answer whose headers are whole.
    async fn judge(
        &self,
        response: Response,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<StatusCode, Failure> {
        let (status, answers) = (response.status(), endpoint.answers());
        let soon = deadline.min(Instant::now() + BODY_WAIT);
        let meaning = answers.meaning(status);
        if meaning == Meaning::Success && !answers.judge_bodies() {
            // The event is taken, whatever becomes of the body: it is read for the sake of its connection.
            let _ended = answer_body::read(response, 0, self.response_max, soon).await;
            return Ok(status);
        }
        let pause = asked_pause(response.headers(), status, self.clock.now());
        if meaning != Meaning::Success {
            let body = answer_body::read(response, ANSWER_MAX, self.response_max, soon).await;
            return Err(failure::refused(status, meaning, pause).answered(&body.kept));
        }
        let body = answer_body::read(response, self.response_max, self.response_max, deadline).await;
        let whole = match body.end {
            BodyEnd::Whole => Some(&body.kept[..]),
            BodyEnd::TooLong => None,
            BodyEnd::Late => return Err(failure::timed_out(endpoint.timeout(), Some(status))),
            BodyEnd::Broken(error) => return Err(failure::broken(&error.without_url(), Some(status))),
        };
        match answers.error_in(whole) {
            None => Ok(status),
            Some(error) => Err(failure::error_in_body(status, error, pause).answered(&body.kept)),
        }
    }
}

/// The failure of a request without an answer, `through` a proxy or not.
async fn broken(error: reqwest::Error, through: Option<Through<'_>>, deadline: Instant) -> Failure {
    match through {
        None => failure::broken(&error, None),
        // Few requests go through a proxy; the others' attempts need no room for this.
        Some(through) => Box::pin(through.broken(&error, deadline)).await,
    }
}

/// Whether an event is sent without others: its last attempt may have failed because of it, or because of what it was sent
/// with. Not if it was asked to wait, unless the broker's own rules say that this is a refusal.
fn goes_alone(history: &History, answers: &Answers) -> bool {
    let retries = |status: u16| {
        StatusCode::from_u16(status).is_ok_and(|status| answers.meaning(status) == Meaning::Retry)
    };
    let asked_to_wait = |status: Option<u16>| status.is_some_and(|of| matches!(of, 429 | 503) && retries(of));
    history.last.last().is_some_and(|last| last.may_have_arrived && !asked_to_wait(last.status))
}

impl Stage for Deliver {
    type In = Permitted;
    type Out = Attempt;

    async fn run(&self, permitted: Permitted) -> Step<Attempt> {
        let (fresh, ordinal) = permitted.spend()?;
        let begun = Instant::now();
        let posted = self.post(fresh.delivery(), ordinal).await;
        fresh.delivery().broker.quota().was_on_wire(begun.elapsed());
        Ok(Attempt::of(fresh, posted, &self.clock))
    }
}

#[cfg(test)]
mod tests;
