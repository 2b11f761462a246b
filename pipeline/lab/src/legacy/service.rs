//! The service's one function, which handles a message: it returns when every subscribed broker has answered 2xx in one
//! and the same pass, however long that takes, or when the message is malformed. It posts and sleeps and does nothing
//! else; dropping it abandons what is on the wire.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{StatusCode, header::CONTENT_TYPE};
use reqwest::{Client, Response, redirect};
use serde_json::Value;
use stages::{Index, Statuses};
use url::Url;

use crate::DeliveryLog;

use super::{
    LegacyBroker, LegacyConfig, LegacyFault,
    event::{Event, Malformed},
};

/// How many redirects are followed: as many as `fetch` does (Fetch Standard, section 4.4, HTTP-redirect fetch).
const REDIRECTS_MAX: usize = 20;

/// The service, as every consumer runs it.
#[derive(Debug)]
pub(super) struct Service {
    client: Client,
    brokers: Vec<Endpoint>,
    subscriptions: Index,
    statuses: Statuses,
    query: Duration,
    /// Where each POST is logged, if it is.
    deliveries: Option<DeliveryLog>,
}

#[derive(Debug)]
struct Endpoint {
    id: Arc<str>,
    url: Url,
}

/// A POST failed, as the service's HTTP client sees it.
#[derive(Debug, thiserror::Error)]
enum PostFault {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("answered {0}")]
    Status(StatusCode),
}

impl Service {
    /// Sets the service up.
    pub(super) fn new(config: &LegacyConfig) -> Result<Self, LegacyFault> {
        let wants: Vec<_> =
            config.brokers.iter().map(LegacyBroker::subscription).collect::<Result<_, _>>()?;
        let endpoint =
            |broker: &LegacyBroker| Endpoint { id: Arc::from(&*broker.id), url: broker.url.clone() };
        let path = Some(&config.deliveries).filter(|path| !path.as_os_str().is_empty());
        let log = |path: &PathBuf| {
            DeliveryLog::create(path).map_err(|source| LegacyFault::Deliveries { path: path.clone(), source })
        };
        Ok(Self {
            deliveries: path.map(log).transpose()?,
            client: client(config.timeout)?,
            brokers: config.brokers.iter().map(endpoint).collect(),
            subscriptions: Index::new(&wants),
            statuses: Statuses::default(),
            query: config.query,
        })
    }

    /// Handles one message; `retried` is called for each time it is started over.
    pub(super) async fn handle(&self, message: Bytes, retried: impl Fn()) -> Result<(), Malformed> {
        loop {
            // Outside any error handling: what this throws leaves the function, and crashes the consumer.
            let event = Event::parse(&message)?;
            let subscribers = self.query(&event).await;
            let Err((broker, error)) = self.post_to_each(&subscribers, &message).await else { return Ok(()) };
            tracing::debug!(broker = %broker.id, %error, "delivery failed, retrying");
            retried();
            // Nothing of the service's: a refused connection must not keep the runtime from its other tasks.
            tokio::task::yield_now().await;
        }
    }

    /// The look-up of the brokers that want the load.
    async fn query(&self, event: &Event) -> Vec<&Endpoint> {
        if !self.query.is_zero() {
            tokio::time::sleep(self.query).await;
        }
        let Some(load_id) = &event.load_id else { return Vec::new() };
        let status = event.status.as_deref().unwrap_or_default();
        let status = self.statuses.canonical(status).map_or(status, |canonical| canonical);
        let wanted = self.subscriptions.matching(load_id, status);
        wanted.into_iter().filter_map(|nth| self.brokers.get(nth)).collect()
    }

    /// Each broker in turn; the first error ends the pass.
    async fn post_to_each<'b>(
        &self,
        brokers: &[&'b Endpoint],
        payload: &Bytes,
    ) -> Result<(), (&'b Endpoint, PostFault)> {
        for &broker in brokers {
            let posted = self.post(broker, payload.clone()).await;
            if let Some(log) = &self.deliveries {
                log.add(&broker.id, payload, Some(answer(&posted)), || {});
            }
            posted.map_err(|error| (broker, error))?;
        }
        Ok(())
    }

    async fn post(&self, broker: &Endpoint, payload: Bytes) -> Result<StatusCode, PostFault> {
        let request = self.client.post(broker.url.clone()).header(CONTENT_TYPE, "application/json");
        let mut response: Response = request.body(payload).send().await?;
        while response.chunk().await?.is_some() {}
        let status = response.status();
        if status.is_success() { Ok(status) } else { Err(PostFault::Status(status)) }
    }
}

/// What the log of deliveries says of the answer.
fn answer(posted: &Result<StatusCode, PostFault>) -> Value {
    match posted {
        Ok(status) | Err(PostFault::Status(status)) => status.as_u16().into(),
        // Nothing has reached the broker.
        Err(PostFault::Http(error)) if error.is_connect() => 503.into(),
        Err(PostFault::Http(error)) if error.is_timeout() => "timeout".into(),
        Err(PostFault::Http(_)) => "broken".into(),
    }
}

/// A client with its default pool; the timeout is for the whole exchange. No proxy: an environment that names one must
/// not come between the model and its brokers.
fn client(timeout: Duration) -> Result<Client, reqwest::Error> {
    stages::install_crypto();
    let redirects = redirect::Policy::limited(REDIRECTS_MAX);
    Client::builder().timeout(timeout).redirect(redirects).no_proxy().tls_certs_only([]).build()
}
