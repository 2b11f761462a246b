//! What can fail between Loadline and a cluster with TLS. Each fault names the config key to check.

use std::time::Duration;

/// Why there is no encrypted connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The cluster's certificate is signed by no trusted authority.
    #[error("its certificate is signed by no authority in source.tls_ca_file")]
    Authority,
    /// The certificate is for another name.
    #[error("its certificate is for {presented}, and has to be for {expected}; check source.tls_domain")]
    Name {
        /// The name it should have: the domain, for a leader with the SPU's key before it.
        expected: String,
        /// The names it has.
        presented: String,
    },
    /// The certificate is invalid otherwise, such as expired or not valid yet.
    #[error("its certificate cannot be trusted: {detail}")]
    Certificate {
        /// The TLS library's words.
        detail: String,
    },
    /// The cluster requires a client certificate.
    #[error("it wants a certificate; set source.tls_cert_file and source.tls_key_file")]
    Anonymous,
    /// The cluster refuses the client certificate.
    #[error("it refuses the certificate in source.tls_cert_file: {alert}")]
    Refused {
        /// The alert's name in TLS.
        alert: String,
    },
    /// The handshake timed out.
    #[error("it does not answer a TLS handshake within {after:?}; this may be its port without TLS")]
    Silent {
        /// The timeout.
        after: Duration,
    },
    /// The answer is not TLS.
    #[error("it does not speak TLS; this may be its port without it")]
    NotTls,
    /// The expected name is not valid in a certificate.
    #[error(
        "no certificate can be for {name}; check source.tls_domain and, for a leader, the SPU's key before it"
    )]
    NoName {
        /// The name.
        name: String,
    },
    /// The handshake failed in another way: no version of TLS in common, for example.
    #[error("the TLS handshake failed: {detail}")]
    Handshake {
        /// The TLS library's words.
        detail: String,
    },
}
