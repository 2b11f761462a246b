//! A request as it can be shown: without the values that are secret.

use bytes::Bytes;
use reqwest::Request;
use serde::Serialize;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prepared {
    /// The method.
    pub method: String,
    /// The whole URL, its path included.
    pub url: String,
    /// The headers by name; none for a value that is secret.
    pub headers: Vec<(String, Option<String>)>,
    /// The body, as text.
    pub body: String,
}

impl Prepared {
    pub(super) fn of(request: &Request) -> Self {
        let shown = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), (!value.is_sensitive()).then(|| shown(value))));
        let mut headers: Vec<_> = headers.collect();
        headers.sort();
        let body = request.body().and_then(reqwest::Body::as_bytes).map(Bytes::copy_from_slice);
        Self {
            method: request.method().to_string(),
            url: request.url().to_string(),
            headers,
            body: String::from_utf8_lossy(&body.unwrap_or_default()).into_owned(),
        }
    }
}
