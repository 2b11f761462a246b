//! Connections: an address enters, a connection leaves, plain or encrypted with rustls. In place of the client's own
//! connectors, which bring OpenSSL or a second crypto library.

use std::{io, os::fd::AsRawFd, path::Path, sync::Arc};

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

use super::super::options::TlsOptions;
use crate::source::SourceFault;

/// Connects to the controller and to leaders.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Option<TlsConnector>,
    domain: String,
}

impl Connector {
    /// Plain connections, or encrypted ones.
    ///
    /// # Errors
    /// [`SourceFault::Tls`] if a certificate or a key cannot be used.
    pub(super) fn new(options: Option<&TlsOptions>) -> Result<Self, SourceFault> {
        let Some(options) = options else { return Ok(Self { tls: None, domain: String::new() }) };
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
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))), domain: options.domain.clone() })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SourceFault> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(unusable(path, &pem::Error::NoItemsFound)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> SourceFault {
    SourceFault::Tls { path: path.to_owned(), detail: error.to_string() }
}

#[async_trait]
impl TcpDomainConnector for Connector {
    async fn connect(
        &self,
        addr: &str,
    ) -> Result<(BoxWriteConnection, BoxReadConnection, ConnectionFd), io::Error> {
        let tcp = TcpStream::connect(addr).await?;
        // Acknowledgements are small and are waited for.
        tcp.set_nodelay(true)?;
        let fd = tcp.as_raw_fd();
        let Some(tls) = &self.tls else { return Ok((Box::new(tcp.clone()), Box::new(tcp), fd)) };
        let name = ServerName::try_from(self.domain.clone())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (read, write) = tls.connect(name, tcp).await?.split();
        Ok((Box::new(write), Box::new(read), fd))
    }

    fn new_domain(&self, domain: String) -> DomainConnector {
        Box::new(Self { tls: self.tls.clone(), domain })
    }

    fn domain(&self) -> &str {
        &self.domain
    }

    fn clone_box(&self) -> DomainConnector {
        Box::new(self.clone())
    }
}
