//! Where and how a broker's deliveries are posted: the config's values enter, an endpoint that can be posted to leaves.
//!
//! All that can be checked without the network is checked here, once, and all headers that do not change from one
//! delivery to the next are put together here. Neither errors nor `Debug` show a header's value or more of the URL than
//! its origin, because secrets stand in both.

mod error;
mod url;

use std::{
    fmt,
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use ::url::Url;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{ACCEPT, CONTENT_TYPE, InvalidHeaderValue, USER_AGENT},
    uri::Authority,
};

use ipnet::IpNet;

use crate::{
    egress::Egress,
    http_clients::{ClientSet, HttpClient, HttpClients},
    models::Ordinal,
    sign::Signer,
    webhook_id::webhook_id,
};

pub use error::EndpointError;
use url::uri_of;
pub use url::{UrlError, url_errors};

/// How many headers a config may add: each is copied with every request.
pub const EXTRA_HEADERS_MAX: usize = 16;

/// How Loadline names itself.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("loadline/", env!("CARGO_PKG_VERSION")));

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Which attempt of a delivery a request is.
const ATTEMPT: HeaderName = HeaderName::from_static("loadline-attempt");
/// `true` if the receiver may have taken the event before; not there otherwise.
const MAY_REPEAT: HeaderName = HeaderName::from_static("loadline-may-repeat");

/// Headers that describe the connection or the message itself (RFC 9110, sections 7.2, 7.6.1, 8.6 and 10.1.1): the HTTP
/// client sets them, a config must not. And those of W3C Trace Context, which belong to one event.
const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The headers of a request whose endpoint adds none.
static USUAL_HEADERS: LazyLock<Arc<HeaderMap>> =
    LazyLock::new(|| Arc::new(with_usual(HeaderMap::with_capacity(USUAL_MAX))));
/// How many headers there are besides those of the config.
const USUAL_MAX: usize = 10;
/// What the names of other reserved headers start with: Loadline's own, and those meant for a proxy.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "loadline-", "proxy-"];

/// Whether a header is the HTTP client's or Loadline's to set, so that a config must not.
#[must_use]
pub fn is_reserved_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A broker's endpoint.
#[derive(Clone)]
pub struct Endpoint {
    uri: Uri,
    /// Every header of a request; those of the signature are there with empty values, so that setting them never grows
    /// the map. Endpoints without headers of their own have them in common: of thousands of brokers, each one's would have
    /// to be fetched from far memory for its delivery.
    headers: Arc<HeaderMap>,
    signer: Signer,
    timeout: Duration,
    /// Where its host's name may lead besides the public internet.
    networks: Arc<[IpNet]>,
    /// The clients that lead nowhere else; known once the first delivery is posted.
    clients: OnceLock<ClientSet>,
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
        let (uri, networks) = checked_uri(url, egress)?;
        let headers = checked_headers(extra_headers)?;
        Ok(Self { uri, headers, signer, timeout, networks, clients: OnceLock::new() })
    }

    /// The client that posts its deliveries on shard `shard`. Its connections are shared with endpoints that may reach
    /// the same networks, and with no others.
    pub(crate) fn client<'c>(&'c self, clients: &HttpClients, shard: usize) -> &'c HttpClient {
        self.clients.get_or_init(|| clients.reaching(&self.networks)).of(shard)
    }

    /// Where to post: the URL as a request has it.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Scheme, host and port: as much of the URL as may be shown.
    #[must_use]
    pub fn origin(&self) -> String {
        // Without user name or password, and without a port that is the scheme's own.
        let (scheme, authority) = (self.uri.scheme_str(), self.uri.authority());
        format!("{}://{}", scheme.unwrap_or_default(), authority.map_or("", Authority::as_str))
    }

    /// How long a whole exchange may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// All headers of the request that posts `body` for the event `event_id` at `timestamp`, in seconds since the Unix
    /// epoch, as this of the delivery's attempts.
    ///
    /// # Errors
    /// A value cannot stand in a header; by the make of ids and signatures that does not occur.
    pub fn headers(
        &self,
        event_id: &str,
        timestamp: u64,
        body: &[u8],
        ordinal: Ordinal,
    ) -> Result<HeaderMap, InvalidHeaderValue> {
        let id = webhook_id(event_id);
        let mut headers = (*self.headers).clone();
        headers.insert(WEBHOOK_SIGNATURE, HeaderValue::try_from(self.signer.sign(&id, timestamp, body))?);
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
        headers.insert(WEBHOOK_ID, HeaderValue::try_from(id.into_owned())?);
        // Nearly always the first, whose value is there.
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

fn checked_uri(url: &str, egress: &Egress) -> Result<(Uri, Arc<[IpNet]>), UrlError> {
    let url = Url::parse(url)?;
    let uri = url_errors(&url, egress).into_iter().next().map_or_else(|| uri_of(&url), Err)?;
    Ok((uri, egress.networks_for(&url).into()))
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

/// `headers` with all others that a request has.
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
