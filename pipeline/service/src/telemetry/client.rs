//! The HTTP client of the span exporter, which sends from the process's own runtime. It takes neither proxy nor
//! headers from the environment, and follows no redirect.

use std::time::Duration;

use http::{HeaderMap, Request, Response, header::CONTENT_TYPE};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use tokio::runtime::Handle;

use crate::config::TelemetryConfig;

/// How much of an answer is read, in bytes: it says how many spans were refused, and why.
const ANSWER_MAX: usize = 64 << 10;

/// An HTTP client for the exporter, which has a thread of its own and no runtime.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Handle,
    client: reqwest::Client,
    headers: HeaderMap,
}

/// The answer is longer than any answer of a receiver of spans.
#[derive(Debug, thiserror::Error)]
#[error("the answer has more than {ANSWER_MAX} bytes")]
struct TooLong;

impl Client {
    /// A client that sends from `runtime`.
    pub(super) fn new(runtime: Handle, config: &TelemetryConfig) -> reqwest::Result<Self> {
        stages::install_crypto();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(config.timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { runtime, client, headers: config.headers.clone() })
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let mut post = self.client.post(head.uri.to_string()).headers(self.headers.clone()).body(body);
        if let Some(kind) = head.headers.get(CONTENT_TYPE) {
            post = post.header(CONTENT_TYPE, kind);
        }
        // Its connections belong to the runtime; the exporter's thread only waits.
        let answered = self.runtime.spawn(async move {
            let mut answer = post.send().await.map_err(reqwest::Error::without_url)?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
                if body.len() + chunk.len() > ANSWER_MAX {
                    return Err(TooLong.into());
                }
                body.extend_from_slice(&chunk);
            }
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = answer.status();
            *response.headers_mut() = std::mem::take(answer.headers_mut());
            Ok::<_, HttpError>(response)
        });
        answered.await?
    }
}
