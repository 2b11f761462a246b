//! Builds the request of one attempt. What is signed is what is sent, whatever shape it has.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use reqwest::Request;
use sha2::{Digest, Sha256};
use state::{Event, TraceParent, UnixMillis};
use url::Url;

use super::{batch::Part, endpoint::Endpoint, failure, shape::Shaped};
use crate::models::{Failure, Ordinal};

/// W3C Trace Context, section 3.2.1.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// What ids, signatures and trace contexts never are.
const NO_HEADER: &str = "a value cannot stand in a header";

/// An attempt to be sent.
#[derive(Clone, Copy, Debug)]
pub struct AttemptOf<'a> {
    /// The event.
    pub event: &'a Event,
    /// Which of its delivery's attempts it is.
    pub ordinal: Ordinal,
    /// Its place in a trace.
    pub traceparent: Option<TraceParent>,
    /// When it is made.
    pub now: UnixMillis,
}

impl AttemptOf<'_> {
    /// The request to `endpoint`, with `authorization` if an access token is needed.
    ///
    /// # Errors
    /// The event cannot be put into a request, now or ever.
    pub fn request(
        &self,
        endpoint: &Endpoint,
        authorization: Option<HeaderValue>,
    ) -> Result<Request, Failure> {
        if endpoint.batches().is_some() {
            return batch(&[self.part(endpoint)?], endpoint, self.now, authorization);
        }
        let mut shaped = self.shaped(endpoint)?;
        let body = shaped.as_ref().map_or(&self.event.body, |shaped| &shaped.body).clone();
        let mut headers = endpoint
            .headers(&self.event.event_id, self.now / 1_000, &body, self.ordinal)
            .map_err(|_| failure::unsendable(NO_HEADER))?;
        if let Some(parent) = self.traceparent {
            let parent =
                HeaderValue::try_from(parent.to_string()).map_err(|_| failure::unsendable(NO_HEADER))?;
            headers.insert(TRACE_PARENT, parent);
        }
        let mut url = None;
        if let Some(shaped) = &mut shaped {
            url = shaped.url.take();
            add(&mut headers, shaped);
        }
        let url = url.unwrap_or_else(|| endpoint.url().clone());
        Ok(request(endpoint, url, headers, body, authorization))
    }

    /// What the event brings to a batch.
    ///
    /// # Errors
    /// The event cannot be put into a request, now or ever.
    pub(super) fn part(&self, endpoint: &Endpoint) -> Result<Part, Failure> {
        let shaped = self.shaped(endpoint)?;
        let body = shaped.map_or_else(|| self.event.body.clone(), |shaped| shaped.body);
        Ok(Part { event_id: self.event.event_id.clone(), body, ordinal: self.ordinal })
    }

    fn shaped(&self, endpoint: &Endpoint) -> Result<Option<Shaped>, Failure> {
        let shape = endpoint.shape().map(|shape| shape.apply(self.event)).transpose();
        shape.map_err(|unfit| failure::unsendable(&unfit.to_string()))
    }
}

/// The request that posts `parts` as one JSON array.
///
/// # Errors
/// An id cannot stand in a header, which ids by construction always can.
pub(super) fn batch(
    parts: &[Part],
    endpoint: &Endpoint,
    now: UnixMillis,
    authorization: Option<HeaderValue>,
) -> Result<Request, Failure> {
    let mut body = Vec::with_capacity(parts.iter().map(|part| part.body.len() + 1).sum::<usize>() + 1);
    for part in parts {
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(part.body.trim_ascii());
    }
    body.push(b']');
    let body = Bytes::from(body);
    let ordinal = Ordinal {
        attempt: parts.iter().map(|part| part.ordinal.attempt).max().unwrap_or(1),
        may_repeat: parts.iter().any(|part| part.ordinal.may_repeat),
    };
    let headers = endpoint.headers(&batch_id(parts), now / 1_000, &body, ordinal);
    let headers = headers.map_err(|_| failure::unsendable(NO_HEADER))?;
    Ok(request(endpoint, endpoint.url().clone(), headers, body, authorization))
}

/// The id of an event that is alone; else one that depends on the ids of all, in their order.
fn batch_id(parts: &[Part]) -> Cow<'_, str> {
    if let [part] = parts {
        return Cow::Borrowed(&part.event_id);
    }
    let mut ids = Sha256::new();
    for part in parts {
        ids.update((part.event_id.len() as u64).to_be_bytes());
        ids.update(part.event_id.as_bytes());
    }
    Cow::Owned(format!("batch-{}", URL_SAFE_NO_PAD.encode(&ids.finalize()[..16])))
}

fn request(
    endpoint: &Endpoint,
    url: Url,
    mut headers: HeaderMap,
    body: Bytes,
    authorization: Option<HeaderValue>,
) -> Request {
    if let Some(value) = authorization {
        headers.insert(AUTHORIZATION, value);
    }
    let mut request = Request::new(endpoint.method().clone(), url);
    *request.headers_mut() = headers;
    *request.body_mut() = Some(body.into());
    request
}

/// The event's own headers, in place of any that the config has.
fn add(headers: &mut HeaderMap, shaped: &mut Shaped) {
    for (name, value) in shaped.headers.drain(..) {
        headers.insert(name, value);
    }
}
