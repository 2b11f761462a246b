//! TLS for connections to the server: its certificate has to be of a trusted authority and for its name. There is no weaker
//! kind.

use std::{
    fs, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{TryFutureExt, future::BoxFuture};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{TlsConnector, client};

use crate::{fault::DatabaseFault, options::TlsOptions};

/// Encrypts connections; without options there are none to encrypt.
#[derive(Clone)]
pub(super) struct Tls(Option<TlsConnector>);

/// Encrypts one connection to this name.
pub(super) struct Handshake {
    connector: Option<TlsConnector>,
    name: ServerName<'static>,
}

/// A connection with TLS.
pub(super) struct Encrypted(Box<client::TlsStream<Socket>>);

impl Tls {
    pub(super) fn new(options: Option<&TlsOptions>) -> Result<Self, DatabaseFault> {
        let Some(TlsOptions { ca_file }) = options else { return Ok(Self(None)) };
        let unfit = |problem: String| {
            DatabaseFault::unfit(
                "subscriptions.tls_ca_file",
                problem,
                "name a readable PEM file with the authority",
            )
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unfit(error.to_string()))?;
        let config = match ca_file {
            Some(path) => {
                let pem = fs::read(path).map_err(|error| unfit(format!("cannot be read: {error}")))?;
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    let certificate = certificate.map_err(|error| unfit(format!("is no PEM: {error}")))?;
                    roots.add(certificate).map_err(|error| unfit(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(unfit("has no certificate".to_owned()));
                }
                builder.with_root_certificates(roots)
            }
            None => builder.with_platform_verifier().map_err(|error| unfit(error.to_string()))?,
        };
        Ok(Self(Some(TlsConnector::from(Arc::new(config.with_no_client_auth())))))
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = InvalidDnsNameError;

    fn make_tls_connect(&mut self, name: &str) -> Result<Handshake, InvalidDnsNameError> {
        // The path of a Unix socket is no name, and needs none.
        let name = if self.0.is_some() && !name.is_empty() {
            ServerName::try_from(name.to_owned())?
        } else {
            ServerName::try_from("localhost")?
        };
        Ok(Handshake { connector: self.0.clone(), name })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted>>;

    fn connect(self, socket: Socket) -> Self::Future {
        match self.connector {
            Some(connector) => {
                Box::pin(connector.connect(self.name, socket).map_ok(|stream| Encrypted(Box::new(stream))))
            }
            None => Box::pin(async { Err(io::Error::other("TLS is off")) }),
        }
    }
}

impl TlsStream for Encrypted {
    // The server's certificate is verified in full, which is what a binding to it is there for.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
