//! Opens connections, plain or encrypted with rustls. Replaces the client's own connectors, which bring OpenSSL or a
//! second crypto library.

use std::{io, os::fd::AsRawFd, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use fluvio_future::net::{
    BoxReadConnection, BoxWriteConnection, ConnectionFd, DomainConnector, TcpDomainConnector, TcpStream,
};
use futures::AsyncReadExt;
use futures_rustls::{
    TlsConnector,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject},
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use tokio::time;

use super::{
    super::{options::TlsOptions, tls::TlsFault},
    close_on_drop::ConnectionSlot,
};
use crate::TopicFault;

/// Connects to the controller and to leaders.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Option<Tls>,
    domain: String,
    made: ConnectionSlot,
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    handshake_timeout: Duration,
}

impl Connector {
    /// Plain connections, or encrypted ones.
    ///
    /// # Errors
    /// [`TopicFault::Tls`] if a certificate or a key cannot be used.
    pub(super) fn new(options: Option<&TlsOptions>) -> Result<Self, TopicFault> {
        let Some(options) = options else { return Ok(Self::of(None, String::new())) };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&options.ca_file)? {
            roots.add(certificate).map_err(|error| unusable(&options.ca_file, &error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&options.ca_file, &error))?
            .with_root_certificates(roots);
        let config = match &options.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let key = PrivateKeyDer::from_pem_file(&client.key_file)
                    .map_err(|error| unusable(&client.key_file, &error))?;
                builder
                    .with_client_auth_cert(certificates(&client.cert_file)?, key)
                    .map_err(|error| unusable(&client.cert_file, &error))?
            }
        };
        let connector = TlsConnector::from(Arc::new(config));
        let tls = Tls { connector, handshake_timeout: options.handshake_timeout };
        Ok(Self::of(Some(tls), options.domain.clone()))
    }

    fn of(tls: Option<Tls>, domain: String) -> Self {
        Self { tls, domain, made: ConnectionSlot::default() }
    }

    /// This connector, storing each connection in `made`.
    pub(super) fn storing_in(&self, made: ConnectionSlot) -> Self {
        Self { made, ..self.clone() }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TopicFault> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(unusable(path, &pem::Error::NoItemsFound)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> TopicFault {
    TopicFault::Tls { path: path.to_owned(), detail: error.to_string() }
}

#[async_trait]
impl TcpDomainConnector for Connector {
    async fn connect(
        &self,
        addr: &str,
    ) -> Result<(BoxWriteConnection, BoxReadConnection, ConnectionFd), io::Error> {
        let tcp = TcpStream::connect(addr).await?;
        // Acknowledgements are small, and the leader waits for them.
        tcp.set_nodelay(true)?;
        let fd = tcp.as_raw_fd();
        self.made.put(&tcp);
        let Some(Tls { connector, handshake_timeout }) = &self.tls else {
            return Ok((Box::new(tcp.clone()), Box::new(tcp), fd));
        };
        let name = ServerName::try_from(self.domain.clone()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, TlsFault::NoName { name: self.domain.clone() })
        })?;
        let after = *handshake_timeout;
        let shaken = time::timeout(after, connector.connect(name, tcp)).await;
        let shaken =
            shaken.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, TlsFault::Silent { after }))?;
        let (read, write) = shaken?.split();
        Ok((Box::new(write), Box::new(read), fd))
    }

    fn new_domain(&self, domain: String) -> DomainConnector {
        Box::new(Self { domain, ..self.clone() })
    }

    fn domain(&self) -> &str {
        &self.domain
    }

    fn clone_box(&self) -> DomainConnector {
        Box::new(self.clone())
    }
}
