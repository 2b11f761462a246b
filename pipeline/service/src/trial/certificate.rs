//! What a receiver's certificate says of itself, for a person.

use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::text_table::shown;

/// Whose it is, by whom, and until when.
pub(super) fn words(der: &[u8]) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return "a certificate that cannot be read".to_owned();
    };
    let (subject, issuer) = (certificate.subject().to_string(), certificate.issuer().to_string());
    let until = certificate.validity().not_after.to_string();
    let subject = if subject.is_empty() { "nobody named".to_owned() } else { shown(&subject) };
    format!("certificate of {subject}, by {}, until {}", shown(&issuer), shown(&until))
}
