//! Builds the request of one attempt. What is signed is what is sent, whatever shape it has.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use reqwest::Request;
use state::{Event, TraceParent, UnixMillis};

use super::{endpoint::Endpoint, failure, request_failure, shape::Shaped};
use crate::models::{Failure, Ordinal};

/// W3C Trace Context, section 3.2.1.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

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
        let shape = endpoint.shape().map(|shape| shape.apply(self.event)).transpose();
        let mut shaped = shape.map_err(|unfit| request_failure::unfit(&unfit))?;
        let body = shaped.as_ref().map_or(&self.event.body, |shaped| &shaped.body).clone();
        let mut headers = endpoint
            .headers(&self.event.event_id, self.now / 1_000, &body, self.ordinal)
            .map_err(|_| failure::unsendable())?;
        if let Some(parent) = self.traceparent {
            let parent = HeaderValue::try_from(parent.to_string()).map_err(|_| failure::unsendable())?;
            headers.insert(TRACE_PARENT, parent);
        }
        let mut url = None;
        if let Some(shaped) = &mut shaped {
            url = shaped.url.take();
            add(&mut headers, shaped);
        }
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let url = url.unwrap_or_else(|| endpoint.url().clone());
        let mut request = Request::new(endpoint.method().clone(), url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        Ok(request)
    }
}

fn add(headers: &mut HeaderMap, shaped: &mut Shaped) {
    headers.extend(shaped.headers.drain(..));
}
