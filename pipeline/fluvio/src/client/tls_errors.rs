//! Turns the TLS library's errors into faults that name the config key to check.

use futures_rustls::rustls::{AlertDescription as Alert, CertificateError, Error};

use crate::TlsFault;

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
        // The second is an authority of the same name with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::Authority,
        CertificateError::NotValidForNameContext { expected, presented } => {
            TlsFault::Name { expected: expected.to_str().into_owned(), presented: listed(presented) }
        }
        _ => TlsFault::Certificate { detail: error.to_string() },
    }
}

/// The names of a certificate, which the library formats as `DnsName("a")`.
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
