//! Why HTTP clients cannot be made. Each error names the thing and the way out.

use rustls::pki_types::pem::Error as PemError;

/// Why there can be no HTTP clients.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// No shard, no client.
    #[error("there are 0 shards: at least 1 is needed")]
    NoShards,
    /// A certificate authority's PEM cannot be read.
    #[error("extra certificate authority number {number} cannot be read: give its certificates as PEM")]
    Certificate {
        /// Which one, counted from 1.
        number: usize,
        /// What was found.
        source: PemError,
    },
    /// A certificate authority's PEM holds no certificate.
    #[error("extra certificate authority number {number} holds no certificate: give its certificates as PEM")]
    NoCertificate {
        /// Which one, counted from 1.
        number: usize,
    },
    /// No TLS can be made of these authorities.
    #[error(
        "the http client cannot be made: check the extra certificate authorities, and that the system has a set of its own (ca-certificates)"
    )]
    Tls(#[from] rustls::Error),
    /// A broker's own certificate cannot be read.
    #[error(
        "the certificate to show cannot be read: give it and those it was signed by as PEM, its own first"
    )]
    OwnCertificate,
    /// Its key cannot be read.
    #[error("the key of the certificate to show cannot be read: give one key as PEM, without a password")]
    OwnKey,
    /// The key is not the certificate's.
    #[error("the certificate to show and its key cannot be used together: {0}")]
    OwnPair(#[source] rustls::Error),
    /// The client library refuses its settings.
    #[error("the http client cannot be made with these settings")]
    Build(#[from] reqwest::Error),
}
