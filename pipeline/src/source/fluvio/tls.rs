//! What may be wrong between Loadline and a cluster with TLS: the TLS library's error enters, a fault leaves that names
//! the key of the config to look at.

use std::time::Duration;

use futures_rustls::rustls::{AlertDescription as Alert, CertificateError, Error};

/// Why there is no encrypted connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// Nobody who is trusted has signed the cluster's certificate.
    #[error("its certificate is signed by no authority in source.tls_ca_file")]
    Authority,
    /// The certificate is another's.
    #[error("its certificate is for {presented}, and has to be for {expected}; check source.tls_domain")]
    Name {
        /// The name it should have: the domain, for a leader with the SPU's key before it.
        expected: String,
        /// The names it has.
        presented: String,
    },
    /// The certificate is no good in another way: it has expired, or is not valid yet.
    #[error("its certificate cannot be trusted: {detail}")]
    Certificate {
        /// The TLS library's words.
        detail: String,
    },
    /// It wants to know who Loadline is.
    #[error("it wants a certificate; set source.tls_cert_file and source.tls_key_file")]
    Anonymous,
    /// It does not take Loadline's certificate, or what it says is about another.
    #[error("it refuses the certificate in source.tls_cert_file: {alert}")]
    Refused {
        /// The alert's name in TLS.
        alert: String,
    },
    /// It does not answer.
    #[error("it does not answer a TLS handshake within {after:?}; this may be its port without TLS")]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// It answers in something else.
    #[error("it does not speak TLS; this may be its port without it")]
    NotTls,
    /// The name that its certificate must have can be in none.
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

impl From<&Error> for TlsFault {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(problem) => certificate(problem, error),
            Error::AlertReceived(Alert::CertificateRequired) => Self::Anonymous,
            Error::AlertReceived(
                alert @ (Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError),
            ) => Self::Refused { alert: format!("{alert:?}") },
            Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Handshake { detail: error.to_string() },
        }
    }
}

fn certificate(problem: &CertificateError, error: &Error) -> TlsFault {
    match problem {
        // The second: an authority of the same name, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::Authority,
        CertificateError::NotValidForNameContext { expected, presented } => {
            TlsFault::Name { expected: expected.to_str().into_owned(), presented: listed(presented) }
        }
        _ => TlsFault::Certificate { detail: error.to_string() },
    }
}

/// The names of a certificate, which the library gives as `DnsName("a")`.
fn listed(presented: &[String]) -> String {
    let bare = |name: &String| match name.split_once("(\"") {
        Some((_, inner)) => inner.trim_end_matches("\")").to_owned(),
        None => name.clone(),
    };
    if presented.is_empty() {
        return "no name".to_owned();
    }
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use futures_rustls::{pki_types::ServerName, rustls::InvalidMessage};

    use super::*;

    #[test]
    fn each_error_names_the_key_to_look_at() {
        let expected = ServerName::try_from("spu.fluvio.test").unwrap();
        let name =
            |presented| CertificateError::NotValidForNameContext { expected: expected.clone(), presented };
        let table = [
            (CertificateError::UnknownIssuer.into(), "source.tls_ca_file"),
            (CertificateError::BadSignature.into(), "source.tls_ca_file"),
            (
                name(vec!["DnsName(\"a\")".to_owned()]).into(),
                "is for a, and has to be for spu.fluvio.test; check source.tls_domain",
            ),
            (name(Vec::new()).into(), "is for no name"),
            (CertificateError::Expired.into(), "cannot be trusted"),
            (Error::AlertReceived(Alert::CertificateRequired), "set source.tls_cert_file"),
            (Error::AlertReceived(Alert::UnknownCA), "source.tls_cert_file: UnknownCA"),
            (Error::AlertReceived(Alert::ProtocolVersion), "handshake failed"),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "its port without it"),
        ];
        for (error, words) in table {
            let fault = TlsFault::from(&error).to_string();
            assert!(fault.contains(words), "{error:?}: {fault}");
        }
    }
}
