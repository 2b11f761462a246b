//! Reads certificate authorities.

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::client_error::HttpClientError;

/// All certificates in `pems`.
///
/// # Errors
/// One of them cannot be read or holds none.
pub(super) fn authorities(pems: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, HttpClientError> {
    let mut all = Vec::new();
    for (pem, number) in pems.iter().zip(1..) {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.map_err(|source| HttpClientError::Certificate { number, source })?;
        if found.is_empty() {
            return Err(HttpClientError::NoCertificate { number });
        }
        all.extend(found);
    }
    Ok(all)
}
