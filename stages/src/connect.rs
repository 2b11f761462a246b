//! How a connection to a receiver is opened: the limits, whom to trust and the guarded resolver enter, a connector leaves
//! that speaks HTTP/1.1 or, where TLS settles on it, HTTP/2.
//!
//! Guarantees: name resolution, TCP and TLS together take no longer than the limit; a certificate is judged by the
//! system's authorities and those of the config; no proxy is taken from the environment.

use std::{
    error::Error,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, pki_types::CertificateDer};
use rustls_platform_verifier::Verifier;
use tokio::time::timeout;
use tower_service::Service;

use crate::{error_chain::sources, resolver::GuardedResolver};

/// How long a connection may be silent before the system asks whether the other side is there, and how often it asks.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long what has been written may go unacknowledged, those questions included (RFC 5482, tcp(7)): a connection into
/// nowhere is not kept.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// The error of a connection that took too long.
#[derive(Debug, thiserror::Error)]
#[error("timed out while connecting")]
pub(crate) struct ConnectTimedOut;

type Inner = HttpsConnector<HttpConnector<GuardedResolver>>;

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connect {
    inner: Inner,
    limit: Duration,
}

impl Connect {
    pub(crate) fn new(resolver: GuardedResolver, tls: ClientConfig, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared out over the addresses of each family, so that one which never answers leaves time for the next.
        tcp.set_connect_timeout(Some(limit));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        Self { inner: https.enable_all_versions().wrap_connector(tcp), limit }
    }
}

impl Service<Uri> for Connect {
    type Response = <Inner as Service<Uri>>::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(to), self.limit);
        Box::pin(async move {
            match timeout(limit, connecting).await {
                Ok(Err(error)) if is_timeout(&*error) => Err(ConnectTimedOut.into()),
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimedOut.into()),
            }
        })
    }
}

/// Whether an address's share of the time was over, or the system gave up.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    sources(error).filter_map(|source| source.downcast_ref()).any(timed_out)
}

/// TLS that trusts the system's authorities and `authorities`, by the process's crypto provider, which has to be there.
///
/// # Errors
/// One of them cannot be used, or there is none at all.
pub(crate) fn tls(authorities: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let config = ClientConfig::builder();
    let verifier = Verifier::new_with_extra_roots(authorities, config.crypto_provider().clone())?;
    // What rustls calls dangerous is any verifier but its own; this is the platform's, on Linux rustls' own with the system's
    // authorities.
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}
