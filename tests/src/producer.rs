//! A producer that posts events to a run with a real HTTP client.

use std::{net::SocketAddr, sync::Once};

use bytes::Bytes;
use reqwest::{Client, header};
use serde::Deserialize;

use crate::runtime::runtime;

/// Someone who posts events.
#[derive(Clone, Debug)]
pub struct Producer {
    client: Client,
    url: String,
    token: Option<String>,
}

/// What a producer was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PostReply {
    /// The status.
    #[serde(skip)]
    pub status: u16,
    /// `Retry-After`, in seconds, if there was one.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// How many records were accepted.
    pub accepted: u64,
    /// The first one's offset.
    pub first: u64,
    /// The last one's.
    pub last: u64,
    /// Why none were.
    pub error: String,
}

impl Producer {
    /// A producer that posts to `addr`, without a token.
    ///
    /// # Panics
    /// If there can be no client.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        static INSTALLED: Once = Once::new();
        // The client asks for one although it speaks no TLS here; another may have been first.
        INSTALLED.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { client, url: format!("http://{addr}/events"), token: None }
    }

    /// The same with a token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Posts `body` with these headers.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn post_with(&self, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> PostReply {
        runtime().block_on(self.ask(headers, body.into())).expect("an answer")
    }

    /// Posts `body`.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn post(&self, body: impl Into<Bytes>) -> PostReply {
        self.post_with(&[], body)
    }

    /// Posts `body` and waits; none if the run ends before it answers.
    pub fn post_or_not(&self, body: impl Into<Bytes>) -> Option<PostReply> {
        runtime().block_on(self.try_post(body))
    }

    /// Posts `body`; none if the run ends before it answers.
    pub async fn try_post(&self, body: impl Into<Bytes>) -> Option<PostReply> {
        self.ask(&[], body.into()).await.ok()
    }

    async fn ask(&self, headers: &[(&'static str, &str)], body: Bytes) -> reqwest::Result<PostReply> {
        let mut request = self.client.post(&self.url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|after| after.to_str().ok()?.parse().ok());
        let body = answer.bytes().await?;
        let told: PostReply = serde_json::from_slice(&body).expect("an answer in JSON");
        Ok(PostReply { status, retry_after, ..told })
    }
}

/// Does `work` beside the scenario; the scenario asks for its result when it needs it.
pub fn beside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> impl FnOnce() -> T {
    let task = runtime().spawn(work);
    move || runtime().block_on(task).expect("the work beside the scenario")
}
