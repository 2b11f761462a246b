//! Says of a receiver's certificate that is not trusted which one it is, why it is not, and what to do about it.
//!
//! Decides nothing: the platform's verifier does. A certificate is public, so its names may be shown.

use std::{error::Error, fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};
use state::{is_unprintable, timestamp};

use super::x509::X509;

/// The longest name of a certificate that is shown, in bytes: a cause has no room for more.
const NAME_MAX: usize = 40;

/// A verifier whose refusals name the certificate, the reason and the way out.
#[derive(Debug)]
pub(super) struct Explained<V>(pub(super) V);

/// Why a certificate is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Untrusted(String);

/// Why the receiver's certificate is not trusted, if that is what `error` says.
pub(super) fn untrusted<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Untrusted> {
    match error.downcast_ref()? {
        TlsError::InvalidCertificate(CertificateError::Other(OtherError(other))) => other.downcast_ref(),
        _ => None,
    }
}

impl<V: ServerCertVerifier> ServerCertVerifier for Explained<V> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            TlsError::InvalidCertificate(why) => {
                let words = Untrusted(explain(end_entity, server_name, &why));
                TlsError::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(words))))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn explain(der: &CertificateDer<'_>, host: &ServerName<'_>, why: &CertificateError) -> String {
    let print = Sha256::digest(der);
    let print = format!("{:02x}:{:02x}:{:02x}:{:02x}", print[0], print[1], print[2], print[3]);
    match X509::read(der) {
        Some(certificate) => {
            let subject = Name(&certificate.subject);
            format!("certificate {subject} (sha-256 {print}…) {}", reason(&certificate, host, why))
        }
        None => format!("a certificate (sha-256 {print}…) cannot be read: have it made anew"),
    }
}

/// What is wrong with the certificate, and the way out.
fn reason(certificate: &X509, host: &ServerName<'_>, why: &CertificateError) -> String {
    let X509 { issuer, is_self_signed, version, is_authority, .. } = certificate;
    let date = |time: &UnixTime| {
        let text = timestamp::text(time.as_secs().saturating_mul(1_000));
        text.get(..10).unwrap_or_default().to_owned()
    };
    match why {
        CertificateError::UnknownIssuer if *is_self_signed => {
            "is self-signed and not trusted: name its file in delivery.ca_file".to_owned()
        }
        CertificateError::UnknownIssuer => {
            let issuer = Name(issuer);
            format!("is signed by {issuer}, which is not trusted: name that one's file in delivery.ca_file")
        }
        CertificateError::BadSignature => {
            let issuer = Name(issuer);
            format!(
                "is not signed by the {issuer} that is trusted: name the one that signed it in delivery.ca_file"
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let host = host.to_str();
            format!("is not for {host}: correct the url, or have it made with that subjectaltname")
        }
        CertificateError::Expired => "has expired: have it renewed, or set this clock".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired on {}: have it renewed, or set this machine's clock", date(not_after))
        }
        CertificateError::NotValidYet => "is not valid yet: set this machine's clock".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}: set this machine's clock", date(not_before))
        }
        _ if *version != 3 => {
            format!("is of x.509 version {version}: have it made anew as version 3, with a subjectaltname")
        }
        _ if *is_authority => {
            let own = if *is_self_signed { "self-signed and " } else { "" };
            format!(
                "is {own}an authority's own (ca:true), which no server may show: have it made with ca:false"
            )
        }
        other => format!("is refused: {other}"),
    }
}

/// A name in quotes, shortened, and on one line.
struct Name<'n>(&'n str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.replace(is_unprintable, "\u{fffd}");
        let end = name.floor_char_boundary(NAME_MAX);
        let more = if end < name.len() { "…" } else { "" };
        write!(f, "\"{}{more}\"", &name[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(change: impl FnOnce(&mut X509), why: &CertificateError) -> String {
        let mut certificate = X509 {
            subject: "CN=tms".to_owned(),
            issuer: "CN=tms".to_owned(),
            is_self_signed: true,
            version: 3,
            is_authority: false,
        };
        change(&mut certificate);
        reason(&certificate, &ServerName::try_from("tms.example").unwrap(), why)
    }

    #[test]
    fn each_reason_has_its_way_out() {
        let other = || CertificateError::ApplicationVerificationFailure;
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let table: [(String, &str); 6] = [
            (
                words(|_| (), &CertificateError::UnknownIssuer),
                "is self-signed and not trusted: name its file",
            ),
            (words(|it| it.is_authority = true, &other()), "is self-signed and an authority's own (ca:true)"),
            (
                words(|it| (it.is_authority, it.is_self_signed) = (true, false), &other()),
                "is an authority's own",
            ),
            (words(|it| it.version = 1, &other()), "is of x.509 version 1: have it made anew as version 3"),
            (
                words(|_| (), &CertificateError::ExpiredContext { time: at(90_000), not_after: at(86_400) }),
                "expired on 1970-01-02: have it renewed",
            ),
            (words(|_| (), &CertificateError::NotValidForName), "is not for tms.example: correct the url"),
        ];
        for (words, expected) in table {
            assert!(words.starts_with(expected), "{words}");
        }
        let issuer = |it: &mut X509| (it.issuer, it.is_self_signed) = ("CN=a".repeat(20) + "\u{1b}", false);
        let long = words(issuer, &CertificateError::UnknownIssuer);
        assert!(
            long.starts_with("is signed by \"CN=aCN=a") && long.contains("…\", which is not trusted"),
            "{long}"
        );
        assert!(long.len() < 150 && !long.contains('\u{1b}'), "{long}");
    }
}
