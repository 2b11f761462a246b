//! A broker's endpoint: where and how its deliveries are posted.
//!
//! All that can be checked without the network is checked here, once, and all headers that are the same for each
//! delivery are built here. Neither errors nor `Debug` show a header's value or more of the URL than its origin,
//! because both can hold secrets.

mod error;
mod special;

use std::{
    fmt,
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use ::url::Url;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE, InvalidHeaderValue, USER_AGENT},
};
use reqwest::Client;

use super::{
    answers::Answers,
    batch::Batches,
    client_error::HttpClientError,
    clients::{ClientSet, HttpClients},
    egress::Egress,
    header_signature::HeaderSignature,
    oauth2::Tokens,
    reach::Reach,
    reserved::is_reserved_header,
    shape::Shape,
    sign::Signer,
    url_rules::{UrlError, url_errors},
    webhook_id::webhook_id,
};
use crate::models::Ordinal;

pub use error::EndpointError;
pub use special::Special;

/// How many headers a config may add: each is copied with every request.
pub const EXTRA_HEADERS_MAX: usize = 16;

/// The `user-agent`.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("loadline/", env!("CARGO_PKG_VERSION")));

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Which attempt of a delivery a request is.
const ATTEMPT: HeaderName = HeaderName::from_static("loadline-attempt");
/// `true` if the receiver may have taken the event before; absent otherwise.
const MAY_REPEAT: HeaderName = HeaderName::from_static("loadline-may-repeat");

/// The headers of a request whose endpoint adds none.
static USUAL_HEADERS: LazyLock<Arc<HeaderMap>> =
    LazyLock::new(|| Arc::new(with_usual(HeaderMap::with_capacity(USUAL_MAX))));
/// How many headers there are besides those of the config.
const USUAL_MAX: usize = 10;
/// A broker's endpoint.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    /// Every header of a request; those of the signature with empty values, so that setting them never grows the map.
    /// Endpoints without extra headers share one map, which keeps it in the CPU cache with thousands of brokers.
    headers: Arc<HeaderMap>,
    signer: Signer,
    timeout: Duration,
    answers: Arc<Answers>,
    /// Where its connections may go.
    reach: Reach,
    /// The clients for that; made for the first delivery.
    clients: OnceLock<ClientSet>,
    method: Method,
    /// What only few endpoints have; none costs the others nothing.
    shape: Option<Arc<Shape>>,
    signatures: Arc<[HeaderSignature]>,
    tokens: Option<Arc<Tokens>>,
    batches: Option<Arc<Batches>>,
}

impl Endpoint {
    /// An endpoint at `url`. `extra_headers` may replace `content-type` (`application/json` otherwise) and
    /// `user-agent`; values marked as sensitive stay so, which keeps them out of `Debug` and of HTTP/2's compression
    /// tables. `timeout` bounds a whole exchange, from name resolution to the end of the answer's body; it should
    /// be longer than the HTTP clients' connect timeout.
    ///
    /// A host that is an address is checked against `egress` here and only here, since no name is resolved for it and
    /// the URL never changes. A name's addresses are checked against it at each connection.
    ///
    /// # Errors
    /// The URL, a header or the timeout cannot be used, or `egress` does not allow the scheme or the address; the first
    /// thing that is wrong.
    pub fn new(
        url: &str,
        extra_headers: &HeaderMap,
        signer: Signer,
        timeout: Duration,
        egress: &Egress,
    ) -> Result<Self, EndpointError> {
        if timeout.is_zero() {
            return Err(EndpointError::Timeout);
        }
        let url = checked_url(url, egress)?;
        let headers = checked_headers(extra_headers)?;
        let reach = Reach { networks: egress.networks_for(&url).into(), ..Reach::default() };
        Ok(Self {
            url,
            headers,
            signer,
            timeout,
            answers: Arc::default(),
            reach,
            clients: OnceLock::new(),
            method: Method::POST,
            shape: None,
            signatures: Arc::default(),
            tokens: None,
            batches: None,
        })
    }

