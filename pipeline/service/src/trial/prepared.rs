//! A request as it can be shown, and how it gets to its receiver: without the values that are secret.

use std::path::PathBuf;

use bytes::Bytes;
use reqwest::Request;
use serde::Serialize;

use crate::config::{BrokerConfig, Config, TlsFiles};

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
    /// How it gets there.
    pub connection: Connection,
}

/// What of a connection is not as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The proxy it goes through.
    pub proxy: Option<String>,
    /// Whether the proxy asks for credentials.
    pub proxy_credentials: bool,
    /// The authorities that are trusted as well.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown, and its key.
    pub own_files: Option<(PathBuf, PathBuf)>,
}

impl Connection {
    pub(super) fn of(config: &Config, broker: &BrokerConfig) -> Self {
        let TlsFiles { ca, own } = broker.tls_files.clone();
        let proxy = broker.special.proxy.as_deref();
        Self {
            proxy: proxy.map(|proxy| proxy.url.origin().ascii_serialization()),
            proxy_credentials: proxy.is_some_and(|proxy| proxy.credentials.is_some()),
            ca_file: ca.or_else(|| config.delivery.ca_file.clone()),
            own_files: own,
        }
    }
}

impl Prepared {
    pub(super) fn of(request: &Request, connection: Connection) -> Self {
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
            connection,
        }
    }
}
