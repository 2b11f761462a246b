//! The TLS configuration of the clients: which certificate authorities are trusted, and HTTP/2 and HTTP/1.1 on offer.
//!
//! Certificates are verified against the system's authorities and those of the config. The authorities are read once
//! for all clients that have none of their own, so that these share one copy.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_platform_verifier::Verifier;

use super::{authorities::authorities, certificate::Explained, client_error::HttpClientError, reach::OwnTls};

/// The protocols offered to a receiver, the preferred one first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS that trusts the system's authorities, those in `pems` and those of `own`, whose certificate it shows. Needs the process's crypto provider to be installed.
///
/// # Errors
/// An authority cannot be read or used, or there is none at all.
pub(super) fn config(pems: &[Vec<u8>], own: Option<&OwnTls>) -> Result<ClientConfig, HttpClientError> {
    let config = ClientConfig::builder();
    let mut roots = authorities(pems)?;
    roots.extend(own.into_iter().flat_map(|own| own.authorities().iter().cloned()));
    let verifier = Verifier::new_with_extra_roots(roots, config.crypto_provider().clone())?;
    // What rustls calls dangerous is any verifier but its own; this is the platform's, on Linux rustls' own with the system's
    // authorities.
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Explained(verifier)));
    let mut config = match own.and_then(OwnTls::identity) {
        None => config.with_no_client_auth(),
        Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(HttpClientError::OwnPair)?,
    };
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}