    /// The same, if its answers mean something else than by default.
    #[must_use]
    pub fn with_answers(self, answers: Arc<Answers>) -> Self {
        Self { answers, ..self }
    }

    /// What its answers mean.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The client that posts its deliveries on shard `shard`. Its connections are shared with endpoints that may reach
    /// the same networks in the same way, and with no others.
    ///
    /// # Errors
    /// The client cannot be made.
    pub(crate) fn client(&self, clients: &HttpClients, shard: usize) -> Result<Client, HttpClientError> {
        if let Some(set) = self.clients.get() {
            return Ok(set.of(shard));
        }
        let set = clients.reaching(&self.reach)?;
        Ok(self.clients.get_or_init(|| set).of(shard))
    }

    /// Where to post.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port: the part of the URL that may be shown.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// How long a whole exchange may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long an attempt may take: the exchange, and the wait for others that go with it.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let gathering = self.batches.as_ref().map_or(Duration::ZERO, |batches| batches.wait());
        self.timeout + gathering
    }

    /// All headers of the request that posts `body` for the event `event_id` at `timestamp`, in seconds since the Unix
    /// epoch, as this of the delivery's attempts.
    ///
    /// # Errors
    /// A value cannot stand in a header, which ids and signatures by construction always can.
    pub fn headers(
        &self,
        event_id: &str,
        timestamp: u64,
        body: &[u8],
        ordinal: Ordinal,
    ) -> Result<HeaderMap, InvalidHeaderValue> {
        let id = webhook_id(event_id);
        let mut headers = (*self.headers).clone();
        if !self.signer.is_empty() {
            let signature = self.signer.sign(&id, timestamp, body);
            headers.insert(WEBHOOK_SIGNATURE, HeaderValue::try_from(signature)?);
        }
        for signature in &*self.signatures {
            let value = signature.sign(&id, timestamp, body);
            headers.insert(signature.name().clone(), HeaderValue::try_from(value)?);
        }
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
        headers.insert(WEBHOOK_ID, HeaderValue::try_from(id.into_owned())?);
        // Nearly always the first attempt, whose value is set already.
        if ordinal.attempt > 1 {
            headers.insert(ATTEMPT, HeaderValue::from(ordinal.attempt));
        }
        if ordinal.may_repeat {
            headers.insert(MAY_REPEAT, HeaderValue::from_static("true"));
        }
        Ok(headers)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("origin", &self.origin())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn checked_url(url: &str, egress: &Egress) -> Result<Url, UrlError> {
    let url = Url::parse(url)?;
    match url_errors(&url, egress).into_iter().next() {
        None => Ok(url),
        Some(error) => Err(error),
    }
}

fn checked_headers(extra: &HeaderMap) -> Result<Arc<HeaderMap>, EndpointError> {
    if extra.is_empty() {
        return Ok(USUAL_HEADERS.clone());
    }
    if extra.len() > EXTRA_HEADERS_MAX {
        return Err(EndpointError::Headers { count: extra.len() });
    }
    let mut headers = HeaderMap::with_capacity(extra.len() + USUAL_MAX);
    for (name, value) in extra {
        if is_reserved_header(name) {
            return Err(EndpointError::HeaderReserved { name: name.to_string() });
        }
        if headers.insert(name.clone(), value.clone()).is_some() {
            return Err(EndpointError::HeaderTwice { name: name.to_string() });
        }
    }
    Ok(Arc::new(with_usual(headers)))
}

/// `headers` with the usual headers of a request.
fn with_usual(mut headers: HeaderMap) -> HeaderMap {
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.entry(USER_AGENT).or_insert(AGENT);
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    for name in [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE] {
        headers.insert(name, HeaderValue::from_static(""));
    }
    headers.insert(ATTEMPT, HeaderValue::from_static("1"));
    headers
}

#[cfg(test)]
mod tests;
